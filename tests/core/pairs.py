"""Two protocol cores that talk to each other in memory, and packets by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rpcgen.examples.filer.bindings.filer import program as filer
from rpcgen.runtime.client_connection import ClientConnection
from rpcgen.runtime.connection import Connection
from rpcgen.runtime.limits import Limits
from rpcgen.runtime.message import CALL, OK, head
from rpcgen.runtime.program import Procedure, Route
from rpcgen.runtime.server_connection import ServerConnection

PATH = b"\0\0\0\1x\0\0\0"
"""An argument of most of filer's procedures: the path "x"."""

ROUTES = {
    number: Route(procedure, lambda *_: None)
    for number, procedure in filer.FILER_V1.procedures.items()
    if not procedure.event and number != 2
}
"""All of filer's procedures but STAT (2), which is not offered."""

PROGRAMS = {(filer.FILER_V1.number, filer.FILER_V1.version): ROUTES}


def client(**settings: Any) -> ClientConnection:
    return ClientConnection(settings.pop("limits", Limits()), **settings)


def server(**settings: Any) -> ServerConnection:
    return ServerConnection(PROGRAMS, settings.pop("limits", Limits()), **settings)


def raw(
    procedure: int,
    payload: bytes = b"",
    *,
    kind: int = CALL,
    serial: int = 0,
    status: int = OK,
    program: int = filer.FILER_V1.number,
    version: int = 1,
) -> bytes:
    """A packet, by default a call of filer's."""
    return head(len(payload), program, version, procedure, kind, serial, status) + payload


def taken(core: Connection) -> bytes:
    """All bytes that a core wants to send; descriptors are skipped."""
    found = b""
    while core.outbox:
        if core.outbox.fd is not None:
            core.outbox.sent_fd()
            continue
        data = b"".join(bytes(one) for one in core.outbox.batch())
        core.outbox.sent(len(data))
        found += data
    return found


def events(core: ClientConnection | ServerConnection) -> list[Any]:
    """All events that can be had now."""
    return list(iter(core.next_event, None))


def pump(origin: Connection, target: ClientConnection | ServerConnection) -> list[Any]:
    """Carry what one side sends to the other, and return what that one makes of it."""
    if data := taken(origin):
        target.receive_data(data)
    return events(target)


def packets(data: bytes) -> Iterator[bytes]:
    """Cut well-formed packets."""
    while data:
        size = int.from_bytes(data[:4], "big")
        yield data[:size]
        data = data[size:]


def splits(data: bytes) -> Iterable[list[bytes]]:
    """The same bytes whole, one at a time, and cut in two at every place."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    yield from ([data[:at], data[at:]] for at in range(1, len(data)))


def call(core: ClientConnection, procedure: Procedure[Any, Any], payload: bytes = PATH) -> Any:
    return core.call(procedure, payload)
