"""What tests of several layers share."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeAlias

import pytest

from rpcgen.errors import Location, SpecError
from rpcgen.syntax import tree


def require(condition: object, reason: str) -> None:
    """Skip the test without ``condition``; where interop is demanded, fail instead."""
    if condition:
        return
    if os.environ.get("RPCGEN_REQUIRE_INTEROP") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def reported(found: Iterable[SpecError]) -> list[str]:
    """Diagnostics as one line each: ``4:9: expected ...``, notes and hint indented behind it."""
    lines = []
    for one in found:
        lines.append(f"{_place(one.at)}{one.message}")
        lines += [f"  note: {_place(note.at)}{note.message}" for note in one.notes]
        lines += [f"  hint: {one.hint}"] if one.hint else []
    return lines


def _place(at: Location | None) -> str:
    return f"{at.line}:{at.column}: " if at else ""


Folded: TypeAlias = "str | list[Folded]"


def fold(node: object) -> Folded:
    """A syntax tree as nested lists that read like the source: ``["struct", "s", "int x[3]"]``."""
    match node:
        case tree.Specification(definitions=definitions):
            return [fold(one) for one in definitions]
        case tree.PassThrough(text=text):
            return f"%{text}"
        case tree.ConstDefinition(name=name, value=value):
            return ["const", name.text, _value(value)]
        case tree.EnumDefinition(name=name, members=members):
            return ["enum", name.text, *map(_member, members)]
        case tree.StructDefinition(name=name, fields=fields, pointer=pointer):
            return ["struct *" if pointer else "struct", name.text, *map(_declaration, fields)]
        case tree.UnionDefinition(name=name, body=body):
            return ["union", name.text, *_union(body)]
        case tree.TypedefDefinition(declaration=declaration):
            return ["typedef", _declaration(declaration)]
        case tree.ProgramDefinition(name=name, versions=versions, number=number):
            return ["program", name.text, _value(number), *map(fold, versions)]
        case tree.VersionDefinition(name=name, procedures=procedures, number=number):
            return ["version", name.text, _value(number), *map(fold, procedures)]
        case tree.ProcedureDefinition(name=name, result=result, arguments=arguments, number=number):
            called = [_declaration(one) for one in arguments]
            return [_declaration(result), name.text, called, _value(number)]
    raise AssertionError(f"no node: {node!r}")


def _value(value: tree.Value | tree.Text) -> str:
    return f'"{value.value}"' if isinstance(value, tree.Text) else value.text


def _member(member: tree.EnumMember) -> str:
    return f"{member.name.text} = {_value(member.value)}" if member.value else member.name.text


def _union(body: tree.UnionBody) -> list[Folded]:
    return [_declaration(body.discriminant), *map(_arm, body.arms)]


def _arm(arm: tree.UnionArm) -> Folded:
    labels: list[Folded] = [_value(label) for label in arm.labels]
    return [*(labels or ["default"]), _declaration(arm.declaration)]


def _declaration(declaration: tree.Declaration) -> Folded:
    """One string; two parts where the type is written in place."""
    bound = _value(declaration.bound) if declaration.bound else ""
    name = declaration.name.text if declaration.name else ""
    star = "*" if declaration.form is tree.Form.OPTIONAL or declaration.pointer else ""
    shape = {tree.Form.FIXED: f"[{bound}]", tree.Form.VARIABLE: f"<{bound}>"}.get(
        declaration.form, ""
    )
    rest = f"{star}{name}{shape}{'...' if declaration.extra else ''}"
    type_ = _type(declaration.type)
    return f"{type_} {rest}".rstrip() if isinstance(type_, str) else [type_, rest]


def _type(type_: tree.TypeSpecifier) -> Folded:
    match type_:
        case tree.Builtin(name=name):
            return name
        case tree.TypeName(name=name, tag=tag):
            return f"{tag} {name.text}" if tag else name.text
        case tree.InlineEnum(members=members):
            return ["enum", *map(_member, members)]
        case tree.InlineStruct(fields=fields):
            return ["struct", *map(_declaration, fields)]
        case tree.InlineUnion(body=body):
            return ["union", *_union(body)]
