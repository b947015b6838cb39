"""Connections that answer generated clients from a script, and calls for generated servers.

They satisfy the protocols of ``rpcgen.runtime.stubs``; every value passes through bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from rpcgen.runtime.program import Procedure
from rpcgen.runtime.xdr import Buffer

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")


@dataclass
class Sent:
    """One call as it would go out."""

    name: str
    payload: bytes
    timeout: float | None
    fds: tuple[int, ...] = ()


@dataclass
class Script:
    """What was sent so far, and what comes back: replies in order, stream data, messages."""

    replies: list[Any] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)
    fds: list[int] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def exchange(
        self,
        procedure: Procedure[A, R],
        argument: A,
        timeout: float | None,
        fds: Sequence[int] = (),
    ) -> R:
        """Encode, record, and take the next reply through its bytes."""
        payload = procedure.encode_argument(argument)
        self.sent.append(Sent(procedure.name, payload, timeout, tuple(fds)))
        value: Any = self.replies.pop(0) if self.replies else None
        reply = procedure.encode_result(value)
        return procedure.read_result(b"....." + reply + b"newer", 5)[0]

    def incoming(self, procedure: Procedure[A, None]) -> Iterator[A]:
        """The messages, through their bytes."""
        for message in self.messages:
            yield procedure.read_argument(procedure.encode_argument(message), 0)[0]


class Stream(Generic[T]):
    """The client's end of a scripted stream."""

    def __init__(self, script: Script, reply: T) -> None:
        self._script = script
        self.reply = reply

    def write(self, data: Buffer) -> None:
        self._script.log.append(f"write {bytes(data)!r}")

    def finish(self) -> None:
        self._script.log.append("finish")

    def abort(self) -> None:
        self._script.log.append("abort")

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._script.data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.abort() if error else self.finish()


class AsyncStream(Generic[T]):
    """The same for asyncio: the call is made when the block is entered."""

    def __init__(self, script: Script, call: Callable[[], T]) -> None:
        self._script = script
        self._call = call
        self.reply: T

    async def write(self, data: Buffer) -> None:
        self._script.log.append(f"write {bytes(data)!r}")

    async def finish(self) -> None:
        self._script.log.append("finish")

    async def abort(self) -> None:
        self._script.log.append("abort")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._script.data:
            yield chunk

    async def __aenter__(self) -> Self:
        self.reply = self._call()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await (self.abort() if error else self.finish())


class Subscribed(Generic[T]):
    """A subscription whose messages are all there."""

    def __init__(self, script: Script, messages: Iterator[T]) -> None:
        self._script = script
        self._messages = messages

    def cancel(self) -> None:
        self._script.log.append("cancel")

    async def __aiter__(self) -> AsyncIterator[T]:
        for message in self._messages:
            yield message


class Caller(Script):
    """A sync connection."""

    def call(self, procedure: Procedure[A, R], argument: A, timeout: float | None) -> R:
        return self.exchange(procedure, argument, timeout)

    def call_with_fds(
        self, procedure: Procedure[A, R], argument: A, fds: Sequence[int], timeout: float | None
    ) -> tuple[R, list[int]]:
        return self.exchange(procedure, argument, timeout, fds), self.fds

    def open_stream(
        self,
        procedure: Procedure[A, R],
        argument: A,
        reply: Callable[[R], T],
        timeout: float | None,
    ) -> Stream[T]:
        return Stream(self, reply(self.exchange(procedure, argument, timeout)))

    def subscribe(
        self, procedure: Procedure[A, None], handler: Callable[[A], object]
    ) -> Subscribed[A]:
        for message in self.incoming(procedure):
            handler(message)
        return Subscribed(self, iter([]))


class AsyncCaller(Script):
    """An asyncio connection."""

    async def call(self, procedure: Procedure[A, R], argument: A, timeout: float | None) -> R:
        return self.exchange(procedure, argument, timeout)

    async def call_with_fds(
        self, procedure: Procedure[A, R], argument: A, fds: Sequence[int], timeout: float | None
    ) -> tuple[R, list[int]]:
        return self.exchange(procedure, argument, timeout, fds), self.fds

    def open_stream(
        self,
        procedure: Procedure[A, R],
        argument: A,
        reply: Callable[[R], T],
        timeout: float | None,
    ) -> AsyncStream[T]:
        return AsyncStream(self, lambda: reply(self.exchange(procedure, argument, timeout)))

    def subscribe(
        self, procedure: Procedure[A, None], handler: Callable[[A], object] | None
    ) -> Subscribed[A]:
        messages = list(self.incoming(procedure))
        for message in messages if handler else []:
            handler and handler(message)
        return Subscribed(self, iter(messages))


class Target:
    """A session that keeps the events sent to it, as bytes."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def send_event(self, procedure: Procedure[A, None], message: A) -> None:
        self.sent.append((procedure.name, procedure.encode_argument(message)))


class Upload:
    """What a client sends on a stream."""

    def __init__(self, *data: bytes) -> None:
        self._data = data

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._data)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._data:
            yield chunk


class Call(Generic[T]):
    """A call that reaches a handler.

    ``seen`` is for what the handler notes, ``replies`` for what it answers beside a stream.
    """

    def __init__(
        self,
        procedure: Procedure[Any, Any],
        *,
        upload: Sequence[bytes] = (),
        fds: Sequence[int] = (),
    ) -> None:
        self.procedure = procedure
        self.session = Target()
        self.fds = fds
        self.stream = Upload(*upload)
        self.replies: list[T] = []
        self.seen: list[Any] = []

    def may(self, _: str) -> bool:
        return True

    def reply(self, value: T) -> None:
        self.replies.append(value)
