"""A program with a procedure of every kind, servers that answer it as a test wants, and their clients."""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from raw import DEADLINE, Raw

from rpcgen.runtime.errors import UnknownProcedure, XdrEncodeError
from rpcgen.runtime.program import VOID, DispatchTable, Procedure, Program, shape_codec
from rpcgen.runtime.server import Server
from rpcgen.runtime.transport.address import unix_name
from rpcgen.runtime.xdr import Buffer

if TYPE_CHECKING:
    from rpcgen.runtime.program import Codec

KIT = Program("KIT", 0x20F0_0001, 1)
OTHER = Program("OTHER", 0x20F0_0002, 3)

NUMBER: Codec[int] = shape_codec({}, "unsigned int")
DATA: Codec[bytes] = shape_codec({}, ("opaques", 2**26))


class Opening:
    """An argument with flags, of which 1 allows holes."""

    def __init__(self, flags: int) -> None:
        self.flags = flags


def _encode_opening(value: Opening) -> bytes:
    if not isinstance(value, Opening):
        raise XdrEncodeError("expected an Opening")
    return NUMBER[0](value.flags)


def _read_opening(data: Buffer, offset: int) -> tuple[Opening, int]:
    flags, end = NUMBER[1](data, offset)
    return Opening(flags), end


OPENING: Codec[Opening] = (_encode_opening, _read_opening)

PLAIN = Procedure(KIT, 1, "PLAIN", "plain", NUMBER, NUMBER, parameters=None)
URGENT = Procedure(KIT, 2, "URGENT", "urgent", NUMBER, NUMBER, parameters=None, priority="high")
QUICK = Procedure(KIT, 3, "QUICK", "quick", NUMBER, NUMBER, parameters=None, nonblocking=True)
LOGIN = Procedure(KIT, 4, "LOGIN", "login", VOID, VOID, auth_none=True)
WITH_FDS = Procedure(
    KIT, 5, "WITH_FDS", "with_fds", NUMBER, NUMBER, parameters=None, fds_in=True, fds_out=True
)
UPLOAD = Procedure(
    KIT, 6, "UPLOAD", "upload", OPENING, VOID, parameters=("flags",), stream="write", sparse_flag=1
)
DOWNLOAD = Procedure(
    KIT, 7, "DOWNLOAD", "download", OPENING, NUMBER, parameters=None, stream="read", sparse_flag=1
)
CONSOLE = Procedure(KIT, 8, "CONSOLE", "console", VOID, VOID, stream="read")
EVENT = Procedure(KIT, 9, "EVENT", "event", NUMBER, VOID, event=True)
BLOB = Procedure(KIT, 10, "BLOB", "blob", NUMBER, DATA, parameters=None)
TOLD = Procedure(OTHER, 1, "TOLD", "told", NUMBER, NUMBER, parameters=None)


class KitServer:
    """What the generator would write for ``KIT``."""

    DISPATCH: DispatchTable


class OtherServer:
    """The same for ``OTHER``."""

    DISPATCH: DispatchTable


def _unknown(number: int) -> Callable[..., Any]:
    def unknown(self: object, *_: object) -> object:
        raise UnknownProcedure(number)

    return unknown


for _program, _server in ((KIT, KitServer), (OTHER, OtherServer)):
    for _one in _program.procedures.values():
        if not _one.event:
            setattr(_server, _one.method, _unknown(_one.number))
    _server.DISPATCH = DispatchTable(_program, _server)


def offering(kind: type = KitServer, /, **handlers: Callable[..., Any]) -> Any:
    """A server object with these methods overridden."""
    return type("Offering", (kind,), {name: _method(one) for name, one in handlers.items()})()


def _method(handler: Callable[..., Any]) -> Any:
    return staticmethod(handler)


_numbers = itertools.count()


def fresh_address() -> str:
    """A UNIX socket without a path, at which nobody else listens."""
    return f"unix://@rpcgen-test-{os.getpid()}-{next(_numbers)}"


def serving(*servers: Any, **settings: Any) -> Server:
    """A server at one UNIX socket; to be entered."""
    settings.setdefault("listen", [fresh_address()])
    return Server(servers, **settings)


def connect(server: Server, which: int = 0, program: Program = KIT) -> Raw:
    """A client of a server, at one of its addresses."""
    return Raw(plain_socket(server.addresses[which]), program.number, program.version)


def plain_socket(address: str) -> socket.socket:
    """A connected socket."""
    kind, _, rest = address.partition("://")
    if kind == "tcp":
        host, _, port = rest.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)))
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(unix_name(rest))
    except OSError:
        connection.close()
        raise
    return connection


def is_listening(address: str) -> bool:
    """Whether somebody does at that address."""
    try:
        plain_socket(address).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    return True


def number(value: int) -> bytes:
    """An unsigned int as it travels."""
    return value.to_bytes(4, "big")


def settle(condition: Callable[[], bool]) -> None:
    """Wait until something is so, which is a matter of moments."""
    waiting = threading.Event()
    for _ in range(3000):
        if condition():
            return
        waiting.wait(0.01)
    pytest.fail("it never came to that")


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


def closing(call: Any, value: int) -> int:
    """A handler that closes the session which called it."""
    call.session.close()
    return value


class Busy:
    """Jobs that tell when they have begun and end when they are let go."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.names: list[str] = []
        self._gate = threading.Event()

    def __call__(self, value: int = 0) -> int:
        self.names.append(threading.current_thread().name)
        self.begun.release()
        assert self._gate.wait(DEADLINE)
        return value

    def wait(self, count: int) -> None:
        """Wait until so many more have begun."""
        for _ in range(count):
            assert self.begun.acquire(timeout=DEADLINE)

    def has_more(self) -> bool:
        """Whether one more has begun."""
        return self.begun.acquire(blocking=False)

    def let_go(self) -> None:
        self._gate.set()
