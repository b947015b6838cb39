"""Procedures as methods: parameters, results and docstrings of clients and servers."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from rpcgen.emit import names
from rpcgen.emit.hints import Hints
from rpcgen.emit.naming import Naming
from rpcgen.model.types import (
    UNSIGNED_INT,
    Annotations,
    Field,
    Named,
    Optional,
    Procedure,
    Program,
    Struct,
    Type,
    resolve,
)

PROSE_WIDTH = 84
"""Where prose about a parameter or a result is wrapped, its margin not counted."""


@dataclass(slots=True)
class StubView:
    """One procedure or event, as a method.

    Attributes:
        row: the variable that holds its row.
        takes: what a client's method takes behind ``self``.
        handles: what a server's method takes behind ``call``, a sender of events behind ``to``.
        argument: the expression that makes the argument from these.
        message: the hint of an event's argument.
        result: the hint of what a client returns, descriptors apart.
        answer: the hint of what a server's method returns.
        member: how that is got from the reply: ``.name``, or nothing.
        doc: all prose there is; ``brief`` has no more than its first paragraph.
        marks: its annotations.
    """

    row: str
    number: int
    method: str
    takes: list[str]
    handles: list[str]
    argument: str
    message: str
    result: str
    answer: str
    member: str
    doc: str
    brief: str
    marks: Annotations


@dataclass(frozen=True, slots=True)
class _Parameter:
    """A parameter of a stub, by its Python name."""

    name: str
    type: Type
    doc: str = ""
    default: str = ""


class Stubs:
    """The stubs of one module.

    Args:
        naming: names of the module.
        taken: see ``Hints``.

    Attributes:
        client: the classes that the ``client`` module names.
        server: those that the ``server`` module names.
    """

    def __init__(self, naming: Naming, taken: Collection[str]) -> None:
        self._naming = naming
        self.client = Hints(naming, taken)
        self.server = Hints(naming, taken)

    def call(self, program: Program, procedure: Procedure) -> StubView:
        """A procedure: the client makes the argument, and both sides see a bare result."""
        parameters = self._parameters(procedure)
        owner, only = _only_field(procedure.result)
        result = only.type if only else procedure.result
        stub = self._stub(program, procedure, parameters, maker=self.client)
        return replace(
            stub,
            takes=[_declared(one, self.client) for one in parameters],
            result=_hint(result, self.client),
            answer=_answer(_hint(result, self.server), procedure.annotations),
            member=f".{self._naming.field(owner, only)}" if owner and only else "",
            doc=paragraphs(procedure.doc, _head(procedure), _arguments(parameters), _returns(only)),
        )

    def event(self, program: Program, procedure: Procedure) -> StubView:
        """An event: the server makes the message, and a client's handler sees it whole."""
        stub = self._stub(program, procedure, self._parameters(procedure), maker=self.server)
        return replace(stub, message=_hint(procedure.argument, self.client))

    def _stub(
        self,
        program: Program,
        procedure: Procedure,
        parameters: Sequence[_Parameter],
        maker: Hints,
    ) -> StubView:
        brief = paragraphs(procedure.doc.partition("\n\n")[0], _head(procedure))
        return StubView(
            row=self._naming.row(program, procedure),
            number=procedure.number,
            method=self._naming.procedure(procedure),
            takes=[],
            handles=[f"{one.name}: {self.server.of(one.type)}" for one in parameters],
            argument=_argument(procedure.argument, parameters, maker),
            message="",
            result="",
            answer="",
            member="",
            doc=brief,
            brief=brief,
            marks=procedure.annotations,
        )

    def _parameters(self, procedure: Procedure) -> list[_Parameter]:
        """The fields of an argument that is a struct; any other argument as it is."""
        event = procedure.annotations.event
        match procedure.argument and resolve(procedure.argument):
            case None:
                return []
            case Named(definition=Struct() as struct):
                fields = [
                    _Parameter(self._naming.parameter(struct, one, event=event), one.type, one.doc)
                    for one in struct.fields
                ]
                return _with_defaults(fields, [one.name for one in struct.fields])
            case other:
                name = names.parameter_name(procedure.parameter or "value", event=event)
                return _with_defaults([_Parameter(name, other)], [procedure.parameter])


def _declared(parameter: _Parameter, hints: Hints) -> str:
    default = f" = {parameter.default}" if parameter.default else ""
    return f"{parameter.name}: {hints.of(parameter.type)}{default}"


def _argument(argument: Type | None, parameters: Sequence[_Parameter], hints: Hints) -> str:
    """The expression that makes the argument from the parameters."""
    given = ", ".join(one.name for one in parameters)
    match argument and resolve(argument):
        case None:
            return "None"
        case Named(definition=Struct() as struct):
            return f"{hints.of_definition(struct)}({given})"
    return given


def _hint(type_: Type | None, hints: Hints) -> str:
    return hints.of(type_) if type_ else "None"


def _with_defaults(parameters: Sequence[_Parameter], spellings: Sequence[str]) -> list[_Parameter]:
    """Defaults for a tail of optionals, with ``unsigned int flags`` behind them or not."""
    tail = list(parameters)
    defaults: list[_Parameter] = []
    if tail and spellings[-1] == "flags" and resolve(tail[-1].type) == UNSIGNED_INT:
        defaults.insert(0, replace(tail.pop(), default="0"))
    while tail and isinstance(resolve(tail[-1].type), Optional):
        defaults.insert(0, replace(tail.pop(), default="None"))
    return tail + defaults


def _only_field(result: Type | None) -> tuple[Struct, Field] | tuple[None, None]:
    """The field of a result that is a struct with one: stubs pass its value bare."""
    match result and resolve(result):
        case Named(definition=Struct(fields=[field]) as struct):
            return struct, field
    return None, None


def _answer(result: str, marks: Annotations) -> str:
    """What a handler returns, or an awaitable of it; ``None`` stands last."""
    if marks.stream:
        result = "StreamData" if marks.stream == "read" else "None"
    elif marks.fds_out:
        result = f"tuple[{result}, Sequence[int]]"
    awaited = f"Awaitable[{result}]"
    if result == "None" or result.endswith(" | None"):
        return f"{result.removesuffix('None')}{awaited} | None"
    return f"{result} | {awaited}"


def _head(procedure: Procedure) -> str:
    return f"{procedure.name} ({procedure.number})."


def _arguments(parameters: Sequence[_Parameter]) -> str:
    said = [f"{one.name}: {one.doc}" for one in parameters if one.doc]
    return "\n".join(["Args:", *map(_entry, said)]) if said else ""


def _returns(only: Field | None) -> str:
    return "\n".join(["Returns:", _entry(only.doc)]) if only and only.doc else ""


def _entry(text: str) -> str:
    filled = textwrap.fill(text, PROSE_WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    return textwrap.indent(filled, "    ")


def paragraphs(*texts: str) -> str:
    """The texts that are not empty, a blank line between them."""
    return "\n\n".join(filter(None, texts))
