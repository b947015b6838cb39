"""The rules that a finished module must obey. Every rule is run and reports everything it finds.

Rules look at the model only; what can be said while a single declaration is read is said in
``declarations``, and double names in ``scope``.
"""

from __future__ import annotations

from collections.abc import Iterator

from rpcgen.errors import Diagnostics, Location, Note, SemanticError
from rpcgen.model.cycles import find_cycles
from rpcgen.model.scope import KINDS, Unique
from rpcgen.model.types import (
    BOOL,
    Alias,
    Array,
    Enum,
    Label,
    Module,
    Named,
    Optional,
    Primitive,
    Program,
    Struct,
    Type,
    TypeDefinition,
    Union,
    named_in,
    parts,
    resolve,
)


def check(module: Module, diagnostics: Diagnostics) -> None:
    """Run every rule."""
    for rule in RULES:
        rule(module, diagnostics)


def fields_are_unique(module: Module, diagnostics: Diagnostics) -> None:
    for struct in module.types:
        if isinstance(struct, Struct) and not struct.implicit:
            unique = Unique(diagnostics)
            for field in struct.fields:
                unique.add(field.name, f"field '{field.name}'", field.at)


def sizes_are_finite(module: Module, diagnostics: Diagnostics) -> None:
    """A type that contains itself other than through ``*`` or ``<>`` never ends."""
    for cycle in find_cycles(module.types, _contained):
        path = " -> ".join(one.name for one in [*cycle, cycle[0]])
        first = cycle[0]
        message = f"{KINDS[type(first)]} '{first.name}' contains itself: {path}"
        hint = f"make one of the links optional ('{first.name} *') or an array ('<>')"
        diagnostics.error(SemanticError(message, first.at, hint=hint))


def optionals_are_single(module: Module, diagnostics: Diagnostics) -> None:
    """``None`` cannot tell "absent" from "present, and itself absent"."""
    for type_, subject, at in _uses(module):
        if isinstance(type_, Optional) and isinstance(resolve(type_.element), Optional):
            inner = next(named_in(type_.element)).name
            message = f"{subject} is an optional of the optional '{inner}': None in Python would mean two things"
            hint = f"leave out the '*', or put '{inner}' into a struct"
            diagnostics.error(SemanticError(message, at, hint=hint))


def unions_are_sound(module: Module, diagnostics: Diagnostics) -> None:
    for union in module.types:
        if isinstance(union, Union) and _discriminant_is_allowed(union, diagnostics):
            _check_labels(union, diagnostics)


def programs_are_unique(module: Module, diagnostics: Diagnostics) -> None:
    """Two programs cannot share number and version; versions of one program are compared where they are built."""
    known: dict[tuple[int, int], Program] = {}
    for program in module.programs:
        first = known.setdefault((program.number, program.version), program)
        if first.name != program.name:
            message = f"program {program.number} version {program.version} is already defined"
            notes = [Note("first defined here", first.at)]
            diagnostics.error(SemanticError(message, program.at, notes=notes))


def descriptors_go_with_plain_calls(module: Module, diagnostics: Diagnostics) -> None:
    """There is no message with descriptors, and streams carry bytes."""
    for procedure in (one for program in module.programs for one in program.procedures):
        marks = procedure.annotations
        if (marks.fds_in or marks.fds_out) and (marks.event or marks.stream):
            other = "an event" if marks.event else "a procedure with a stream"
            message = f"'{procedure.name}' is {other} and cannot carry descriptors"
            diagnostics.error(SemanticError(message, procedure.at, hint="leave out '@fds'"))


RULES = (
    fields_are_unique,
    sizes_are_finite,
    optionals_are_single,
    unions_are_sound,
    programs_are_unique,
    descriptors_go_with_plain_calls,
)


def _contained(definition: TypeDefinition) -> Iterator[TypeDefinition]:
    for part in parts(definition):
        held = part.element if isinstance(part, Array) and part.fixed else part
        if isinstance(held, Named):
            yield held.definition


def _uses(module: Module) -> Iterator[tuple[Type, str, Location]]:
    for definition in module.types:
        match definition:
            case Alias(name=name, target=target, at=at):
                yield target, f"typedef '{name}'", at
            case Struct(fields=fields):
                yield from ((field.type, f"field '{field.name}'", field.at) for field in fields)
            case Union(arms=arms):
                yield from (
                    (arm.field.type, f"field '{arm.field.name}'", arm.field.at)
                    for arm in arms
                    if arm.field
                )
    for procedure in (one for program in module.programs for one in program.procedures):
        for type_, role in ((procedure.argument, "argument"), (procedure.result, "result")):
            if type_ is not None:
                yield type_, f"the {role} of '{procedure.name}'", procedure.at


def _discriminant_is_allowed(union: Union, diagnostics: Diagnostics) -> bool:
    found = resolve(union.discriminant.type)
    if (
        isinstance(found, Primitive)
        and found.size == 4
        and (found.minimum is not None or found is BOOL)
    ):
        return True
    if isinstance(found, Named) and isinstance(found.definition, Enum):
        return True
    expected = "an int, unsigned int, bool, char, short or enum"
    message = f"expected {expected} to switch on, got '{union.discriminant.spelling}'"
    diagnostics.error(SemanticError(message, union.discriminant.at))
    return False


def _check_labels(union: Union, diagnostics: Diagnostics) -> None:
    unique = Unique(diagnostics)
    for arm in union.arms:
        if arm.is_default:
            unique.add("default", "the default arm", arm.at)
        for label in arm.labels:
            at = label.at or arm.at
            if unique.add(label.value, f"case {_named(label)}", at):
                _check_range(label, at, resolve(union.discriminant.type), diagnostics)


def _check_range(label: Label, at: Location, discriminant: Type, diagnostics: Diagnostics) -> None:
    match discriminant:
        case Named(definition=Enum() as enum):
            if all(member.value != label.value for member in enum.members):
                message = f"case {_named(label)} is no member of enum '{enum.name}'"
                diagnostics.error(SemanticError(message, at, notes=[Note("defined here", enum.at)]))
        case Primitive(name=name, minimum=low, maximum=high):
            low, high = (0, 1) if low is None or high is None else (low, high)
            if not low <= label.value <= high:
                message = f"expected a case from {low} to {high} for {name}, got {_named(label)}"
                diagnostics.error(SemanticError(message, at))


def _named(label: Label) -> str:
    """How the file writes it, and its value where that is not the same."""
    return (
        label.spelling
        if label.spelling == str(label.value)
        else f"{label.spelling} ({label.value})"
    )
