"""A daemon: servers on one event loop, and what a process needs around them.

It puts together what others own: pidfile, signals, logs, configuration, idle timeout, the admin
program. It forks nothing; ``daemonize`` does that before.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import AsyncExitStack, ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from rpcgen.runtime.daemon.admin import AdminService, admin_server
from rpcgen.runtime.daemon.idlewatch import IdleWatch
from rpcgen.runtime.daemon.reloads import Reloads
from rpcgen.runtime.daemon.settings import DaemonSettings
from rpcgen.runtime.daemon.succession import Heritage, Left, Succession
from rpcgen.runtime.errors import ConnectError, PidfileBusy, ProcessError, RpcError, TlsError
from rpcgen.runtime.limits import STOP_TIMEOUT
from rpcgen.runtime.process.daemonize import ExitCode, StartReport
from rpcgen.runtime.process.logs import DEFAULT_LEVEL, Logs
from rpcgen.runtime.process.notify import Notifier
from rpcgen.runtime.process.pidfiles import Pidfile
from rpcgen.runtime.process.reexec import HELD, resume_signals
from rpcgen.runtime.process.signals import STOP, SignalHandlers, stop_handlers
from rpcgen.runtime.process.surroundings import forbid_core_dumps
from rpcgen.runtime.tomlfile import TomlError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from rpcgen.runtime.daemon.configuration import Check, Configuration
    from rpcgen.runtime.daemon.loginkeys import Logins
    from rpcgen.runtime.process.idle import Inhibitor
    from rpcgen.runtime.process.signals import SignalRecord
    from rpcgen.runtime.server import Server
    from rpcgen.runtime.server.saved import SavedServer

_logger = logging.getLogger(__name__)

ADMIN: Final = "admin"
"""The name of the server of the admin program, as libvirt's daemons call it."""

_CODES: Final = (
    (PidfileBusy, ExitCode.PIDFILE),
    (TomlError, ExitCode.CONFIG),
    (TlsError, ExitCode.CONFIG),
    (ConnectError, ExitCode.NETWORK),
)


