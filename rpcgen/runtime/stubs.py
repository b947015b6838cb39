"""What generated clients and servers expect of those who carry their calls.

Protocols only: a connection, a server, or a test's fake satisfies them by shape. Values are
Python objects on this side and bytes on the other; who implements ``call`` encodes the
argument in the calling thread and before anything is sent.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self, TypeAlias, TypeVar

from rpcgen.runtime.auth.mechanism import SecurityLayer
from rpcgen.runtime.interfaces import Identity
from rpcgen.runtime.program import Procedure
from rpcgen.runtime.streams import Hole
from rpcgen.runtime.xdr import Buffer

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)
R_contra = TypeVar("R_contra", contravariant=True)
M_co = TypeVar("M_co", covariant=True)


# The client's side


class Subscription(Protocol):
    """A handler of events while it is registered."""

    def cancel(self) -> None:
        """Stop: the handler is not called again."""


class ClientStream(Protocol[R_co]):
    """The client's end of a stream: data both ways; iterating gives what arrives.

    Leaving its block finishes the stream and waits until the server has confirmed; an
    exception in the block aborts it.
    """

    @property
    def reply(self) -> R_co:
        """What the call itself returned."""

    def write(self, data: Buffer, /) -> None:
        """Send data, and wait while the connection cannot take it."""

    def write_hole(self, length: int, /) -> None:
        """Send a run of zeros as a hole; only where the call's flags ask for a sparse stream."""

    def read(self, size: int = ..., /) -> bytes:
        """At most ``size`` bytes as soon as there are any; none at the end. Holes are zeros."""

    def sections(self) -> Iterator[bytes | Hole]:
        """What arrives, with holes as such."""

    def download(
        self, file: BinaryIO, /, *, progress: Callable[[int], object] | None = None
    ) -> int:
        """Write what arrives into a file, holes as holes; returns the bytes, holes included.

        ``progress`` is called with that number as it grows.
        """

    def upload(self, file: BinaryIO, /, *, progress: Callable[[int], object] | None = None) -> int:
        """Send a file from where it stands; on a sparse stream its holes are sent as holes."""

    def finish(self) -> None:
        """End the stream in good order."""

    def abort(self) -> None:
        """Give the stream up."""

    def __iter__(self) -> Iterator[bytes]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


class Caller(Protocol):
    """A connection, as a generated client sees it.

    ``timeout`` is in seconds; None waits as long as the connection lives.
    """

    def call(self, procedure: Procedure[A, R], argument: A, timeout: float | None, /) -> R:
        """Call and wait for the result."""

    def call_with_fds(
        self,
        procedure: Procedure[A, R],
        argument: A,
        fds: Sequence[int],
        timeout: float | None,
        /,
    ) -> tuple[R, list[int]]:
        """The same with descriptors: those given stay the caller's, those returned become so.

        Descriptors that come with the reply of a procedure without ``fds_out`` are closed.
        """

    def open_stream(
        self,
        procedure: Procedure[A, R],
        argument: A,
        reply: Callable[[R], T],
        timeout: float | None,
        /,
    ) -> ClientStream[T]:
        """Call, and keep the stream that belongs to the call; ``reply`` picks what it shows."""

    def subscribe(
        self, procedure: Procedure[A, None], handler: Callable[[A], object], /
    ) -> Subscription:
        """Call the handler for every message of that event."""


class AsyncSubscription(Protocol[M_co]):
    """Events as they arrive: to a handler, if there is one, and to who iterates."""

    def cancel(self) -> None:
        """Stop: the handler is not called again, and the iteration ends."""

    def __aiter__(self) -> AsyncIterator[M_co]: ...


