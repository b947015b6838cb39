"""The server as its user has it: where it runs, how it is started, asked and stopped."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING

from rpcgen.runtime.errors import LocalProtocolError, TlsError
from rpcgen.runtime.limits import HAND_OVER_TIMEOUT, STOP_TIMEOUT, Limits
from rpcgen.runtime.server.dispatch import programs_of
from rpcgen.runtime.server.engine import Engine
from rpcgen.runtime.server.listening import is_tls, open_listeners
from rpcgen.runtime.server.settings import Settings, check_tls, demands_of
from rpcgen.runtime.transport import address as addresses
from rpcgen.runtime.transport.dial import pair

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any, Self, TypeVar

    from rpcgen.runtime.access.guard import Guard
    from rpcgen.runtime.access.policy import AccessPolicy
    from rpcgen.runtime.interfaces import ByteStream, Identity
    from rpcgen.runtime.program import Procedure
    from rpcgen.runtime.server.saved import SavedServer
    from rpcgen.runtime.server.session import Session
    from rpcgen.runtime.server.statistics import Statistics
    from rpcgen.runtime.tls.context import ServerTls
    from rpcgen.runtime.transport.listen import Listener

    A = TypeVar("A")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server:
    """Serves programs to many clients.

    ``run`` serves until a signal or ``stop``; ``async with server:`` serves in the running loop, ``with
    server:`` in a thread of its own, both until the block is left.

    Args:
        programs: instances of generated server classes, any number of programs and versions.
        listen: addresses, as ``unix:///path``, ``tcp://host:port`` or ``tls://host:port``; port 0 lets
            the system choose.
            Also sockets that are bound, as the service manager passes them; they are the server's.
        tls: certificates and whom they let in, for ``tls://``.
        limits: of connections, where the defaults do not do.
        min_workers, max_workers: threads for plain handlers; with a maximum of 0 these run on the
            event loop, which must be enough for them.
        priority_workers: threads beside those for procedures of high priority.
        max_clients: connections at which no more are accepted; they wait in the system's queue.
        max_anonymous_clients: the same for those that have not authenticated, by the kinds of address
            that they came by; 0 for any number.
        max_queued_clients: the length of that queue.
        max_client_requests: calls of one client at which it is not read any more, until one of
            them is answered.
        keepalive: seconds of silence before a client is asked for a sign of life, and how often
            it is asked; each session starts that with ``start_keepalive``.
        socket_mode: permissions of UNIX sockets.
        auth_required: whether clients must authenticate before they call what is not marked
            ``@auth: none``; or what says that of each. None leaves it to the programs: those that
            have ``is_auth_required(identity)`` are asked.
        access: decides, before a handler runs, whether the peer has the permissions of ``@acl``,
            which every procedure must then have. By default all may call all.
        loop_factory: makes the event loop of ``run`` and ``with``, such as ``uvloop.new_event_loop``.

    Raises:
        TypeError: what is no instance of a generated server class.
        ValueError: numbers that contradict each other, a program offered twice, with ``access`` a
            procedure whose ``@acl`` is missing or cannot be understood.
        ConnectError: an address that is none.
        TlsError: ``tls://`` without ``tls``.
    """

    def __init__(
        self,
        programs: Sequence[object],
        *,
        listen: Sequence[str | socket.socket] = (),
        tls: ServerTls | None = None,
        limits: Limits | None = None,
        min_workers: int = 5,
        max_workers: int = 20,
        priority_workers: int = 5,
        max_clients: int = 5000,
        max_anonymous_clients: int = 20,
        max_queued_clients: int = 1000,
        max_client_requests: int = 5,
        keepalive: tuple[float, int] = (5, 5),
        socket_mode: int = 0o700,
        auth_required: bool | Callable[[Identity], bool] | None = None,
        access: AccessPolicy | None = None,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        self._guard: Guard | None = None
        if access is not None:
            from rpcgen.runtime.access.guard import Guard

            self._guard = Guard(access)
        self._programs = programs_of(programs, has_workers=bool(max_workers), guard=self._guard)
        self._addresses = [addresses.parse(one) if isinstance(one, str) else one for one in listen]
        self._tls = tls
        self._limits = limits or Limits()
        self._settings = Settings(
            min_workers=min_workers,
            max_workers=max_workers,
            priority_workers=priority_workers,
            max_clients=max_clients,
            max_anonymous_clients=max_anonymous_clients,
            max_queued_clients=max_queued_clients,
            max_client_requests=max_client_requests,
            keepalive=keepalive,
            socket_mode=socket_mode,
            auth_required=demands_of(programs) if auth_required is None else auth_required,
        )
        if tls is not None:
            check_tls(tls)
        if tls is None and any(is_tls(one) for one in self._addresses):
            raise TlsError("tls:// needs certificates: expected tls=ServerTls(...)")
        self._loop_factory = loop_factory
        self._listeners: list[Listener] = []
        self._engine: Engine | None = None
        self._thread: threading.Thread | None = None
        self._hands_over = False
        self._restored: tuple[SavedServer, Callable[[Session, Any], object] | None] | None = None

    # Running

    def run(self) -> None:
        """Serve until SIGINT, SIGTERM or ``stop``; a second signal does not wait for handlers.

        Raises:
            ConnectError: an address cannot be listened at.
        """
        with asyncio.Runner(loop_factory=self._loop_factory) as runner:
            runner.run(self._serve_with_signals())

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()
        await self.ended()

    def __enter__(self) -> Self:
        started = threading.Event()
        problems: list[Exception] = []
        # Handlers see the context variables of who starts the server, as with the other ways.
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run, args=(self._run_in_thread, started, problems), name="rpc server"
        )
        thread.start()
        started.wait()
        if problems:
            thread.join()
            raise problems[0]
        self._thread = thread
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()
        if self._thread is not None:
            self._thread.join()

    # Asking and telling, from any thread

    @property
    def addresses(self) -> list[str]:
        """Where it listens, with the ports that the system chose."""
        return [str(listener.address) for listener in self._listeners]

    @property
    def sessions(self) -> list[Session]:
        """The clients that are connected."""
        return list(self._running().sessions.values())

    @property
    def settings(self) -> Settings:
        """Its bounds, as they are now."""
        return self._settings

    @property
    def tls(self) -> ServerTls | None:
        """Its certificates, and whom they let in; ``reload`` reads them again."""
        return self._tls

    @property
    def access(self) -> AccessPolicy | None:
        """Who decides what a client may do; None if all may do everything."""
        return None if self._guard is None else self._guard.policy

    @property
    def statistics(self) -> Statistics:
        """What is going on, and what has happened since it was started."""
        return self._running().statistics()

    def dial(self) -> ByteStream:
        """A connection to it inside this process, which also passes descriptors.

        Raises:
            LocalProtocolError: it does not run.
        """
        engine = self._running()
        if engine.is_stopping:
            raise LocalProtocolError("the server has ended")
        ours, theirs = pair()
        engine.loop.do(partial(engine.adopt, theirs))
        return ours

    def send_event(self, procedure: Procedure[A, None], message: A) -> None:
        """Queue a message for all clients that are authenticated.

        Raises:
            XdrEncodeError: the message is not one.
        """
        self._running().send_event(procedure, message)

    def set_workers(self, minimum: int, maximum: int, priority: int) -> None:
        """Change the bounds of the pool; workers above them finish what they do.

        Raises:
            ValueError: they contradict each other, or go from none to some or back.
        """
        if bool(maximum) != bool(self._settings.max_workers):
            raise ValueError("workers: handlers run on them or on the loop, and cannot change over")
        self._settings.set_workers(minimum, maximum, priority)
        if self._engine is not None and self._engine.workers is not None:
            self._engine.workers.resize(minimum, maximum, priority)

    def set_access(self, policy: AccessPolicy) -> None:
        """Have another policy decide from the next call on, of clients that are connected too.

        Raises:
            ValueError: the server began without one.
        """
        if self._guard is None:
            raise ValueError("access: a server that began without a policy cannot get one")
        self._guard.policy = policy

    def set_client_limits(self, max_clients: int, max_anonymous: int) -> None:
        """Change how many clients are accepted; those who are there stay.

        Raises:
            ValueError: they contradict each other.
        """
        self._settings.set_clients(max_clients, max_anonymous)
        if self._engine is not None:
            self._engine.loop.do(self._engine.update_accepting)

    def stop(self, timeout: float | None = STOP_TIMEOUT) -> None:
        """Accept nothing more, answer what was accepted, close; returns before that has happened.

        Of a server that has not been started it asks nothing.

        Args:
            timeout: seconds after which what is not answered is dropped; None waits for it.
        """
        self._hands_over = False
        if self._engine is not None:
            self._engine.loop.do(partial(self._engine.stop, timeout))

    async def ended(self) -> None:
        """Wait, in the loop that it runs in, until it has stopped or handed over."""
        await asyncio.shield(self._running().stopped)

    # From process to process

    def hand_over(
        self,
        timeout: float = HAND_OVER_TIMEOUT,
        save: Callable[[Session], object] | None = None,
    ) -> None:
        """End, and leave sockets and clients open in ``saved``; returns before that has happened.

        What was received is answered; what comes later waits in the system for whoever takes over.
        ``stop`` takes it back until then. No callback of ``on_close`` is called. From any thread.

        Args:
            timeout: seconds after which streams and handlers are broken off.
            save: tells what is to be saved of a client, as JSON; on the event loop.
        """
        engine = self._running()
        self._hands_over = True
        engine.loop.do(partial(engine.hand_over, timeout, save))

    @property
    def saved(self) -> SavedServer | None:
        """After ``hand_over``, once the server has ended: what it leaves. The caller's."""
        return self._running().saved

    def restore(
        self, saved: SavedServer, restored: Callable[[Session, Any], object] | None = None
    ) -> None:
        """When it is started, go on with what another server has left, and its limits.

        It listens there, and anew at its own addresses of TLS, which are not saved.

        Args:
            saved: its descriptors are the server's from the start on.
            restored: told of each client, with what was saved of it, before it is heard.

        Raises:
            ValueError: limits that contradict each other.
        """
        settings = self._settings
        settings.set_workers(saved.min_workers, saved.max_workers, saved.priority_workers)
        settings.set_clients(saved.max_clients, saved.max_anonymous_clients)
        settings.keepalive = saved.keepalive
        self._restored = saved, restored

    def _leave(self) -> None:
        """Stop, unless it comes to an end by itself."""
        if not self._hands_over:
            self.stop()

    def _running(self) -> Engine:
        if self._engine is None:
            raise LocalProtocolError("the server has not been started")
        return self._engine

    def _start(self) -> None:
        if self._engine is not None and not self._engine.stopped.done():
            raise LocalProtocolError("the server runs already")
        self._hands_over = False
        saved, restored = self._restored or (None, None)
        self._restored = None
        if self._tls is not None:
            self._tls.load()
        self._listeners = open_listeners(self._addresses, saved, self._settings)
        try:
            self._engine = Engine(
                self._programs, self._limits, self._settings, self._listeners, self._tls
            )
        except BaseException:
            for listener in self._listeners:
                listener.close()
            raise
        if saved is not None:
            try:
                self._engine.restore(saved, restored)
            except BaseException:
                self._engine.abandon()
                raise

    async def _serve(self, started: threading.Event | None = None) -> None:
        """Serve until everything has ended."""
        self._start()
        if started is not None:
            started.set()
        await self.ended()

    async def _serve_with_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            await self._serve()
            return
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._interrupted)
        try:
            await self._serve()
        finally:
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)

    def _interrupted(self) -> None:
        is_first = not self._running().is_stopping
        self.stop(STOP_TIMEOUT if is_first else 0)

    def _run_in_thread(self, started: threading.Event, problems: list[Exception]) -> None:
        try:
            with asyncio.Runner(loop_factory=self._loop_factory) as runner:
                runner.run(self._serve(started))
        except Exception as error:  # noqa: BLE001  (raised where the block is entered)
            problems.append(error)
            started.set()
