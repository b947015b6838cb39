"""One client, as handlers see it and from the moment it connects until it is gone.

Its bytes are ``traffic``'s, its packets the core's, its calls the dispatcher's.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from libvirt_rpc.libvirt_common.types import VirConnectCloseReason
from rpcgen.runtime.errors import ConnectionClosed, ProtocolError
from rpcgen.runtime.limits import STREAMS_MAX
from rpcgen.runtime.message import rpc_error
from rpcgen.runtime.server.anonymous import Anonymity
from rpcgen.runtime.server.answers import taken_apart
from rpcgen.runtime.server.saved import SavedClient, SavedSocket
from rpcgen.runtime.server.traffic import Traffic, close_fds, close_strays
from rpcgen.runtime.server_connection import IncomingCall, ServerConnection, event_payload
from rpcgen.runtime.state import ConnectionInput, ConnectionState
from rpcgen.runtime.transport.layered import LayeredStream

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Any, TypeVar

    from rpcgen.runtime.auth.mechanism import SecurityLayer
    from rpcgen.runtime.interfaces import ByteStream, Identity
    from rpcgen.runtime.program import Procedure
    from rpcgen.runtime.server.answers import Answer
    from rpcgen.runtime.server.engine import Engine
    from rpcgen.runtime.server_connection import Event
    from rpcgen.runtime.stubs import EventTarget

    A = TypeVar("A")

_logger = logging.getLogger(__name__)

_ERROR = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_ERROR
_EOF = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_EOF
_KEEPALIVE = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_KEEPALIVE
_CLIENT = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_CLIENT


class Session:
    """A client's connection; handlers see ``stubs.Session`` of it.

    Attributes:
        id: its number on this server, from 1 on.
        connected: when it came, in seconds since the epoch.
        data: what handlers remember of this client.
        waiting: calls that have gone to workers and are not answered, and what withdraws each from
            there; on the loop only.
        streaming: handlers of streams that have not ended, whatever became of their streams; on the
            loop only.
        core: the protocol's side of it; on the loop only.
        traffic: its bytes; on the loop only.
    """

    __slots__ = (
        "__weakref__",
        "_anonymity",
        "_callbacks",
        "_closing",
        "_engine",
        "_layer",
        "_lock",
        "_stream",
        "_timer",
        "connected",
        "core",
        "data",
        "id",
        "streaming",
        "traffic",
        "waiting",
    )

    def __init__(self, number: int, stream: ByteStream, engine: Engine) -> None:
        self.id = number
        self.connected = int(time.time())
        self.data: dict[str, Any] = {}
        self.waiting: dict[IncomingCall, Callable[[], object]] = {}
        self.streaming = 0
        self.core = ServerConnection(
            engine.programs,
            engine.limits,
            passes_fds=stream.passes_fds,
            authenticated=not engine.settings.demands_auth(stream),
            room=stream.room,
        )
        self._stream = stream
        self._engine = engine
        self._layer: SecurityLayer | None = None  # begins behind the next reply
        self._timer: asyncio.TimerHandle | None = None
        self._anonymity: Anonymity | None = None
        self._closing = ConnectionClosed("closed by this side", _CLIENT)
        self._lock = threading.Lock()  # of the callbacks
        self._callbacks: list[Callable[[], object]] | None = []  # None: the client is gone
        self.traffic = Traffic(
            stream,
            self.core,
            self,
            engine.loop,
            engine.counters,
            max_requests=engine.settings.max_client_requests,
            takes_fds=engine.takes_fds,
        )

    def __repr__(self) -> str:
        return f"<Session {self.id} of {self.identity!r}>"

    # For handlers, from any thread

    @property
    def identity(self) -> Identity:
        """Who connected."""
        return self._stream.identity

    @property
    def everyone(self) -> EventTarget:
        """All clients of the server."""
        return self._engine

    @property
    def is_authenticated(self) -> bool:
        """Whether all procedures may be called."""
        return self.core.authenticated

    def send_event(self, procedure: Procedure[A, None], message: A) -> None:
        """Queue a message for this client; one that is gone gets none.

        Raises:
            XdrEncodeError: the message is not one, or does not fit a packet.
        """
        payload = event_payload(procedure, message, self.core.limits)
        self._engine.loop.do(partial(self.put_event, procedure, payload))

    def on_close(self, callback: Callable[[], object]) -> None:
        """Call back once, when the client is gone; at once if it is.

        It is called where it was given: on the event loop, or on a worker.
        """
        wanted = partial(self._engine.call_back, callback, self._engine.loop.is_here)
        with self._lock:
            if self._callbacks is not None:
                self._callbacks.append(wanted)
                return
        wanted()

    def authenticate(self, user: str | None = None, layer: SecurityLayer | None = None) -> None:
        """From now on all procedures may be called.

        Args:
            user: who the client is by SASL.
            layer: what protects everything behind the reply that is given next.
        """
        if user is not None:
            self.identity.sasl_user_name = user
        if layer is not None:
            # Until the layer begins, whoever is on the way could send calls in the client's name.
            self._layer = layer
            return
        # At once: the next call may come as soon as the reply is sent.
        self.core.authenticated = True
        self._engine.loop.do(self._trusted)

    def start_keepalive(self) -> None:
        """Ask the client for signs of life, as the server's settings say."""
        self._engine.loop.do(self._start_keepalive)

    def close(self) -> None:
        """Read no more, and close when what was accepted has been answered."""
        self._engine.loop.do(self.drain)

    # For the dispatcher, on the loop

    def answer(self, call: IncomingCall, answer: Answer, *, at_once: bool = False) -> None:
        """Answer a call; the descriptors that go with it are closed when they have been sent.

        Args:
            at_once: the call did not wait, and was none of the traffic's requests.
        """
        if not at_once:
            self.waiting.pop(call, None)
        error, payload, fds = taken_apart(
            answer, self.core.limits.fds if self._stream.passes_fds else None
        )
        if self.core.closed is not None:
            close_fds(fds)
            return
        self._engine.counters.calls += 1
        done = None
        if at_once:
            self.traffic.fresh.replies += 1
        else:
            done = self.traffic.written
            self.traffic.touch()
        if self._layer is not None:
            done = partial(self._begin_layer, done)
        if error is None:
            self.core.reply(call, payload, fds, done)
        else:
            self._engine.counters.errors += 1
            self.core.fail(call, error, done)

    def await_login(self) -> None:
        """Give it up unless it proves in time who it is."""
        self._stream.identity  # noqa: B018  (now: its process's number may become another's)
        loop = self._engine.loop.asyncio
        self._anonymity = Anonymity(self.core, self.traffic, loop, self._not_logged_in)

    def put_event(self, procedure: Procedure[Any, None], payload: bytes) -> None:
        """Queue an event."""
        if self.core.closed is None:
            before = self.core.outbox.size
            self.core.send_event(procedure, payload)
            self.traffic.fresh.events += self.core.outbox.size - before
            self.traffic.touch()

    def drain(self, why: ConnectionClosed | None = None) -> None:
        """Read no more, break streams, and close when calls have been answered."""
        if self.core.state is not ConnectionState.OPEN:
            return
        self.core.move(ConnectionInput.DRAIN)
        self._closing = why or self._closing
        self.break_streams(self._closing)
        self.traffic.drain()

    def suspend(self) -> None:
        """Have it come to rest, for another process to go on with it, or to its end if none can."""
        if self._can_move:
            self.traffic.suspend()
        else:
            why = "the server is restarting, and what protects this client cannot move"
            self.drain(ConnectionClosed(why, _CLIENT))

    @property
    def _can_move(self) -> bool:
        # Keys stay in this process, and so does who a client has proved to be.
        return self._stream.can_move and self.identity.sasl_user_name is None

    def break_streams(self, why: ConnectionClosed) -> None:
        """End streams that would go on."""
        for stream in list(self.core.streams.values()):
            stream.owner.fail(why)

    def restore(self, saved: SavedClient) -> None:
        """Be what another process has saved."""
        self.connected = saved.connected
        self.traffic.max_requests = saved.max_requests
        if saved.keepalive:
            self._start_keepalive()
        self.core.authenticated = not saved.auth_pending
        if self.is_authenticated:
            self._trusted()

    def release(self, auth: int, data: object) -> SavedClient:
        """Leave a connection at rest to another process: its callbacks are not called.

        Args:
            auth: how it authenticates (remote_auth_type).
            data: what goes with it.
        """
        self._stop_timers()
        self.traffic.stop()
        self.core.close("left to another process")
        with self._lock:
            self._callbacks = None
        return SavedClient(
            id=self.id,
            auth=auth,
            auth_pending=bool(auth) and not self.is_authenticated,
            readonly=False,
            max_requests=self.traffic.max_requests,
            connected=self.connected,
            socket=SavedSocket(self._stream.detach(), is_client=True, unlink_unix=False),
            keepalive=self.core.keepalive is not None,
            data=data,
        )

    # For the traffic

    def handle(self, event: Event) -> None:
        """Take what came."""
        if not isinstance(event, IncomingCall):
            event.owner.received()
        elif event.stream is not None and (
            len(self.core.streams) > STREAMS_MAX or self.streaming >= STREAMS_MAX
        ):
            close_fds(event.fds)
            error = rpc_error(f"{STREAMS_MAX} streams are open already")
            self.answer(event, error, at_once=True)
        else:
            if event.stream is not None:
                self._stream.expect_bulk()
            self._engine.dispatcher.dispatch(self, event)

    def end_of_file(self) -> None:
        """The client sends no more; what was accepted is answered as long as it listens."""
        self.drain(ConnectionClosed("end of file", _EOF))

    def drained(self) -> None:
        """Everything is answered and written."""
        self.lost(self._closing)

    def rested(self) -> None:
        """Nothing is under way."""
        if self._can_move:
            self._engine.keep(self)
        else:
            self.suspend()  # it has logged in in the meantime

    def lost(self, error: ConnectionClosed) -> None:
        """Close at once."""
        streams = list(self.core.streams.values())
        if not self.core.close(str(error), error.reason):
            return
        self._stop_timers()
        with suppress(OSError):
            self._stream.identity  # noqa: B018  (the last chance to ask the system)
        close_strays(self.core)
        for stream in streams:
            stream.owner.received()
        waiting, self.waiting = self.waiting, {}
        for withdraw in waiting.values():
            withdraw()
        self.traffic.stop()
        self._stream.close()
        self._call_back()  # before the workers are told that nothing comes any more
        self._engine.forget(self)

    def _call_back(self) -> None:
        with self._lock:
            callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback()

    def _begin_layer(self, done: Callable[[], object] | None) -> None:
        """The reply before the layer is written, to the last byte."""
        if done is not None:
            done()
        layer, self._layer = self._layer, None
        if layer is None or self.core.closed is not None:
            return
        stream = LayeredStream(self._stream, layer)
        try:
            self.core.change_over(stream.room)
        except ProtocolError as error:
            raise ConnectionClosed(str(error), _ERROR) from error
        self._stream = self.traffic.stream = stream
        self.core.authenticated = True
        self._trusted()

    def _trusted(self) -> None:
        if self._anonymity is not None:
            self._anonymity.cancel()
        if self.core.closed is None:
            self._engine.trust(self)

    def _not_logged_in(self) -> None:
        _logger.warning("%r: has not logged in in time", self.identity)
        self.lost(ConnectionClosed("the client has not authenticated in time", _ERROR))

    def _start_keepalive(self) -> None:
        interval, count = self._engine.settings.keepalive
        if self.core.closed is None and self.core.keepalive is None:
            self.core.start_keepalive(interval, count, self._engine.loop.asyncio.time())
            self._wait_for_silence()

    def _stop_timers(self) -> None:
        for one in (self._timer, self._anonymity):
            if one is not None:
                one.cancel()

    def _wait_for_silence(self) -> None:
        if self.core.keepalive is not None:
            self._timer = self._engine.loop.asyncio.call_at(
                self.core.keepalive.deadline, self._tick
            )

    def _tick(self) -> None:
        now = self._engine.loop.asyncio.time()
        if not self.traffic.is_reading and self.core.keepalive is not None:
            self.core.keepalive.alive(now)  # who is not read cannot be heard
        elif not self.core.tick(now):
            self.lost(ConnectionClosed("the client gives no sign of life", _KEEPALIVE))
            return
        self._wait_for_silence()
        self.traffic.touch()