class AsyncClientStream(Protocol[R_co]):
    """``ClientStream`` for asyncio: the call is made where its block is entered."""

    @property
    def reply(self) -> R_co:
        """What the call itself returned."""

    async def write(self, data: Buffer, /) -> None:
        """Send data, and wait while the connection cannot take it."""

    async def write_hole(self, length: int, /) -> None:
        """Send a hole; see ``ClientStream``."""

    async def read(self, size: int = ..., /) -> bytes:
        """At most ``size`` bytes as soon as there are any; none at the end. Holes are zeros."""

    def sections(self) -> AsyncIterator[bytes | Hole]:
        """What arrives, with holes as such."""

    async def download(
        self, file: BinaryIO, /, *, progress: Callable[[int], object] | None = None
    ) -> int:
        """Write what arrives into a file; see ``ClientStream``."""

    async def upload(
        self, file: BinaryIO, /, *, progress: Callable[[int], object] | None = None
    ) -> int:
        """Send a file; see ``ClientStream``."""

    async def finish(self) -> None:
        """End the stream in good order."""

    async def abort(self) -> None:
        """Give the stream up."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


class AsyncCaller(Protocol):
    """``Caller`` for asyncio."""

    def call(
        self, procedure: Procedure[A, R], argument: A, timeout: float | None, /
    ) -> Awaitable[R]:
        """Call and wait for the result."""

    def call_with_fds(
        self,
        procedure: Procedure[A, R],
        argument: A,
        fds: Sequence[int],
        timeout: float | None,
        /,
    ) -> Awaitable[tuple[R, list[int]]]:
        """The same with descriptors; see ``Caller``."""

    def open_stream(
        self,
        procedure: Procedure[A, R],
        argument: A,
        reply: Callable[[R], T],
        timeout: float | None,
        /,
    ) -> AsyncClientStream[T]:
        """A stream that calls when it is entered; see ``Caller``."""

    def subscribe(
        self, procedure: Procedure[A, None], handler: Callable[[A], object] | None, /
    ) -> AsyncSubscription[A]:
        """Deliver every message of that event."""


# The server's side


class EventTarget(Protocol):
    """Where an event goes: one client's session, or all of them."""

    def send_event(self, procedure: Procedure[A, None], message: A, /) -> None:
        """Queue a message; it does not wait for the client."""


class Session(EventTarget, Protocol):
    """One client's connection, as handlers see it. Its methods may be called from any thread."""

    @property
    def id(self) -> int:
        """Its number on this server, from 1 on."""

    @property
    def identity(self) -> Identity:
        """Who connected."""

    @property
    def data(self) -> dict[str, Any]:
        """What handlers remember of this client."""

    @property
    def is_authenticated(self) -> bool:
        """Whether all procedures may be called."""

    def on_close(self, callback: Callable[[], object], /) -> None:
        """Call back once, when the client is gone; at once if it is."""

    def authenticate(self, user: str | None = None, layer: SecurityLayer | None = None) -> None:
        """From now on all procedures may be called.

        Args:
            user: who the client is by SASL.
            layer: what protects everything behind the reply that is given next.
        """

    def start_keepalive(self) -> None:
        """Ask the client for signs of life, as the server's settings say."""

    def close(self) -> None:
        """Read no more, and close when what was accepted has been answered."""


class Call(Protocol):
    """A call, as the handler sees it that answers it."""

    @property
    def procedure(self) -> Procedure[Any, Any]:
        """What was called."""

    @property
    def session(self) -> Session:
        """The client who called, for events to it."""

    @property
    def everyone(self) -> EventTarget:
        """All clients of the server, for events to them."""

    @property
    def fds(self) -> Sequence[int]:
        """Descriptors that came with the call: closed when the handler is done, so duplicate what stays."""

    def may(self, permission: str, /) -> bool:
        """Whether the server's policy lets the client do something, such as ``domain:getattr``.

        For what a list is to show (``@aclfilter``): the rest is left out. True without a policy.
        """


class ServerStream(Protocol):
    """The server's end of a stream: what the client sends, to plain and to async handlers."""

    @property
    def sparse(self) -> bool:
        """Whether the call's flags allow holes."""

    def read(self, size: int = ..., /) -> bytes:
        """At most ``size`` bytes as soon as there are any; none at the end. Not on the loop."""

    def sections(self) -> SectionIterator:
        """What the client sends, with holes as such, for ``for`` and for ``async for``."""

    def save(self, file: BinaryIO, /) -> int:
        """Write what the client sends into a file, holes as holes. Not on the loop."""

    def __iter__(self) -> Iterator[bytes]: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class SectionIterator(Protocol):
    """Data and holes of a stream, to be awaited or not."""

    def __iter__(self) -> Iterator[bytes | Hole]: ...

    def __aiter__(self) -> AsyncIterator[bytes | Hole]: ...


class StreamCall(Call, Protocol[R_contra]):
    """A call that opened a stream: its reply goes out while the handler still runs."""

    @property
    def stream(self) -> ServerStream:
        """What the client sends."""

    def reply(self, value: R_contra, /) -> None:
        """Answer the call itself.

        A void answer needs no words: it goes out when the handler reads the stream, gives
        its first data, or returns.
        """


StreamData: TypeAlias = Iterable[Buffer | Hole] | AsyncIterable[Buffer | Hole] | BinaryIO
"""What the handler of a ``@readstream`` procedure returns or yields: data and, where the call's
flags allow them, holes; or a file to read, whose holes are found."""
