"""A module as data for ``rpcgen dump``, and as the text of a lock file that shows every change of the wire.

``as_json`` says everything that the model knows; ``shapes`` says what travels and nothing else: no
comments, no places, no order of definitions. Neither knows Python names: whoever does passes a function.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rpcgen.errors import Location
from rpcgen.model.types import (
    UNBOUNDED,
    Access,
    Alias,
    Annotations,
    Arm,
    Array,
    CharArray,
    Constant,
    Enum,
    Field,
    Member,
    Module,
    Named,
    Opaque,
    Optional,
    Primitive,
    Procedure,
    Program,
    String,
    Struct,
    Type,
    TypeDefinition,
    Union,
)

Thing = Constant | Member | Field | Arm | Procedure | Program | TypeDefinition
PythonName = Callable[[Thing], str | None]
Data = dict[str, Any]


def no_name(_: Thing) -> None:
    """Leave Python names out."""


def as_json(module: Module, python_name: PythonName = no_name) -> Data:
    """Plain values that ``json.dumps`` takes.

    Args:
        python_name: the Python name of a thing of the model, or None; it stands as ``python`` beside ``name``.
    """
    return _Dump(python_name).module(module)


class _Dump:
    """Keys in a fixed order; what has nothing to say (no doc, no annotation) is left out."""

    def __init__(self, python_name: PythonName) -> None:
        self._python_name = python_name

    def module(self, module: Module) -> Data:
        return {
            "file": module.file,
            "stem": module.stem,
            **_doc(module.doc),
            "inputs": list(module.inputs),
            "imports": [one.file for one in module.imports],
            "constants": [self._constant(one) for one in module.constants],
            "types": [self._definition(one) for one in module.types],
            "programs": [self._program(one) for one in module.programs],
        }

    def _names(self, thing: Thing, name: str, at: Location | None, doc: str) -> Data:
        python = self._python_name(thing)
        return {
            "name": name,
            **({} if python is None else {"python": python}),
            **({} if at is None else {"at": str(at)}),
            **_doc(doc),
        }

    def _constant(self, one: Constant) -> Data:
        names = self._names(one, one.name, one.at, one.doc)
        return {**names, "value": one.value, "spelling": one.spelling}

    def _definition(self, one: TypeDefinition) -> Data:
        names = self._names(one, one.name, one.at, one.doc)
        match one:
            case Enum(members=members):
                return {
                    "kind": "enum",
                    **names,
                    "open": one.open,
                    "members": [self._member(x) for x in members],
                }
            case Struct(fields=fields):
                flags = {"chain": one.chain, "implicit": one.implicit}
                return {
                    "kind": "struct",
                    **names,
                    **flags,
                    "fields": [self._field(x) for x in fields],
                }
            case Union(discriminant=discriminant, arms=arms):
                switch = {"discriminant": self._field(discriminant)}
                return {"kind": "union", **names, **switch, "arms": [self._arm(x) for x in arms]}
            case Alias(target=target):
                return {"kind": "typedef", **names, "spelling": one.spelling, "type": _type(target)}

    def _member(self, one: Member) -> Data:
        return {**self._names(one, one.name, one.at, one.doc), "value": one.value}

    def _field(self, one: Field) -> Data:
        names = self._names(one, one.name, one.at, one.doc)
        return {**names, "spelling": one.spelling, "type": _type(one.type)}

    def _arm(self, one: Arm) -> Data:
        labels = [{"value": label.value, "spelling": label.spelling} for label in one.labels]
        field = self._field(one.field) if one.field else None
        return {"labels": labels, "default": one.is_default, **_doc(one.doc), "field": field}

    def _program(self, one: Program) -> Data:
        return {
            **self._names(one, one.name, one.at, one.doc),
            "number": one.number,
            "version_name": one.version_name,
            "version": one.version,
            "dialect": one.dialect,
            "procedures": [self._procedure(x) for x in one.procedures],
        }

    def _procedure(self, one: Procedure) -> Data:
        return {
            **self._names(one, one.name, one.at, one.doc),
            "label": one.label,
            "number": one.number,
            "argument": _type(one.argument) if one.argument else None,
            **({"parameter": one.parameter} if one.parameter else {}),
            "result": _type(one.result) if one.result else None,
            "annotations": _annotations(one.annotations),
        }


def _doc(text: str) -> Data:
    return {"doc": text} if text else {}


def _type(type_: Type) -> Data:
    match type_:
        case Primitive(name=name, size=size):
            return {"kind": name, "size": size}
        case Opaque(length=length, fixed=fixed):
            return {"kind": "opaque", "length": length, "fixed": fixed}
        case String(maximum=maximum):
            return {"kind": "string", "maximum": maximum}
        case CharArray(length=length, fixed=fixed, signed=signed):
            return {"kind": "chars", "length": length, "fixed": fixed, "signed": signed}
        case Array(element=element, length=length, fixed=fixed):
            return {"kind": "array", "element": _type(element), "length": length, "fixed": fixed}
        case Optional(element=element):
            return {"kind": "optional", "element": _type(element)}
        case Named(definition=definition):
            return {"kind": "named", "name": definition.name, "module": definition.module}


def _annotations(one: Annotations) -> Data:
    return {
        "pairs": [list(pair) for pair in one.pairs],
        "generate": one.generate,
        "priority": one.priority,
        "stream": one.stream,
        "sparse_flag": one.sparse_flag,
        "acl": [_access(x) for x in one.acl],
        "acl_filter": [_access(x) for x in one.acl_filter],
        "event": one.event,
        "auth_none": one.auth_none,
        "fds_in": one.fds_in,
        "fds_out": one.fds_out,
        "nonblocking": one.nonblocking,
    }


def _access(one: Access) -> Data:
    named = {"object": one.object, "permission": one.permission, "flags": one.flags}
    return {
        key: value
        for key, value in {**named, "parameter": one.parameter, "value": one.value}.items()
        if value
    }


# Wire shapes


def shapes(module: Module) -> str:
    """What of a module is on the wire, one thing a line, every bound a number; equal texts mean equal bytes.

    Definitions are sorted by name and procedures by number, so that moving them changes nothing here.
    """
    blocks = [
        *sorted(f"const {one.name} = {json.dumps(one.value)}" for one in module.constants),
        *sorted(map(_definition_shape, module.types)),
        *(map(_program_shape, sorted(module.programs, key=lambda one: (one.number, one.version)))),
    ]
    return "".join(f"{block}\n" for block in blocks)


def _definition_shape(definition: TypeDefinition) -> str:
    match definition:
        case Enum(name=name, members=members):
            heading = f"enum {name}" + (" open" if definition.open else "")
            return _block(heading, (f"{one.name} = {one.value}" for one in members))
        case Struct(name=name, fields=fields):
            return _block(f"struct {name}", map(_field_shape, fields))
        case Union(name=name, discriminant=discriminant, arms=arms):
            return _block(
                f"union {name} switch {_field_shape(discriminant)}", map(_arm_shape, arms)
            )
        case Alias(name=name, target=target):
            return f"typedef {name}: {_shape(target)}"


def _program_shape(program: Program) -> str:
    heading = f"program {program.name} = {program.number} version {program.version_name} = {program.version}"
    return _block(
        heading, map(_procedure_shape, sorted(program.procedures, key=lambda one: one.number))
    )


def _procedure_shape(one: Procedure) -> str:
    argument = _shape(one.argument) if one.argument else "void"
    result = _shape(one.result) if one.result else "void"
    marks = " ".join(_marks(one.annotations))
    return f"{one.number} {one.name}: {argument} -> {result} {marks}".rstrip()


def _marks(one: Annotations) -> Iterator[str]:
    """The annotations that a peer can see."""
    if one.event:
        yield "@event"
    if one.stream:
        yield f"@{one.stream}stream"
    if one.sparse_flag is not None:
        yield f"@sparseflag={one.sparse_flag}"
    if one.fds_in:
        yield "@fds=in"
    if one.fds_out:
        yield "@fds=out"
    if one.auth_none:
        yield "@auth=none"


def _field_shape(field: Field) -> str:
    return f"{field.name}: {_shape(field.type)}"


def _arm_shape(arm: Arm) -> str:
    values = ", ".join(f"case {label.value}" for label in arm.labels) or "default"
    return f"{values}: {_field_shape(arm.field) if arm.field else 'void'}"


def _shape(type_: Type) -> str:
    match type_:
        case Primitive(name=name):
            return name
        case Opaque(length=length, fixed=fixed):
            return f"opaque{_bound(length, fixed)}"
        case String(maximum=maximum):
            return f"string{_bound(maximum, False)}"
        case CharArray(length=length, fixed=fixed, signed=signed):
            return f"{'char' if signed else 'unsigned char'}{_bound(length, fixed)}"
        case Array(element=element, length=length, fixed=fixed):
            return f"{_shape(element)}{_bound(length, fixed)}"
        case Optional(element=element):
            return f"{_shape(element)}*"
        case Named(definition=definition):
            return definition.name


def _bound(length: int, fixed: bool) -> str:
    if fixed:
        return f"[{length}]"
    return "<>" if length == UNBOUNDED else f"<{length}>"


def _block(heading: str, rows: Iterable[str]) -> str:
    return "\n".join([heading, *(f"    {row}" for row in rows)])
