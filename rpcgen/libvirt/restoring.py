"""A connection that is made anew when it is lost, for threads.

It knows neither URIs nor what is said when a session is opened: it is given a way to make a
connection that is ready for use, and keeps what has to be on each of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event, Lock
from typing import TypeAlias, TypeVar

from libvirt_rpc.libvirt_common.types import VirConnectCloseReason
from rpcgen.libvirt.registration import Put, Registration, subscribing
from rpcgen.libvirt.times import Left, countdown, shorter
from rpcgen.runtime.client.sync import Connection
from rpcgen.runtime.errors import (
    CallTimeout,
    ConnectionClosed,
    RpcError,
    TransportError,
    again,
)
from rpcgen.runtime.message import RemoteError
from rpcgen.runtime.program import Procedure
from rpcgen.runtime.stubs import ClientStream, Subscription

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")

_log = logging.getLogger(__name__)

Connect: TypeAlias = Callable[[Left], Connection]


class RestoringConnection:
    """A ``Caller`` whose calls go to the connection that there is, or to a new one.

    Whoever first needs the connection after it was lost makes the new one, and others who need
    it wait. A call that was under way when it was lost has failed: only its caller knows whether
    it may be done twice.

    Args:
        connect: makes a connection that is ready for use; the first one at once.
        timeout: seconds for that, and for registering again; None without a limit.
        pauses: seconds before each attempt to make another one; without any, there is but one.
    """

    def __init__(self, connect: Connect, *, timeout: float | None, pauses: Sequence[float]) -> None:
        self._connect = connect
        self._timeout = timeout
        self._pauses = pauses
        self._registrations: list[Registration] = []
        # Whoever wants to know of the end makes the connection notice it when nobody calls.
        self._callbacks: list[Callable[[ConnectionClosed], object]] = [_note] if pauses else []
        self._given_up: RpcError | None = None
        self._turn = Lock()  # of who restores, for as long as that takes
        self._guard = Lock()  # of callbacks and the connection that they are on
        self._stopped = Event()
        self._connection: Connection
        self._adopt(self._new(countdown(None)))

    def call(self, procedure: Procedure[A, R], argument: A, timeout: float | None) -> R:
        left = countdown(timeout)
        return self.current(left).call(procedure, argument, left())

    def call_with_fds(
        self, procedure: Procedure[A, R], argument: A, fds: Sequence[int], timeout: float | None
    ) -> tuple[R, list[int]]:
        left = countdown(timeout)
        return self.current(left).call_with_fds(procedure, argument, fds, left())

    def open_stream(
        self,
        procedure: Procedure[A, R],
        argument: A,
        reply: Callable[[R], T],
        timeout: float | None,
    ) -> ClientStream[T]:
        left = countdown(timeout)
        return self.current(left).open_stream(procedure, argument, reply, left())

    def subscribe(
        self, procedure: Procedure[A, None], handler: Callable[[A], object]
    ) -> Subscription:
        return self.attach(subscribing(procedure, handler), None)

    def attach(self, put: Put, timeout: float | None) -> Registration:
        """Put something on this connection and on all that follow.

        Raises:
            RemoteError: the server refuses.
        """
        left = countdown(timeout)
        connection = self.current(left)
        registration = Registration(put, self._registrations.remove)
        self._registrations.append(registration)
        try:
            registration.attach(connection, left())
        except BaseException:
            registration.cancel()
            raise
        return registration

    def on_close(self, callback: Callable[[ConnectionClosed], object]) -> None:
        """Call back with the reason whenever a connection ends."""
        with self._guard:
            self._callbacks.append(callback)
            self._connection.on_close(callback)

    def current(self, left: Left) -> Connection:
        """The connection that there is, or a new one.

        Raises:
            ConnectError: nobody answers any more.
            CallTimeout: no time was left.
            ConnectionClosed: ``stop`` was called.
        """
        connection = self._connection
        if connection.closed is None or not self._pauses or self._stopped.is_set():
            return connection
        seconds, given_up = left(), self._given_up
        if not self._turn.acquire(timeout=-1 if seconds is None else seconds):
            raise CallTimeout("the lost connection was not restored in time")
        try:
            if self._connection.closed is not None:
                failure = self._given_up
                if failure is not None and failure is not given_up:
                    raise again(failure)  # of whom this thread has waited for
                self._adopt(self._restored(left))
            return self._connection
        finally:
            self._turn.release()

    def stop(self) -> tuple[Connection, list[Registration]]:
        """Restore it no more; returns the last connection, and what is on it."""
        self._stopped.set()
        return self._connection, list(self._registrations)

    def _restored(self, left: Left) -> Connection:
        *early, last = self._pauses
        try:
            for pause in early:
                self._pause(pause, left)
                with suppress(TransportError):
                    return self._new(left)
            self._pause(last, left)
            return self._new(left)
        except CallTimeout:
            raise  # this caller's time is over, which is nobody else's business
        except RpcError as error:
            self._given_up = error
            raise

    def _pause(self, seconds: float, left: Left) -> None:
        rest = left()
        if rest is not None and rest <= seconds:
            raise CallTimeout("the lost connection was not restored in time")
        if self._stopped.wait(seconds):
            reason = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_CLIENT
            raise ConnectionClosed("the session is closed", reason)

    def _new(self, caller_left: Left) -> Connection:
        left = shorter(caller_left, countdown(self._timeout))
        connection = self._connect(left)
        try:
            for registration in tuple(self._registrations):
                self._attach_again(registration, connection, left)
        except BaseException:
            connection.close()
            raise
        return connection

    def _adopt(self, connection: Connection) -> None:
        with self._guard:
            self._connection = connection
            for callback in self._callbacks:
                connection.on_close(callback)
        if self._stopped.is_set():
            connection.close()

    def _attach_again(self, registration: Registration, connection: Connection, left: Left) -> None:
        try:
            registration.attach(connection, left())
        except RemoteError as error:
            _log.warning("not registered again after the connection was restored: %r", str(error))
            registration.cancel()


def _note(closed: ConnectionClosed) -> None:
    _log.info("the connection has ended: %r", str(closed))
