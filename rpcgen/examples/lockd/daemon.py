"""The daemon as a whole: the lock program on a server, and what goes with it to a newer program."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from rpcgen.examples.lockd.lockspaces import Lockspaces
from rpcgen.examples.lockd.owner import end_owner
from rpcgen.examples.lockd.saved import SERVERS, SavedLockspaces
from rpcgen.examples.lockd.service import LockService
from rpcgen.runtime import Server
from rpcgen.runtime.daemon import Daemon, Heritage
from rpcgen.runtime.process import user_runtime_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rpcgen.examples.lockd.owner import OwnerProcess
    from rpcgen.runtime import Session

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


def daemon_of(
    addresses: Sequence[str],
    *,
    state_file: str | None = None,
    owner_left: Callable[[OwnerProcess], object] = end_owner,
    **options: Any,
) -> Daemon:
    """A lock daemon.

    Args:
        addresses: as ``unix:///path``.
        state_file: what the process leaves itself at SIGUSR1; by default one of its own, where
            pidfiles are.
        owner_left: see ``LockService``.
        options: others of ``Daemon``.

    Raises:
        ConnectError: an address that is none.
    """
    service = LockService(owner_left=owner_left)
    return Daemon(
        {_SERVER: server_of(service, addresses)},
        name="rpcgen-lockd",
        state=state_file or _own_state_file(),
        heritage=_Leases(service),
        **options,
    )


class _Leases(Heritage):
    """Lock spaces and their leases, in virtlockd's form."""

    def __init__(self, service: LockService) -> None:
        self._service = service

    def save(self) -> Mapping[str, Any]:
        return self._service.lockspaces.save().to_json()

    def descriptors(self) -> Iterable[int]:
        return self._service.lockspaces.descriptors()

    def restore(self, state: Mapping[str, Any]) -> None:
        self._service.lockspaces = Lockspaces.restore(SavedLockspaces.from_json(state))

    def save_client(self, session: Session) -> Any:
        return self._service.save_client(session)

    def restore_client(self, session: Session, data: Any) -> None:
        self._service.restore_client(session, data)


def _own_state_file() -> str:
    folder = "/run" if os.geteuid() == 0 else user_runtime_directory()
    return f"{folder}/rpcgen-lockd-{os.getpid()}.json"
