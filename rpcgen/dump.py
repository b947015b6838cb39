"""What ``rpcgen dump`` prints of one file: its model with Python names, or its syntax tree, as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from rpcgen import syntax
from rpcgen.emit.naming import Naming
from rpcgen.errors import Diagnostics, Location
from rpcgen.generate import Settings, Task, load_modules
from rpcgen.model import types
from rpcgen.model.dump import Thing, as_json


def dump_model(task: Task, settings: Settings) -> str:
    """What the file means, ``python`` beside each ``name``."""
    diagnostics = Diagnostics()
    modules = load_modules(task.inputs, task.include, settings, diagnostics)
    diagnostics.check()
    (module,) = modules
    names = dict(_python_names(module, Naming(module, task.package, settings.rename)))
    return json.dumps(as_json(module, names.get), indent=2)


def _python_names(module: types.Module, naming: Naming) -> Iterator[tuple[Thing, str]]:
    yield from ((one, naming.constant(one)) for one in module.constants)
    for definition in module.types:
        yield definition, naming.type(definition)
        match definition:
            case types.Enum(members=members):
                yield from ((one, naming.member(definition, one)) for one in members)
            case types.Struct(fields=fields):
                yield from ((one, naming.field(definition, one)) for one in fields)
            case types.Union(discriminant=discriminant, arms=arms):
                yield from ((one, naming.arm(definition, one)) for one in arms)
                yield discriminant, naming.discriminant(definition)
                values = (one.field for one in arms if one.field)
                yield from ((one, naming.field(definition, one)) for one in values)
    for program in module.programs:
        yield program, naming.program(program)
        yield from ((one, naming.procedure(one)) for one in program.procedures)


def dump_tree(task: Task, settings: Settings) -> str:
    """What the file says, node by node."""
    (path,) = task.inputs
    found = syntax.parse(
        Path(path).read_bytes(), path, include_path=task.include, defines=settings.defines
    )
    return json.dumps(_plain(found), indent=2)


def _plain(value: object) -> object:
    match value:
        case Location():
            return str(value)
        case Enum():
            return value.value
        case tuple():
            return [_plain(one) for one in value]
        case _ if dataclasses.is_dataclass(value):
            fields = {
                one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value)
            }
            return {"node": type(value).__name__, **fields}
        case _:
            return value
