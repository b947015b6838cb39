"""What a ``.x`` file says: frozen nodes, one per production of RFC 4506 section 6.3 and RFC 5531 section 12.

Nodes record spelling, place and comments. They must not know what a name means, what a
number is good for, or that Python exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from rpcgen.errors import Location


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment as written, delimiters included, so that annotations can be told from prose and placed."""

    text: str
    at: Location


@dataclass(frozen=True, slots=True)
class Remarks:
    """The comments that belong to a node.

    Attributes:
        before: all between what stands before it and the node, whatever blank lines are in between;
            of an arm, those between its labels and its declaration too.
        after: those behind it on its last line, and those behind its opening brace or colon.
    """

    before: tuple[Comment, ...] = ()
    after: tuple[Comment, ...] = ()


NO_REMARKS = Remarks()


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier where it stands."""

    text: str
    at: Location


@dataclass(frozen=True, slots=True)
class Number:
    """A constant where it stands; ``text`` is its spelling (``0x10``, ``010``)."""

    value: int
    text: str
    at: Location


Value: TypeAlias = Name | Number


@dataclass(frozen=True, slots=True)
class Text:
    """A string constant where it stands (``const KEY = "d4a0";``); ``value`` has no quotes."""

    value: str
    at: Location


# Type specifiers


@dataclass(frozen=True, slots=True)
class Builtin:
    """A keyword type in its full form: ``unsigned int``, ``hyper``, ``opaque``, ``string``, ``void``.

    ``unsigned`` alone has become ``unsigned int``; ``long`` and ``short`` stay as written.
    """

    name: str
    at: Location


@dataclass(frozen=True, slots=True)
class TypeName:
    """A reference to a type by name; ``tag`` is ``struct``, ``enum`` or ``union`` where one was written before it."""

    name: Name
    tag: str | None
    at: Location


@dataclass(frozen=True, slots=True)
class InlineEnum:
    """``enum { ... }`` in the place of a type."""

    members: tuple[EnumMember, ...]
    at: Location


@dataclass(frozen=True, slots=True)
class InlineStruct:
    """``struct { ... }`` in the place of a type."""

    fields: tuple[Declaration, ...]
    at: Location


@dataclass(frozen=True, slots=True)
class InlineUnion:
    """``union switch (...) { ... }`` in the place of a type."""

    body: UnionBody
    at: Location


TypeSpecifier: TypeAlias = Builtin | TypeName | InlineEnum | InlineStruct | InlineUnion


# Declarations


class Form(Enum):
    """How a declaration repeats its type."""

    PLAIN = "T x"
    FIXED = "T x[N]"
    VARIABLE = "T x<N>"
    OPTIONAL = "T *x"


@dataclass(frozen=True, slots=True)
class Declaration:
    """One field, typedef, union arm, discriminant, argument or result.

    Attributes:
        name: None for ``void`` and for an unnamed argument or result.
        bound: what stands between the brackets; None for ``<>`` and for forms without brackets.
        extra: further brackets behind the first (``x[2][3]``): the place of the second one, for the error.
        pointer: ``*`` beside brackets (``T *x<N>``): its place, for the error.
    """

    type: TypeSpecifier
    name: Name | None
    form: Form
    bound: Value | None
    at: Location
    remarks: Remarks = NO_REMARKS
    extra: Location | None = None
    pointer: Location | None = None


# Definitions


@dataclass(frozen=True, slots=True)
class ConstDefinition:
    """``const NAME = VALUE;``; a text is C's rpcgen's own (``key_prot.x`` has one)."""

    name: Name
    value: Value | Text
    at: Location
    remarks: Remarks = NO_REMARKS


@dataclass(frozen=True, slots=True)
class EnumMember:
    """``NAME = VALUE`` or ``NAME``."""

    name: Name
    value: Value | None
    at: Location
    remarks: Remarks = NO_REMARKS


@dataclass(frozen=True, slots=True)
class EnumDefinition:
    """``enum NAME { ... };``"""

    name: Name
    members: tuple[EnumMember, ...]
    at: Location
    remarks: Remarks = NO_REMARKS


@dataclass(frozen=True, slots=True)
class StructDefinition:
    """``struct NAME { ... };``; ``pointer`` marks RFC 1833's ``struct *NAME { ... };``."""

    name: Name
    fields: tuple[Declaration, ...]
    at: Location
    remarks: Remarks = NO_REMARKS
    pointer: bool = False


@dataclass(frozen=True, slots=True)
class UnionArm:
    """``case A: case B: declaration;``. No labels: the ``default`` arm."""

    labels: tuple[Value, ...]
    declaration: Declaration
    at: Location
    remarks: Remarks = NO_REMARKS


@dataclass(frozen=True, slots=True)
class UnionBody:
    """``switch (declaration) { arms }``"""

    discriminant: Declaration
    arms: tuple[UnionArm, ...]


@dataclass(frozen=True, slots=True)
class UnionDefinition:
    """``union NAME switch (...) { ... };``"""

    name: Name
    body: UnionBody
    at: Location
    remarks: Remarks = NO_REMARKS


@dataclass(frozen=True, slots=True)
class TypedefDefinition:
    """``typedef declaration;``"""

    declaration: Declaration
    at: Location
    remarks: Remarks = NO_REMARKS


@dataclass(frozen=True, slots=True)
class ProcedureDefinition:
    """``RESULT NAME(ARGUMENTS) = NUMBER;``. Void is an empty ``arguments`` and a ``void`` result."""

    name: Name
    result: Declaration
    arguments: tuple[Declaration, ...]
    number: Value
    at: Location
    remarks: Remarks = NO_REMARKS


@dataclass(frozen=True, slots=True)
class VersionDefinition:
    """``version NAME { procedures } = NUMBER;``"""

    name: Name
    procedures: tuple[ProcedureDefinition, ...]
    number: Value
    at: Location
    remarks: Remarks = NO_REMARKS


@dataclass(frozen=True, slots=True)
class ProgramDefinition:
    """``program NAME { versions } = NUMBER;``"""

    name: Name
    versions: tuple[VersionDefinition, ...]
    number: Value
    at: Location
    remarks: Remarks = NO_REMARKS


@dataclass(frozen=True, slots=True)
class PassThrough:
    """A ``%`` line: C text for C's rpcgen, kept and never executed; ``text`` is what follows the ``%``."""

    text: str
    at: Location


Definition: TypeAlias = (
    ConstDefinition
    | EnumDefinition
    | StructDefinition
    | UnionDefinition
    | TypedefDefinition
    | ProgramDefinition
    | PassThrough
)


@dataclass(frozen=True, slots=True)
class Specification:
    """One ``.x`` file, with what its ``#include`` lines brought in.

    Attributes:
        file: the name as the user gave it.
        remarks: the comment at the head of the file that belongs to no definition.
        included: the files read through ``#include``, in order, for dependency lists.
    """

    file: str
    definitions: tuple[Definition, ...]
    remarks: Remarks = NO_REMARKS
    included: tuple[str, ...] = ()
