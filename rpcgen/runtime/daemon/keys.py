"""What every daemon's configuration file may say of its servers: the keys, and what they set.

A key that is not in the file stands for what the program has chosen. Nothing is changed here
before everything has been checked.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final

from rpcgen.runtime.daemon.accesskeys import AccessKeys
from rpcgen.runtime.daemon.configuration import text, whole
from rpcgen.runtime.daemon.loginkeys import LoginKeys

if TYPE_CHECKING:
    from rpcgen.runtime.daemon.configuration import Check, Configuration
    from rpcgen.runtime.daemon.loginkeys import Logins
    from rpcgen.runtime.server import Server

WORKERS_MAX: Final = 4096
"""Threads of a pool: one zero too many is not to bring the machine down."""

CLIENTS_MAX: Final = 1_000_000
"""Connections of a server: more than a process may have descriptors."""

REQUESTS_MAX: Final = 65_536
"""Calls of one client at the same time: more would only wait for a worker."""

SECONDS_MAX: Final = 0x7FFF_FFFF
"""What libvirt's int holds."""

DAEMON_KEYS: Final[dict[str, Check]] = {
    "log_level": whole(1, 4),
    "log_filters": text,
    "log_outputs": text,
    "idle_timeout": whole(0, SECONDS_MAX),
}
"""What is the daemon's as a whole."""

_WORKERS: Final = ("min_workers", "max_workers", "priority_workers")
_CLIENTS: Final = ("max_clients", "max_anonymous_clients")

SERVER_KEYS: Final[dict[str, Check]] = {
    "min_workers": whole(0, WORKERS_MAX),
    "max_workers": whole(0, WORKERS_MAX),
    "priority_workers": whole(0, WORKERS_MAX),
    "max_clients": whole(1, CLIENTS_MAX),
    "max_anonymous_clients": whole(0, CLIENTS_MAX),
    "max_client_requests": whole(1, REQUESTS_MAX),
    "keepalive_interval": whole(1, SECONDS_MAX),
    "keepalive_count": whole(0, SECONDS_MAX),
}
"""What is each server's, below ``servers.NAME``: the arguments of ``Server``.

The last three are for clients that connect from then on.
"""


class ServerKeys:
    """The keys of one server, but for those of TLS, which several may share.

    Args:
        name: under which the file has it.
        server: as the program has set it.
        logins: how its clients log in, likewise; None if the file has no keys for that.
    """

    def __init__(self, name: str, server: Server, logins: Logins | None = None) -> None:
        settings = server.settings
        interval, count = settings.keepalive
        self._prefix = f"servers.{name}."
        self._server = server
        self._files: list[AccessKeys | LoginKeys] = []
        if server.access is not None:
            self._files.append(AccessKeys(self._prefix, server, server.access))
        if logins is not None:
            self._files.append(LoginKeys(self._prefix, logins))
        self._defaults = {
            "keepalive_interval": interval,
            "keepalive_count": count,
            "max_client_requests": settings.max_client_requests,
            **{key: getattr(settings, key) for key in _WORKERS + _CLIENTS},
        }

    @property
    def checks(self) -> dict[str, Check]:
        """The keys with their prefix."""
        found = {self._prefix + key: check for key, check in SERVER_KEYS.items()}
        for one in self._files:
            found |= one.checks
        return found

    def check(self, file: Configuration) -> None:
        """Refuse numbers that contradict each other, and files that do not do.

        Raises:
            ConfigurationError: for one that is in the file.
        """
        values, trial = self._values(file), copy(self._server.settings)
        if bool(values["max_workers"]) != bool(trial.max_workers):
            reason = "handlers run on workers or on the loop, and cannot change over"
            raise file.error(self._prefix + "max_workers", reason)
        for keys, change in ((_WORKERS, trial.set_workers), (_CLIENTS, trial.set_clients)):
            try:
                change(*(values[key] for key in keys))
            except ValueError as error:
                raise file.error(self._first(file, keys), str(error)) from None
        for one in self._files:
            one.check(file)

    def apply(self, file: Configuration) -> None:
        """Put into force what has been checked."""
        values, settings = self._values(file), self._server.settings
        self._server.set_workers(*(values[key] for key in _WORKERS))
        self._server.set_client_limits(*(values[key] for key in _CLIENTS))
        settings.max_client_requests = values["max_client_requests"]
        settings.keepalive = values["keepalive_interval"], values["keepalive_count"]
        for one in self._files:
            one.apply()

    def _values(self, file: Configuration) -> dict[str, int]:
        return {
            key: file.get(self._prefix + key, default) for key, default in self._defaults.items()
        }

    def _first(self, file: Configuration, keys: tuple[str, ...]) -> str:
        """Which of the keys is in the file: the others are as the program has set them."""
        names = [self._prefix + key for key in keys]
        return next(name for name in names if name in file)
