"""What the templates for programs, clients and servers are given: complete before rendering.

Texts here are names, hints, prose and expressions; statements are the templates'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rpcgen.emit import names
from rpcgen.emit.hints import Hints
from rpcgen.emit.imports import ImportView, import_order
from rpcgen.emit.naming import Naming
from rpcgen.emit.rows import CodecView, Rows, RowView
from rpcgen.emit.stub_view import Stubs, StubView, paragraphs
from rpcgen.model.types import Module, Procedure, Program

_NEEDS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "program": {
        "rpcgen.runtime.program": {
            "VOID": "void",
            "Procedure": "",
            "Program": "",
            "shape_codec": "shapes",
        },
    },
    "program hints": {"rpcgen.runtime.program": {"Codec": "shapes"}},
    "client hints": {
        "collections.abc": {"Callable": "events", "Sequence": "fds_in"},
        "rpcgen.runtime.stubs": {
            "AsyncCaller": "",
            "AsyncClientStream": "streams",
            "AsyncSubscription": "events",
            "Caller": "",
            "ClientStream": "streams",
            "Subscription": "events",
        },
    },
    "server": {
        "rpcgen.runtime.errors": {"UnknownProcedure": "calls"},
        "rpcgen.runtime.program": {"DispatchTable": ""},
    },
    "server hints": {
        "collections.abc": {"Awaitable": "calls", "Sequence": "fds_out"},
        "typing": {"ClassVar": ""},
        "rpcgen.runtime.stubs": {
            "Call": "plain",
            "EventTarget": "events",
            "StreamCall": "streams",
            "StreamData": "reads",
        },
    },
}
"""What generated modules import besides types: where, from where, which names, for which use."""

_STEMS = ("{}Client", "Async{}Client", "{}Server")
"""The classes made for a program."""

_HEXADECIMAL = 0x20000000
"""Program numbers from here on are everybody's own, and written so; those below are assigned, in decimal."""

_SERVER_DOC = """\
Override, plain or ``async def``, what you offer: the rest answers "unknown procedure"."""


@dataclass(slots=True)
class ProgramView:
    """One version of one program; ``row`` is the variable that holds it."""

    cls: str
    row: str
    number: str
    version: int
    client_doc: str
    server_doc: str
    rows: list[RowView]
    calls: list[StubView]
    events: list[StubView]


@dataclass(slots=True)
class ProgramsView:
    """The programs of one ``.x`` file, and what their modules import.

    Attributes:
        codecs: those of payloads that have no type of their own.
    """

    file: str
    programs: list[ProgramView]
    codecs: list[CodecView]
    program_imports: list[ImportView]
    program_hints: list[ImportView]
    client_imports: list[ImportView]
    client_hints: list[ImportView]
    server_imports: list[ImportView]
    server_hints: list[ImportView]


def program_view(module: Module, naming: Naming) -> ProgramsView:
    """The view of a module's programs."""
    taken = _taken(module, naming)
    row_hints = Hints(naming, taken)
    rows, stubs = Rows(module, naming, row_hints), Stubs(naming, taken)
    programs = [_program(one, naming, rows, stubs) for one in module.programs]
    uses = {use for one in module.programs for part in one.procedures for use in _uses(part)}
    uses |= {"shapes"} if rows.codecs else set()
    own = ImportView(naming.package_of(module.stem), ["program as _program"])
    return ProgramsView(
        file=names.file_label(module.stem),
        programs=programs,
        codecs=rows.codecs,
        program_imports=_sorted(*rows.imports(), *_needed("program", uses)),
        program_hints=_sorted(*_types(row_hints, naming), *_needed("program hints", uses)),
        client_imports=_sorted(own, *_types(stubs.client, naming)),
        client_hints=_needed("client hints", uses),
        server_imports=_sorted(own, *_types(stubs.server, naming), *_needed("server", uses)),
        server_hints=_needed("server hints", uses),
    )


def _taken(module: Module, naming: Naming) -> set[str]:
    """The classes of generated modules that are not types."""
    stubs = {form.format(naming.program(one)) for one in module.programs for form in _STEMS}
    return stubs.union(*(names for lines in _NEEDS.values() for names in lines.values()))


def _program(program: Program, naming: Naming, rows: Rows, stubs: Stubs) -> ProgramView:
    name = program.name if program.dialect == "enum" else f"{program.name} {program.version_name}"
    number = f"{program.number:#x}" if program.number >= _HEXADECIMAL else f"{program.number}"
    title = f"{name} ({number}), version {program.version}"
    cls = naming.program(program)
    return ProgramView(
        cls=cls,
        row=naming.program_row(program),
        number=number,
        version=program.version,
        client_doc=paragraphs(f"A client of {title}.", program.doc),
        server_doc=paragraphs(f"A server of {title}.", program.doc, _SERVER_DOC),
        rows=[rows.row(program, one) for one in program.procedures],
        calls=[stubs.call(program, one) for one in program.procedures if not one.annotations.event],
        events=[stubs.event(program, one) for one in program.procedures if one.annotations.event],
    )


def _uses(procedure: Procedure) -> Iterator[str]:
    """What occurs in a procedure, for imports that hang on it."""
    marks = procedure.annotations
    if procedure.argument is None or procedure.result is None:
        yield "void"
    if marks.event:
        yield "events"
        return
    yield "calls"
    yield "streams" if marks.stream else "plain"
    if marks.stream == "read":
        yield "reads"
    if marks.fds_in:
        yield "fds_in"
    if marks.fds_out:
        yield "fds_out"


def _needed(where: str, uses: set[str]) -> list[ImportView]:
    lines = (
        ImportView(module, [name for name, use in names.items() if not use or use in uses])
        for module, names in _NEEDS[where].items()
    )
    return [line for line in lines if line.names]


def _types(hints: Hints, naming: Naming) -> list[ImportView]:
    """The classes that hints name, by module; one that gave way has a line of its own."""
    by_stem: dict[str, list[str]] = {}
    others = []
    for stem, name in sorted(hints.classes, key=lambda found: import_order(found[1])):
        if name.startswith("_"):
            others.append(ImportView(_types_of(stem, naming), [f"{name[1:]} as {name}"]))
        else:
            by_stem.setdefault(stem, []).append(name)
    return [
        *(ImportView(_types_of(stem, naming), names) for stem, names in by_stem.items()),
        *others,
    ]


def _types_of(stem: str, naming: Naming) -> str:
    return f"{naming.package_of(stem)}.types"


def _sorted(*lines: ImportView) -> list[ImportView]:
    """By module, then by the first name."""
    return sorted(lines, key=lambda line: (line.module, import_order(line.names[0])))
