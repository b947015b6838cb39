"""The rows of the ``program`` module: numbers, names, codecs and annotations as expressions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rpcgen.emit import names
from rpcgen.emit.facts import Facts
from rpcgen.emit.hints import Hints
from rpcgen.emit.imports import ImportView
from rpcgen.emit.naming import Naming
from rpcgen.emit.shape_view import ShapeView
from rpcgen.model.types import (
    Access,
    Annotations,
    Module,
    Named,
    Procedure,
    Program,
    Struct,
    Type,
    resolve,
)


@dataclass(slots=True)
class RowView:
    """One row; ``argument`` and ``result`` are its codecs."""

    name: str
    x_name: str
    number: int
    method: str
    argument: str
    result: str
    options: list[str]


@dataclass(slots=True)
class CodecView:
    """The codec of a payload that has no type of its own."""

    name: str
    hint: str
    shape: str


class Rows:
    """The rows of one module, and what they use.

    Attributes:
        codecs: those of payloads such as a bare ``string``, in the order of first use.
    """

    def __init__(self, module: Module, naming: Naming, hints: Hints) -> None:
        self._naming = naming
        self._hints = hints
        self._shapes = ShapeView(naming, Facts(module))
        self._codecs: dict[str, CodecView] = {}
        self._modules: set[tuple[str, str]] = set()

    @property
    def codecs(self) -> list[CodecView]:
        return list(self._codecs.values())

    def row(self, program: Program, procedure: Procedure) -> RowView:
        """The row of one procedure."""
        return RowView(
            name=self._naming.row(program, procedure),
            x_name=procedure.name,
            number=procedure.number,
            method=self._naming.procedure(procedure),
            argument=self._codec(procedure.argument),
            result=self._codec(procedure.result),
            options=[
                *self._parameters(procedure.argument),
                *self._wrap(procedure.result),
                *_marks(procedure.annotations),
            ],
        )

    def imports(self) -> list[ImportView]:
        """The generated modules that the rows name."""
        return [
            ImportView(self._naming.package_of(stem), [f"{module} as {self._alias(stem, module)}"])
            for stem, module in sorted(self._modules)
        ]

    def _codec(self, type_: Type | None) -> str:
        match type_:
            case None:
                return "VOID"
            case Named(definition=definition):
                function = self._naming.function(definition)
                encoder = self._module(definition.module, "encoder")
                decoder = self._module(definition.module, "decoder")
                return f"({encoder}.encode_{function}, {decoder}.read_{function})"
        return self._shaped(type_).name

    def _shaped(self, type_: Type) -> CodecView:
        shape = self._shapes.shape(type_)
        if shape not in self._codecs:
            self._module(self._naming.module.stem, "types")
            name = "_" + re.sub(r"\W+", "_", shape).strip("_")
            taken = {codec.name for codec in self._codecs.values()}
            while name in taken:
                name += "_"
            self._codecs[shape] = CodecView(name, self._hints.of(type_), shape)
        return self._codecs[shape]

    def _parameters(self, type_: Type | None) -> list[str]:
        """The attributes that stubs take one by one: the row's default is none at all."""
        match type_ and resolve(type_):
            case None:
                return []
            case Named(definition=Struct() as struct):
                attributes = [self._naming.field(struct, field) for field in struct.fields]
                return [f"parameters={_tuple(attributes)}"] if attributes else []
        return ["parameters=None"]

    def _wrap(self, type_: Type | None) -> list[str]:
        match type_ and resolve(type_):
            case Named(definition=Struct(fields=[_]) as struct):
                module = self._module(struct.module, "types")
                return [f"wrap={module}.{self._naming.type(struct)}"]
        return []

    def _module(self, stem: str, module: str) -> str:
        """A generated module as ``program`` knows it; no ``.x`` name begins like that."""
        self._modules.add((stem, module))
        return self._alias(stem, module)

    def _alias(self, stem: str, module: str) -> str:
        local = stem == self._naming.module.stem
        return f"_{module}" if local else f"_{names.module_name(stem)}_{module}"


def _marks(marks: Annotations) -> list[str]:
    """The annotations that are not the default of the row."""
    options: list[tuple[str, object, object]] = [
        ("event", marks.event, False),
        ("stream", marks.stream, None),
        ("sparse_flag", marks.sparse_flag, None),
        ("priority", marks.priority, "low"),
        ("auth_none", marks.auth_none, False),
        ("fds_in", marks.fds_in, False),
        ("fds_out", marks.fds_out, False),
        ("nonblocking", marks.nonblocking, False),
        ("acl", tuple(map(_access, marks.acl)), ()),
        ("acl_filter", tuple(map(_access, marks.acl_filter)), ()),
        ("generate", marks.generate, "both"),
    ]
    return [f"{name}={_literal(value)}" for name, value, default in options if value != default]


def _access(access: Access) -> str:
    """The entry as the file writes it."""
    parts = (access.object, access.permission, access.flags, access.parameter, access.value)
    return ":".join(parts).rstrip(":")


def _literal(value: object) -> str:
    if isinstance(value, tuple):
        return _tuple(value)
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _tuple(texts: list[str] | tuple[str, ...]) -> str:
    quoted = ", ".join(f'"{text}"' for text in texts)
    return f"({quoted},)" if len(texts) == 1 else f"({quoted})"
