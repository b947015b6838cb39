"""Calls and sessions for tests of the hypervisor's handlers: what is sent is kept as bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest
from scripted import Call as Scripted
from scripted import Target

from libvirt_rpc.remote_protocol.program import REMOTE_PROGRAM
from libvirt_rpc.remote_protocol.server import RemoteServer
from rpcgen.examples.hypervisor.hypervisor import Hypervisor
from rpcgen.runtime import Identity, Procedure, RemoteError

A = TypeVar("A")


class Session(Target):
    """A client that is connected until ``leave``.

    Attributes:
        log: what was asked of the connection.
        messages: events that were sent to it, decoded.
        callbacks: to be called when it is gone.
    """

    id = 1
    identity = Identity(uid=0, gid=0, pid=1, secure=True)
    is_authenticated = True

    def __init__(self) -> None:
        super().__init__()
        self.data: dict[str, Any] = {}
        self.log: list[str] = []
        self.messages: list[tuple[str, Any]] = []
        self.is_there = True
        self.callbacks: list[Callable[[], object]] = []

    def send_event(self, procedure: Procedure[A, None], message: A) -> None:
        payload = procedure.encode_argument(message)
        self.messages.append((procedure.method, procedure.read_argument(payload, 0)[0]))

    def on_close(self, callback: Callable[[], object]) -> None:
        self.callbacks.append(callback) if self.is_there else callback()

    def authenticate(self, *_: object, **__: object) -> None:
        self.log.append("authenticate")

    def start_keepalive(self) -> None:
        self.log.append("start keepalive")

    def close(self) -> None:
        self.log.append("close")

    def leave(self) -> None:
        """Be gone."""
        self.is_there = False
        for callback in self.callbacks:
            callback()


class Call(Scripted[Any]):
    """A call of a session."""

    def __init__(
        self, procedure: Procedure[Any, Any], session: Session, upload: Sequence[bytes]
    ) -> None:
        super().__init__(procedure, upload=upload)
        self.session: Session = session


class Client:
    """A client whose calls are answered at once, arguments and results through their bytes."""

    def __init__(self, hypervisor: Hypervisor, *, is_open: bool = True, flags: int = 0) -> None:
        self.session = Session()
        self._routes = RemoteServer.DISPATCH.routes(hypervisor)
        self._numbers = {row.method: row.number for row in REMOTE_PROGRAM.procedures.values()}
        if is_open:
            self("connect_open", "test:///default", flags)

    def __call__(self, method: str, *arguments: Any) -> Any:
        """Call a procedure; returns its result, or raises its error."""
        return self.call(method, *arguments)[0]

    def call(self, method: str, *arguments: Any, upload: Sequence[bytes] = ()) -> tuple[Any, Call]:
        """The same, with the call as its handler saw it."""
        route = self._routes[self._numbers[method]]
        call = Call(route.procedure, self.session, upload)
        result = route.handler(call, *arguments)
        if route.procedure.stream is not None:
            return result, call
        payload, _ = route.answer(result)
        return route.procedure.read_result(payload, 0)[0], call


def refusal(client: Client, method: str, *arguments: Any) -> RemoteError:
    """The error that answers a call."""
    with pytest.raises(RemoteError) as caught:
        client(method, *arguments)
    return caught.value
