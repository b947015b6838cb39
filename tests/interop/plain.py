"""A module written again as the plainest ``.x`` file that says the same: what C's ``rpcgen`` takes.

C's tools know no inline types, no forward references, no ``default`` but the last; our model has
none of that left. Bounds, labels and enum values are numbers here. Programs are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.cdriver import members

from rpcgen.model import types as t

SELF = "again_"
"""Before the name of a struct: its other name, for itself."""


def plain(module: t.Module) -> str:
    """The types of a module, each after those that it is made of."""
    lines = [f'%#include "{one.stem}.h"' for one in module.imports]
    for one in module.types:
        # What a header of the system calls by the same name keeps it.
        lines += [f"%#define {name} own_{name}" for name in (one.name, f"xdr_{one.name}")]
        if isinstance(one, t.Struct | t.Union):
            # A pointer may come before what it points to, once that has a name; and rpcgen
            # takes a list of the struct that it is in only under another name.
            lines += [f"%typedef struct {one.name} {one.name}, {SELF}{one.name};"]
            lines += [f"%#define xdr_{SELF}{one.name} xdr_{one.name}"]
    lines += sorted({line for definition in module.types for line in _opaque_elements(definition)})
    lines += [line for definition in _ordered(module) for line in _definition(definition)]
    return "\n".join(lines) + "\n"


def _opaque_elements(definition: t.TypeDefinition) -> Iterator[str]:
    """Typedefs for elements that the language can only name: ``quadruple x[2]``."""
    for part in t.parts(definition):
        if isinstance(part, t.Array | t.Optional) and isinstance(part.element, t.Opaque):
            yield f"typedef {_declaration(part.element, _element(part.element))}"


def _element(type_: t.Type) -> str:
    match type_:
        case t.Primitive(name=name):
            return name
        case t.Named(definition=definition):
            return definition.name
        case t.Opaque(length=length, fixed=fixed):
            return f"{'fixed' if fixed else 'up_to'}_{length}"
        case _:
            raise AssertionError(f"the language has no list of {type_}")


def _ordered(module: t.Module) -> list[t.TypeDefinition]:
    found: dict[t.TypeDefinition, None] = {}
    local = set(module.types)

    def visit(definition: t.TypeDefinition) -> None:
        if definition in found or definition not in local:
            return
        for part in t.parts(definition):
            for needed in _needed(part):
                visit(needed)
        found[definition] = None

    for definition in module.types:
        visit(definition)
    return list(found)


def _needed(type_: t.Type, behind_pointer: bool = False) -> Iterator[t.TypeDefinition]:
    """What C must have seen in full."""
    match type_:
        case t.Named(definition=definition):
            if not (behind_pointer and isinstance(definition, t.Struct | t.Union)):
                yield definition
        case t.Array(element=element, fixed=fixed):
            yield from _needed(element, behind_pointer or not fixed)
        case t.Optional(element=element):
            yield from _needed(element, True)


def _definition(definition: t.TypeDefinition) -> Iterator[str]:
    match definition:
        case t.Enum(name=name, members=members_):
            yield f"enum {name} {{ {', '.join(f'{one.name} = {one.value}' for one in members_)} }};"
        case t.Struct(name=name, fields=fields):
            declared = (_declaration(one.type, one.name, name) for one in fields)
            yield f"struct {name} {{ {' '.join(declared)} }};"
        case t.Union(name=name, discriminant=discriminant):
            yield f"union {name} switch ({_declaration(discriminant.type, discriminant.name)[:-1]}) {{"
            arms = sorted(members(definition), key=lambda pair: pair[0].is_default)
            yield from (_arm(arm, member, name) for arm, member in arms)
            yield "};"
        case t.Alias(name=name, target=target):
            yield f"typedef {_declaration(target, name)}"


def _arm(arm: t.Arm, member: str, union: str) -> str:
    labels = " ".join(f"case {label.value}:" for label in arm.labels) or "default:"
    return f"{labels} {_declaration(arm.field.type, member, union) if arm.field else 'void;'}"


def _declaration(type_: t.Type, name: str, inside: str = "") -> str:
    match type_:
        case t.Primitive(name=spelling):
            return f"{spelling} {name};"
        case t.Named(definition=definition):
            return f"{definition.name} {name};"
        case t.Opaque(length=length, fixed=fixed):
            return f"opaque {name}{_bound(length, fixed)};"
        case t.String(maximum=maximum):
            return f"string {name}{_bound(maximum, False)};"
        case t.CharArray(length=length, fixed=fixed, signed=signed):
            return f"{'char' if signed else 'unsigned char'} {name}{_bound(length, fixed)};"
        case t.Array(element=element, length=length, fixed=fixed):
            own = SELF if _element(element) == inside else ""
            return f"{own}{_element(element)} {name}{_bound(length, fixed)};"
        case t.Optional(element=element):
            return f"{_element(element)} *{name};"


def _bound(length: int, fixed: bool) -> str:
    if fixed:
        return f"[{length}]"
    return "<>" if length == t.UNBOUNDED else f"<{length}>"
