"""The daemon as a whole: the lock program on a server, signals, a pidfile, and what outlasts ``exec``."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rpcgen.examples.lockd.lockspaces import Lockspaces
from rpcgen.examples.lockd.owner import end_owner
from rpcgen.examples.lockd.saved import SERVERS, SavedLockd
from rpcgen.examples.lockd.service import LockService
from rpcgen.runtime import Server
from rpcgen.runtime.limits import STOP_TIMEOUT
from rpcgen.runtime.process import (
    Pidfile,
    ProcessError,
    SignalHandlers,
    execute,
    load_state,
    own_command,
    resume_signals,
    save_state,
    stop_handlers,
    user_runtime_directory,
)
from rpcgen.runtime.process.reexec import HELD
from rpcgen.runtime.process.signals import STOP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rpcgen.examples.lockd.owner import OwnerProcess
    from rpcgen.runtime.server.saved import SavedServer

_logger = logging.getLogger(__name__)

MAX_CLIENTS: Final = 1024
"""Connections at which no more are accepted: virtlockd's ``max_clients``."""

(_SERVER,) = SERVERS


def server_of(service: LockService, addresses: Sequence[str]) -> Server:
    """A server of the lock program, for one that listens at UNIX sockets.

    Handlers never wait, so there are no workers; and a client is read when its call is answered.

    Raises:
        ConnectError: an address that is none.
    """
    return Server(
        [service],
        listen=addresses,
        min_workers=0,
        max_workers=0,
        priority_workers=0,
        max_clients=MAX_CLIENTS,
        max_anonymous_clients=MAX_CLIENTS,
        max_client_requests=1,
    )


def run(
    addresses: Sequence[str],
    *,
    pid_file: str | None = None,
    state_file: str | None = None,
    owner_left: Callable[[OwnerProcess], object] = end_owner,
) -> None:
    """Serve until SIGINT, SIGQUIT or SIGTERM; at SIGUSR1 execute the same command anew.

    Args:
        addresses: as ``unix:///path``.
        pid_file: held meanwhile, if given.
        state_file: what the process leaves itself at SIGUSR1; by default one of its own, where
            pidfiles are.
        owner_left: see ``LockService``.

    Raises:
        ConnectError: an address cannot be listened at.
        PidfileBusy: another daemon holds the pidfile.
        ProcessError, OSError: the pidfile cannot be made, or the state is not to be believed.
    """
    state_path = state_file or _own_state_file()
    left = _state(state_path)
    spaces = Lockspaces() if left is None else Lockspaces.restore(left.lockspaces)
    service = LockService(spaces, owner_left=owner_left)
    server = server_of(service, addresses)
    with ExitStack() as stack:
        held = _pidfile(pid_file, left)
        if held is not None:
            stack.callback(held.release)
        daemon = _Daemon(service, server, held, state_path)
        if left is not None:
            daemon.restore(left.servers[_SERVER])
        daemon.run()


class _Daemon:
    """A lock daemon that runs."""

    def __init__(
        self, service: LockService, server: Server, held: Pidfile | None, state_file: str
    ) -> None:
        self._service = service
        self._server = server
        self._pidfile = held
        self._state_file = state_file
        self._is_stopping = False
        self._handlers = {
            **stop_handlers(lambda _: self._stop(STOP_TIMEOUT), lambda _: self._stop(0)),
            signal.SIGUSR1: lambda _: server.hand_over(save=service.save_client),
        }

    def restore(self, saved: SavedServer) -> None:
        """Go on with the clients of the program before."""
        self._server.restore(saved, self._service.restore_client)

    def run(self) -> None:
        """Serve, and hand over as often as that is asked for and fails."""
        with SignalHandlers(self._handlers) as signals:
            while (saved := asyncio.run(self._serve(signals))) is not None:
                # From here on signals wait: for the next program, or for this one to go on.
                signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
                if self._is_stopping or _has_stop(signals):
                    saved.close()
                    return
                self._execute(saved)

    def _stop(self, timeout: float) -> None:
        self._is_stopping = True
        self._server.stop(timeout)

    async def _serve(self, signals: SignalHandlers) -> SavedServer | None:
        async with self._server as server:
            with signals.attached():
                resume_signals()
                await server.ended()
        return server.saved

    def _execute(self, saved: SavedServer) -> None:
        """Become the program anew; where that fails, go on as this one."""
        spaces = self._service.lockspaces
        held = None if self._pidfile is None else self._pidfile.fd
        state = SavedLockd({_SERVER: saved}, spaces.save(), os.getpid(), held)
        fds = [one.fd for one in saved.sockets] + ([] if held is None else [held])
        spaces.pass_on(True)
        try:
            save_state(self._state_file, state.to_json())
            execute(own_command(), fds)
        except (ProcessError, OSError) as error:
            _logger.error("going on as before: %s", error)
            spaces.pass_on(False)
            Path(self._state_file).unlink(missing_ok=True)
            self.restore(saved)


def _own_state_file() -> str:
    folder = "/run" if os.geteuid() == 0 else user_runtime_directory()
    return f"{folder}/rpcgen-lockd-{os.getpid()}.json"


def _state(path: str) -> SavedLockd | None:
    state = load_state(path)
    try:
        return None if state is None else SavedLockd.from_json(state)
    except ValueError as error:
        raise ProcessError(f"{path}: {error}") from None


def _pidfile(path: str | None, left: SavedLockd | None) -> Pidfile | None:
    if path is None:
        return None
    if left is not None and left.pidfile is not None:
        return Pidfile.inherit(path, left.pidfile)
    return Pidfile.acquire(path)


def _has_stop(signals: SignalHandlers) -> bool:
    """Whether one came after the server had ended."""
    return any(record.number in STOP for record in iter(signals.take, None))
