"""What is on every connection of a session until it is cancelled: event handlers, for threads.

Which events there are is in ``events``; who makes new connections is in ``restoring``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock
from typing import Any, TypeAlias, TypeVar

from rpcgen.libvirt.events import event_of
from rpcgen.runtime.errors import TransportError
from rpcgen.runtime.program import Procedure
from rpcgen.runtime.stubs import Caller

M = TypeVar("M")

Undo: TypeAlias = Callable[[float | None], object]
"""Takes something from a connection, within some seconds."""

Put: TypeAlias = Callable[[Caller, float | None], Undo]
"""Puts something on a connection, within some seconds."""


class Registration:
    """A handler of events, until it is cancelled.

    Args:
        put: puts it on a connection.
        forget: told when it is cancelled.
    """

    def __init__(self, put: Put, forget: Callable[[Registration], object]) -> None:
        self._put = put
        self._forget = forget
        self._lock = Lock()
        self._connection: Caller | None = None
        self._undo: Undo | None = None
        self._is_cancelled = False

    def attach(self, connection: Caller, timeout: float | None) -> None:
        """Put it on a connection, unless it is there.

        Raises:
            RemoteError: the server refuses.
        """
        with self._lock:
            if self._connection is not connection and not self._is_cancelled:
                self._undo = self._put(connection, timeout)
                self._connection = connection

    def cancel(self, *, timeout: float | None = None) -> None:
        """Stop: the handler is not called again, whatever comes of telling the server.

        Args:
            timeout: seconds for that.

        Raises:
            RemoteError: the server knows nothing of the registration.
        """
        with self._lock:
            was_cancelled, self._is_cancelled = self._is_cancelled, True
            undo, self._undo = self._undo, None
        if not was_cancelled:
            self._forget(self)
        if undo is not None:
            undo(timeout)


def subscribing(message: Procedure[M, None], handler: Callable[[M], object]) -> Put:
    """For every message of an event, without a word to the server."""

    def put(connection: Caller, _: float | None) -> Undo:
        subscription = connection.subscribe(message, handler)
        return lambda _: subscription.cancel()

    return put


def registering(message: Procedure[M, None], handler: Callable[[M], object], about: object) -> Put:
    """For the events of an object, or of all if it is None, as the server sends them on demand."""

    def put(connection: Caller, timeout: float | None) -> Undo:
        entry = _Entry(connection, message, handler)
        entry.register(about, timeout)
        return entry.deregister

    return put


class _Entry:
    """A registration on one connection, which names it by a callbackID of its own."""

    def __init__(
        self,
        connection: Caller,
        message: Procedure[Any, None],
        handler: Callable[[Any], object],
    ) -> None:
        self._family, self._event_id = event_of(message)
        self._connection = connection
        self._handler = handler
        self._callback_id: int | None = None
        self._is_decided = Event()
        self._subscription = connection.subscribe(message, self._deliver)

    def register(self, about: object, timeout: float | None) -> None:
        argument = self._family.registration(self._event_id, about)
        try:
            reply = self._connection.call(self._family.register, argument, timeout)
            self._callback_id = reply.callback_id
        except BaseException:
            self._subscription.cancel()
            raise
        finally:
            self._is_decided.set()

    def deregister(self, timeout: float | None) -> None:
        """A connection that is lost has forgotten the registration by itself."""
        self._subscription.cancel()
        assert self._callback_id is not None  # noqa: S101  (it was registered)
        argument = self._family.deregistration(self._callback_id)
        with suppress(TransportError):
            self._connection.call(self._family.deregister, argument, timeout)

    def _deliver(self, message: Any) -> None:
        # An event may overtake the reply that tells whose it is; only the event thread waits.
        self._is_decided.wait()
        if message.callback_id == self._callback_id:
            self._handler(message)