def exit_code(error: BaseException) -> int:
    """The code with which a daemon ends that cannot start because of ``error``: libvirt's."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.INIT)


class Daemon:
    """Servers in a process of their own.

    Args:
        servers: by name, under which the configuration and ``virt-admin`` know them. None of them
            runs; the daemon runs them.
        name: the program's, for the journal.
        pidfile: held while the daemon runs.
        configuration: a TOML file with what ``docs/daemon.md`` lists, read at the start and on
            SIGHUP. What is not in it is as the other arguments and the servers say.
        keys: of the program's own in that file, dotted, with their checks.
        configured: told what the file says once that is in force, on the event loop or before it
            runs. It must not fail.
        logins: by the name of a server, the ``rpcgen.libvirt.Authentication`` that its program goes
            by: the file may then change it.
        admin: where the admin program listens, as ``unix:///path`` or a socket that is bound; for
            processes of the daemon's own user.
        log_level: 1 debug, 2 info, 3 warning, 4 error.
        log_filters, log_outputs: as ``Logs.configure`` takes them.
        idle_timeout: seconds without clients after which the daemon ends; 0 for never.
        state: a file; on SIGUSR1 the daemon executes its own command anew in its process, and leaves
            itself there what the new program is to know. Clients stay connected.
        heritage: what the program adds to that.
        core_dumps: whether the system may write what is in memory, keys and passwords among it, when
            the daemon crashes.
        signals: what else is to be called on a signal, such as SIGUSR2, on the event loop.
        loop_factory: makes the event loop, such as ``uvloop.new_event_loop``.

    Attributes:
        servers: all, with that of the admin program as ``admin``.

    Raises:
        ValueError: a server is called ``admin`` beside the admin program, a timeout is below 0, a
            signal is one of the daemon's own, or logins are of no server or of two.
        ConnectError: the address of the admin program is none.
    """

    def __init__(
        self,
        servers: Mapping[str, Server],
        *,
        name: str,
        pidfile: str | None = None,
        configuration: str | None = None,
        keys: Mapping[str, Check] | None = None,
        configured: Callable[[Configuration], object] | None = None,
        logins: Mapping[str, Logins] | None = None,
        admin: str | socket.socket | None = None,
        log_level: int = DEFAULT_LEVEL,
        log_filters: str = "",
        log_outputs: str = "",
        idle_timeout: float = 0,
        state: str | None = None,
        heritage: Heritage | None = None,
        core_dumps: bool = True,
        signals: Mapping[int, Callable[[SignalRecord], object]] | None = None,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        own = {signal.SIGHUP, *STOP} | ({signal.SIGUSR1} if state else set())
        if taken := own.intersection(signals or {}):
            names = ", ".join(sorted(signal.Signals(one).name for one in taken))
            raise ValueError(f"signals: the daemon itself handles {names}")
        self.servers = dict(servers)
        self.name = name
        if admin is not None:
            if ADMIN in self.servers:
                raise ValueError(f"server {ADMIN!r}: the admin program's own has that name")
            self.servers[ADMIN] = admin_server(AdminService(self), admin)
        self._pidfile = pidfile
        defaults: dict[str, int | str | float] = {
            "log_level": log_level,
            "log_filters": log_filters,
            "log_outputs": log_outputs,
            "idle_timeout": idle_timeout,
        }
        self._settings = DaemonSettings(
            self.servers,
            configuration,
            defaults,
            keys=keys or {},
            configured=configured,
            logins=logins or {},
        )
        self._succession = None
        if state is not None:
            self._succession = Succession(state, heritage or Heritage(), list(self.servers))
        self._hands_over = False
        self._loop_factory = loop_factory
        self._signals = dict(signals or {})
        self._core_dumps = core_dumps
        self._logs: Logs | None = None
        self._notifier = Notifier()
        self._idle = IdleWatch(self.servers.values(), self.stop)
        self._idle.set_timeout(idle_timeout)
        self._reloads = Reloads(self._reload)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._has_run = False
        self._held: Pidfile | None = None
        self._pinging: asyncio.TimerHandle | None = None

    # Running

    def run(self, report: StartReport | None = None) -> None:
        """Serve until SIGTERM, SIGINT, SIGQUIT, ``stop`` or the idle timeout; in the main thread, once.

        The first signal has what was accepted answered; a second one does not wait for that.

        Args:
            report: of ``daemonize``: told when the daemon serves, or with which of libvirt's codes
                it has failed.

        Raises:
            PidfileBusy: another instance runs.
            ConfigurationError: its file is wrong.
            ConnectError: an address cannot be listened at.
            ProcessError, OSError: pidfile, logs or signals cannot be had; or it has run before.
        """
        if self._has_run:
            raise ProcessError("a daemon runs once")
        self._has_run = True
        report = report or StartReport()
        try:
            with ExitStack() as stack:
                self._run(report, stack)
        except BaseException as error:
            report.failed(exit_code(error))
            raise
        finally:
            self._loop = self._logs = None

    def stop(self, timeout: float | None = STOP_TIMEOUT) -> None:
        """Answer what was accepted, and end; from any thread, and returns before that has happened.

        Args:
            timeout: seconds after which what is not answered is dropped; None waits for it.
        """
        self._do(lambda: self._stop(timeout))

    def reload(self) -> None:
        """Open log files anew and read the configuration again, as on SIGHUP; from any thread.

        One that is wrong is logged, and the old one stays in force. A reload that is asked for
        during another one follows it.
        """
        self._do(self._reloads.ask)

    def inhibit(self, reason: str) -> Inhibitor:
        """Have the idle timeout wait until the inhibitor is released; from any thread."""
        return self._idle.inhibit(reason)

    # For the admin program, on the event loop

    @property
    def logs(self) -> Logs:
        """The logs of the running daemon.

        Raises:
            ProcessError: it does not run.
        """
        if self._logs is None:
            raise ProcessError("the daemon does not run")
        return self._logs

    def set_idle_timeout(self, timeout: float) -> None:
        """Change the timeout until the next reload; on the event loop."""
        self._idle.set_timeout(timeout)

    # Start and stop

    def _run(self, report: StartReport, stack: ExitStack) -> None:
        if not self._core_dumps:
            forbid_core_dumps()
        handlers = self._signals | stop_handlers(lambda _: self.stop(), lambda _: self.stop(0))
        handlers[signal.SIGHUP] = self._hang_up
        if self._succession is not None:
            handlers[signal.SIGUSR1] = self._hand_over
        signals = stack.enter_context(SignalHandlers(handlers))
        left = self._succession.take() if self._succession is not None else None
        if self._pidfile is not None:
            self._held = _pidfile(self._pidfile, left)
            stack.callback(self._held.release)
        self._logs = stack.enter_context(Logs(self.name))
        self._notifier = stack.enter_context(Notifier.from_environ())
        self._settings.apply(self._settings.read(), self._logs, self._idle)
        if left is not None:
            self._restore(left.servers)
        runner = stack.enter_context(asyncio.Runner(loop_factory=self._loop_factory))
        runner.run(self._serve(signals, report))
        while self._hands_over:
            self._leave(signals)
            if self._hands_over:  # there is no next program
                self._hands_over = False
                self._stopping.clear()
                self._reloads = Reloads(self._reload)
                runner.run(self._serve(signals, report))
        for server in self.servers.values():
            if server.saved is not None:  # on its way to a program that is not wanted any more
                server.saved.close()

    async def _serve(self, signals: SignalHandlers, report: StartReport) -> None:
        async with AsyncExitStack() as stack:
            stack.enter_context(signals.attached())
            for server in self.servers.values():
                await stack.enter_async_context(server)
            stack.push_async_callback(self._reloads.close)
            stack.callback(self._idle.close)
            self._loop = asyncio.get_running_loop()
            self._idle.start()
            self._ping()
            stack.callback(self._stop_pinging)
            self._notifier.ready()
            report.ready()
            resume_signals()
            await self._stopping.wait()

    def _do(self, action: Callable[[], object]) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(action)

    def _stop(self, timeout: float | None) -> None:
        if self._hands_over or not self._stopping.is_set():
            self._notifier.stopping()
            self._hands_over = False
            self._stopping.set()
        for server in self.servers.values():
            server.stop(timeout)

    def _ping(self) -> None:
        """Tell the watchdog, twice in its time, that the loop goes round."""
        if self._notifier.watchdog and self._loop:
            self._notifier.ping()
            self._pinging = self._loop.call_later(self._notifier.watchdog / 2, self._ping)

    def _stop_pinging(self) -> None:
        if self._pinging is not None:
            self._pinging.cancel()

    # From program to program

    def _hand_over(self, _: SignalRecord) -> None:
        if self._stopping.is_set() or self._succession is None:
            return
        self._notifier.reloading()
        self._hands_over = True
        for server in self.servers.values():
            server.hand_over(save=self._succession.heritage.save_client)
        self._stopping.set()

    def _leave(self, signals: SignalHandlers) -> None:
        """Become the same command anew; come back where that fails, or somebody wants the end."""
        # From here on signals wait: for the next program, or for this one to go on.
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        saved = {name: one.saved for name, one in self.servers.items() if one.saved is not None}
        left = Left(saved, None if self._held is None else self._held.fd)
        has_stop = partial(_has_stop, signals)
        try:
            if self._succession is not None and not has_stop():
                self._succession.leave(left, has_stop)
        except (RpcError, OSError) as error:
            _logger.error("going on as before: %s", error)
            self._restore(saved)
        except Exception:  # of the program's heritage
            _logger.exception("going on as before")
            self._restore(saved)
        else:
            self._hands_over = False
            self._notifier.stopping()
            for one in saved.values():
                one.close()
            resume_signals()  # whoever runs after the daemon hears them

    def _restore(self, servers: Mapping[str, SavedServer]) -> None:
        """Have the servers go on where others of their names have stopped."""
        for name, saved in servers.items():
            if name in self.servers and self._succession is not None:
                self.servers[name].restore(saved, self._succession.heritage.restore_client)
            else:
                _logger.warning("server %s is there no more, and its clients are not served", name)
                saved.close()

    # Configuration

    def _hang_up(self, _: SignalRecord) -> None:
        self._reloads.ask()

    async def _reload(self) -> None:
        self._notifier.reloading()
        _logger.info("reloading")
        for step in (self._reopen, self._configure):
            try:
                await step()
            except (RpcError, OSError) as error:
                _logger.error("%s", error)
            except Exception:
                _logger.exception("a reload failed")
        self._notifier.ready()

    async def _reopen(self) -> None:
        self.logs.reopen()

    async def _configure(self) -> None:
        await self._settings.renew(self.logs, self._idle)


def _pidfile(path: str, left: Left | None) -> Pidfile:
    if left is not None and left.pidfile is not None:
        return Pidfile.inherit(path, left.pidfile)
    return Pidfile.acquire(path)


def _has_stop(signals: SignalHandlers) -> bool:
    """Whether one came after the servers had ended."""
    return any(record.number in STOP for record in iter(signals.take, None))
