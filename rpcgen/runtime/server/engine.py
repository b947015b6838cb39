"""A server while it runs: its clients, who is accepted, who answers, and how it comes to its end."""

from __future__ import annotations

import asyncio
import logging
import socket
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

from libvirt_rpc.libvirt_common.types import VirConnectCloseReason
from rpcgen.runtime.errors import ConnectionClosed
from rpcgen.runtime.limits import STREAM_THREADS_MAX
from rpcgen.runtime.server.dispatch import Dispatcher
from rpcgen.runtime.server.handshakes import Handshakes
from rpcgen.runtime.server.loop import Loop
from rpcgen.runtime.server.saved import SavedServer, SavedService
from rpcgen.runtime.server.service import Service
from rpcgen.runtime.server.session import Session
from rpcgen.runtime.server.statistics import Counters, Statistics
from rpcgen.runtime.server.workers import StreamThreads, Workers, run
from rpcgen.runtime.server_connection import event_payload
from rpcgen.runtime.transport.stream import SocketStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar

    from rpcgen.runtime.interfaces import ByteStream
    from rpcgen.runtime.limits import Limits
    from rpcgen.runtime.program import Procedure
    from rpcgen.runtime.server.settings import Settings
    from rpcgen.runtime.server_connection import Programs
    from rpcgen.runtime.tls.context import ServerTls
    from rpcgen.runtime.transport.listen import Listener

    A = TypeVar("A")

_logger = logging.getLogger(__name__)

_LAST_WORDS = 1.0
"""Seconds for handlers to end after they have been told that it is over."""

_CLIENT = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_CLIENT


