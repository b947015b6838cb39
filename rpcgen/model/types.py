"""What a ``.x`` file means: types, constants and programs, every name resolved.

The layers after the model know only this module: one form of program for both dialects,
bounds as numbers, spelling kept beside meaning. It must not know Python names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rpcgen.errors import Location

UNBOUNDED = 0xFFFFFFFF
"""The maximum that RFC 4506 gives ``<>``: a length is an unsigned int."""


# Types: what a declaration says, without its name. Compared by value.


@dataclass(frozen=True, slots=True)
class Primitive:
    """A number (or bool) of fixed size.

    Attributes:
        name: the spelling in the ``.x`` language, in full.
        code: the ``struct`` character that packs it in network order.
        size: bytes on the wire.
        minimum: smallest value, None for floating point and bool.
        maximum: largest value, None for floating point and bool.
    """

    name: str
    code: str
    size: int
    minimum: int | None = None
    maximum: int | None = None


INT = Primitive("int", "i", 4, -(2**31), 2**31 - 1)
UNSIGNED_INT = Primitive("unsigned int", "I", 4, 0, 2**32 - 1)
HYPER = Primitive("hyper", "q", 8, -(2**63), 2**63 - 1)
UNSIGNED_HYPER = Primitive("unsigned hyper", "Q", 8, 0, 2**64 - 1)
SHORT = Primitive("short", "i", 4, -(2**15), 2**15 - 1)
UNSIGNED_SHORT = Primitive("unsigned short", "I", 4, 0, 2**16 - 1)
CHAR = Primitive("char", "i", 4, -(2**7), 2**7 - 1)
UNSIGNED_CHAR = Primitive("unsigned char", "I", 4, 0, 2**8 - 1)
LONG = Primitive("long", "i", 4, -(2**31), 2**31 - 1)
UNSIGNED_LONG = Primitive("unsigned long", "I", 4, 0, 2**32 - 1)
FLOAT = Primitive("float", "f", 4)
DOUBLE = Primitive("double", "d", 8)
BOOL = Primitive("bool", "I", 4)


@dataclass(frozen=True, slots=True)
class Opaque:
    """Raw bytes: exactly ``length`` where ``fixed``, at most ``length`` otherwise. ``quadruple`` is fixed 16."""

    length: int
    fixed: bool


@dataclass(frozen=True, slots=True)
class String:
    """Text of at most ``maximum`` bytes."""

    maximum: int


@dataclass(frozen=True, slots=True)
class CharArray:
    """``char x[N]`` or ``char x<N>``: four wire bytes for each character; Python sees ``bytes``."""

    length: int
    fixed: bool
    signed: bool


@dataclass(frozen=True, slots=True)
class Array:
    """``length`` elements where ``fixed``, at most ``length`` otherwise."""

    element: Type
    length: int
    fixed: bool


@dataclass(frozen=True, slots=True)
class Optional:
    """``T *x``: absent or one ``T``."""

    element: Type


@dataclass(frozen=True, slots=True)
class Named:
    """A use of a definition by its name. Equal to another use of the same definition."""

    definition: TypeDefinition

    def __repr__(self) -> str:
        return f"Named({self.definition.name})"


Type: TypeAlias = Primitive | Opaque | String | CharArray | Array | Optional | Named


# Definitions: compared by identity, filled in by ``build``, not changed afterwards.


@dataclass(eq=False, slots=True)
class Constant:
    """``const``; also an enum member seen as a constant (``enum`` is then its enum).

    ``external`` marks one given by ``-D``, ``--constants`` or the configuration: it has no ``at``.
    """

    name: str
    value: int | str
    """A number; a text where C's rpcgen would take one (``const KEY = "d4a0";``), good for nothing but itself."""
    at: Location | None
    doc: str = ""
    spelling: str = ""
    """The value as the file writes it (``0x20008086``, ``VIR_UUID_BUFLEN``)."""
    external: bool = False


@dataclass(eq=False, slots=True)
class Member:
    """One name of an enum; equal values are aliases of the first."""

    name: str
    value: int
    at: Location
    doc: str = ""


@dataclass(eq=False, slots=True)
class Enum:
    """Names for signed 32-bit values; ``open``: other values are let through as plain integers."""

    name: str
    at: Location
    module: str
    doc: str = ""
    members: list[Member] = field(default_factory=list)
    open: bool = False


@dataclass(eq=False, slots=True)
class Field:
    """A member of a struct, an arm's value, a discriminant or a parameter.

    ``spelling`` is the declaration as the ``.x`` language writes it, in one line, bounds by
    name (``remote_nonnull_string names<REMOTE_DOMAIN_LIST_MAX>``).
    """

    name: str
    type: Type
    at: Location
    doc: str = ""
    spelling: str = ""