class Engine:
    """A running server.

    Attributes:
        programs: what answers, by program, version and procedure.
        takes_fds: whether any procedure takes descriptors.
        is_stopping: whether it accepts nothing more.
        saved: what it leaves to another process, once it hands over.
        stopped: done when everything has ended.
    """

    def __init__(
        self,
        programs: Programs,
        limits: Limits,
        settings: Settings,
        listeners: Iterable[Listener],
        tls: ServerTls | None = None,
    ) -> None:
        self.programs = programs
        self.takes_fds = any(
            route.procedure.fds_in for routes in programs.values() for route in routes.values()
        )
        self.limits = limits
        self.settings = settings
        self.counters = Counters()
        self.loop = Loop(asyncio.get_running_loop())
        self.workers: Workers | None = None
        if settings.max_workers:
            self.workers = Workers(
                settings.min_workers, settings.max_workers, settings.priority_workers
            )
        self.threads = StreamThreads(STREAM_THREADS_MAX)
        self.dispatcher = Dispatcher(self.loop, self.workers, self.threads)
        self.stopped: asyncio.Future[None] = self.loop.asyncio.create_future()
        self.sessions: dict[int, Session] = {}
        self._next_id = 1
        self._anonymous: dict[int, str] = {}  # and how each is connected
        self.handshakes: Handshakes | None = None
        if tls is not None:
            self.handshakes = Handshakes(tls, self.loop.asyncio, self._secured)
        self._services = [self._service(one) for one in listeners]
        self.is_stopping = False
        self.saved: SavedServer | None = None
        self._save: Callable[[Session], object] | None = None
        self._left = {"tasks", "threads", "workers"}
        self._timer: asyncio.TimerHandle | None = None
        self.update_accepting()

    # Clients

    def adopt(self, stream: ByteStream) -> None:
        """Serve a connection."""
        if self.is_stopping:
            stream.close()
            return
        try:
            self._add(self._next_id, stream)
        except Exception:
            # What decides whether the client must log in is others' code.
            _logger.exception("%s: a client is turned away", _kind(stream))
            stream.close()
            return
        self._next_id += 1
        self.update_accepting()

    def _secured(self, stream: ByteStream) -> None:
        """A handshake is done; it began when there was room, which others may have taken."""
        if len(self.sessions) < self.settings.max_clients:
            self.adopt(stream)
        else:
            stream.close()

    def _service(self, listener: Listener) -> Service:
        if listener.address.kind != "tls":
            return Service(listener, self.loop, self.adopt)
        assert self.handshakes is not None  # noqa: S101  (the server has checked it)
        return Service(listener, self.loop, self.handshakes.begin)

    def _add(self, number: int, stream: ByteStream) -> Session:
        session = self.sessions[number] = Session(number, stream, self)
        if not session.is_authenticated:
            self._anonymous[number] = _kind(stream)
            session.await_login()
        return session

    def restore(
        self, saved: SavedServer, restored: Callable[[Session, Any], object] | None
    ) -> None:
        """Go on with the clients of another process.

        Args:
            restored: told of each, with what was saved of it, before it is heard.
        """
        # Those without an id must not get another's.
        self._next_id = max(saved.next_client_id, *(1 + (one.id or 0) for one in saved.clients), 1)
        while saved.clients:
            client = saved.clients[0]
            connected = socket.socket(fileno=client.socket.fd)
            del saved.clients[0]
            number = self._next_id if client.id is None else client.id
            self._next_id = max(self._next_id, number + 1)
            session = self._add(number, SocketStream(connected))
            session.restore(client)
            if restored is not None:
                restored(session, client.data)
        self.update_accepting()

    def trust(self, session: Session) -> None:
        """A client has proved who it is."""
        self._anonymous.pop(session.id, None)
        self.update_accepting()

    def forget(self, session: Session) -> None:
        """A client is gone."""
        del self.sessions[session.id]
        self._anonymous.pop(session.id, None)
        self.update_accepting()
        if self.is_stopping:
            self._end_handlers()

    def update_accepting(self) -> None:
        """Accept, or not, after a change of clients or limits."""
        if self.is_stopping:
            return
        most, most_anonymous = self.settings.max_clients, self.settings.max_anonymous_clients
        is_full = len(self.sessions) >= most
        # Strangers close the door by which they came: whoever has another one can use it.
        crowded: set[str] = set()
        if 0 < most_anonymous <= len(self._anonymous):
            crowded.update(self._anonymous.values())
        for service in self._services:
            service.enable(not is_full and service.listener.address.kind not in crowded)

    def call_back(self, callback: Callable[[], object], on_loop: bool) -> None:
        """Tell that a client is gone, on the loop or on a worker."""
        job = partial(run, callback)
        if on_loop or self.workers is None:
            self.loop.do(job)
        else:
            self.workers.submit(job)

    def send_event(self, procedure: Procedure[A, None], message: A) -> None:
        """Queue a message for all clients that are authenticated; from any thread."""
        payload = event_payload(procedure, message, self.limits)
        self.loop.do(partial(self._put_event, procedure, payload))

    def _put_event(self, procedure: Procedure[Any, None], payload: bytes) -> None:
        for session in self.sessions.values():
            if session.is_authenticated:
                session.put_event(procedure, payload)

    def statistics(self) -> Statistics:
        """What is going on."""
        workers = self.workers
        return Statistics(
            clients=len(self.sessions),
            unauthenticated=len(self._anonymous),
            workers=workers.size if workers else 0,
            free_workers=workers.free if workers else 0,
            priority_workers=workers.priority_size if workers else 0,
            queued_jobs=workers.queued if workers else 0,
            stream_threads=self.threads.size,
            counters=self.counters,
        )

    # Handing over

    def hand_over(self, timeout: float, save: Callable[[Session], object] | None) -> None:
        """Accept nothing more, answer what was received, and leave the rest to another process.

        Connections are left between two packets. Streams and handlers that go on after ``timeout``
        seconds are broken off, and clients that do not come to rest even then are dropped.

        Args:
            save: tells what is to be saved of a client, as JSON.
        """
        if self.is_stopping:
            return
        self.is_stopping = True
        self._end_handshakes()
        self._save = save
        self.saved = self._settings_saved()
        for session in list(self.sessions.values()):
            session.suspend()
        self._end_handlers()
        if not self.stopped.done():
            self._timer = self.loop.asyncio.call_later(timeout, self._hurry)

    def _take_back(self) -> None:
        """Hand nothing over after all."""
        saved, self.saved = self.saved, None
        if saved is not None:
            saved.close()
        for session in list(self.sessions.values()):
            session.drain(ConnectionClosed("the server is stopping", _CLIENT))

    def keep(self, session: Session) -> None:
        """A client has come to rest."""
        assert self.saved is not None  # noqa: S101  (it rests since the server hands over)
        data = None if self._save is None else self._save(session)
        self.saved.clients.append(session.release(self._auth, data))
        self.forget(session)

    @property
    def _auth(self) -> int:
        """How clients authenticate (remote_auth_type): some way, or none."""
        return int(bool(self.settings.auth_required))

    def _settings_saved(self) -> SavedServer:
        settings = self.settings
        interval, count = settings.keepalive
        services = [
            SavedService(self._auth, False, settings.max_client_requests, [service.release()])
            for service in self._services
            if service.can_move
        ]
        for service in self._services:
            if not service.can_move:
                service.close()
        return SavedServer(
            min_workers=settings.min_workers,
            max_workers=settings.max_workers,
            priority_workers=settings.priority_workers,
            max_clients=settings.max_clients,
            max_anonymous_clients=settings.max_anonymous_clients,
            # In whole seconds; rounded down, less than one would never ask.
            keepalive=(ceil(interval), count),
            next_client_id=self._next_id,
            services=services,
        )

    def _hurry(self) -> None:
        """Break off what does not end."""
        self.dispatcher.steps.cancel()
        for session in list(self.sessions.values()):
            session.break_streams(ConnectionClosed("the server is restarting", _CLIENT))
        self._timer = self.loop.asyncio.call_later(_LAST_WORDS, self._give_up)

    # The end

    def stop(self, timeout: float | None) -> None:
        """Accept nothing more, answer what was accepted, close; give up after ``timeout`` seconds.

        Of several timeouts the one that ends first counts.
        """
        if self.stopped.done():
            return
        if self.saved is not None:
            self._take_back()
        if not self.is_stopping:
            self.is_stopping = True
            self._end_handshakes()
            for service in self._services:
                service.close()
            for session in list(self.sessions.values()):
                session.drain(ConnectionClosed("the server is stopping", _CLIENT))
            self._end_handlers()
        if timeout is not None:
            self._give_up_at(self.loop.asyncio.time() + timeout)

    def abandon(self) -> None:
        """End at once: the start has failed."""
        self.stop(None)
        self._give_up()
        self._finish()

    def _end_handshakes(self) -> None:
        if self.handshakes is not None:
            self.handshakes.close()

    def _give_up_at(self, when: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self.loop.asyncio.call_at(when, self._give_up)

    def _end_handlers(self) -> None:
        """Once all clients are gone, wait for handlers that go on all the same."""
        if self.sessions:
            return
        self.dispatcher.steps.stop(partial(self._ended, "tasks"))
        self.threads.stop(partial(self.loop.post, partial(self._ended, "threads")))
        if self.workers is None:
            self._ended("workers")
        else:
            self.workers.stop(partial(self.loop.post, partial(self._ended, "workers")))

    def _ended(self, what: str) -> None:
        self._left.discard(what)
        if not self._left:
            self._finish()

    def _give_up(self) -> None:
        """Drop what is still under way; threads cannot be ended and are left behind."""
        self.dispatcher.steps.cancel()
        for session in list(self.sessions.values()):
            session.lost(ConnectionClosed("the server has stopped", _CLIENT))
        self._timer = self.loop.asyncio.call_later(_LAST_WORDS, self._finish)

    def _finish(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.dispatcher.steps.close()
        self.loop.close()
        if not self.stopped.done():
            self.stopped.set_result(None)


def _kind(stream: ByteStream) -> str:
    """How a client is connected, as addresses name it."""
    if stream.passes_fds:
        return "unix"
    return "tls" if stream.identity.secure else "tcp"