@dataclass(eq=False, slots=True)
class Struct:
    """Fields in order.

    Attributes:
        chain: the last field is an optional of this very struct: a linked list, coded as a loop.
        implicit: made by us for a procedure that takes several arguments.
    """

    name: str
    at: Location
    module: str
    doc: str = ""
    fields: list[Field] = field(default_factory=list)
    chain: bool = False
    implicit: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """The value of a ``case``, and how the file writes it."""

    value: int
    spelling: str
    at: Location | None = field(default=None, repr=False, compare=False)


@dataclass(eq=False, slots=True)
class Arm:
    """One alternative of a union; no ``field``: void; no ``labels``: the default arm."""

    labels: tuple[Label, ...]
    field: Field | None
    at: Location
    doc: str = ""

    @property
    def is_default(self) -> bool:
        """Whether this arm takes every value that no other arm names."""
        return not self.labels


@dataclass(eq=False, slots=True)
class Union:
    """A discriminant and the arm that it selects."""

    name: str
    at: Location
    module: str
    discriminant: Field
    doc: str = ""
    arms: list[Arm] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Alias:
    """``typedef``: another name for a type."""

    name: str
    at: Location
    module: str
    target: Type
    doc: str = ""
    spelling: str = ""


TypeDefinition: TypeAlias = Enum | Struct | Union | Alias


# Programs


@dataclass(frozen=True, slots=True)
class Access:
    """One ``@acl`` or ``@aclfilter`` entry: ``object:permission[:flags[:parameter:value]]``; ``none`` has no object."""

    object: str
    permission: str = ""
    flags: str = ""
    parameter: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Annotations:
    """The ``@key: value`` pairs before a procedure, each understood; ``pairs`` keeps them as written, in order."""

    pairs: tuple[tuple[str, str], ...] = ()
    generate: Literal["both", "server", "client", "none"] = "both"
    priority: Literal["high", "low"] = "low"
    stream: Literal["read", "write"] | None = None
    sparse_flag: int | None = None
    acl: tuple[Access, ...] = ()
    acl_filter: tuple[Access, ...] = ()
    event: bool = False
    auth_none: bool = False
    fds_in: bool = False
    fds_out: bool = False
    nonblocking: bool = False


@dataclass(eq=False, slots=True)
class Procedure:
    """One procedure or event.

    Attributes:
        name: as the file writes it (``REMOTE_PROC_DOMAIN_GET_INFO``, ``NFSPROC_GETATTR``).
        label: the part that names it inside its program (``DOMAIN_GET_INFO``, ``NFSPROC_GETATTR``).
        argument: the type of the call's (or event's) payload; None is void. Several arguments
            are an implicit struct.
        result: the type of the reply's payload; None is void.
        parameter: the name that the file gives to a single argument, empty where it gives none.
    """

    name: str
    label: str
    number: int
    argument: Type | None
    result: Type | None
    at: Location
    doc: str = ""
    annotations: Annotations = Annotations()
    parameter: str = ""


@dataclass(eq=False, slots=True)
class Program:
    """One version of one program, from either dialect.

    Attributes:
        name: the program's constant (``REMOTE_PROGRAM``, ``NFS_PROGRAM``).
        version_name: the version's name or constant.
        dialect: ``block`` for RFC 5531's ``program { version { } }``, ``enum`` for libvirt's.
    """

    name: str
    number: int
    version_name: str
    version: int
    dialect: Literal["block", "enum"]
    at: Location
    doc: str = ""
    procedures: list[Procedure] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Module:
    """One ``.x`` file, resolved.

    Attributes:
        file: the name as the user gave it.
        stem: the file's name without folder and ``.x``, as written.
        doc: the comment at the head of the file.
        constants: every ``const``, in file order.
        types: every enum, struct, union and typedef, inline ones hoisted before their user, in
            file order otherwise (forward references are normal).
        programs: in file order.
        imports: the modules whose types this one names through ``%#include``, used or not.
        inputs: every file that was read for this one (itself, ``#include``, imports, constants).
    """

    file: str
    stem: str
    doc: str = ""
    constants: list[Constant] = field(default_factory=list)
    types: list[TypeDefinition] = field(default_factory=list)
    programs: list[Program] = field(default_factory=list)
    imports: list[Module] = field(default_factory=list)
    inputs: tuple[str, ...] = ()


# Questions that several layers ask of a type


def resolve(type_: Type) -> Type:
    """The type behind any number of typedefs."""
    while isinstance(type_, Named) and isinstance(type_.definition, Alias):
        type_ = type_.definition.target
    return type_


def parts(definition: TypeDefinition) -> Iterator[Type]:
    """The types that a definition is made of, as declared."""
    match definition:
        case Struct(fields=fields):
            yield from (one.type for one in fields)
        case Union(discriminant=discriminant, arms=arms):
            yield discriminant.type
            yield from (arm.field.type for arm in arms if arm.field)
        case Alias(target=target):
            yield target
        case Enum():
            return


def named_in(type_: Type) -> Iterator[TypeDefinition]:
    """The definitions that a type names directly, through brackets and ``*``."""
    match type_:
        case Named(definition=definition):
            yield definition
        case Array(element=element) | Optional(element=element):
            yield from named_in(element)
        case _:
            return
