"""What a configuration file sets in a daemon: logs, timeout, servers, and what is the program's.

It is read and checked as a whole, with all files that it names, and then put into force. When that
happens is the daemon's to say.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rpcgen.runtime.daemon.configuration import Configuration, read_configuration
from rpcgen.runtime.daemon.keys import DAEMON_KEYS, ServerKeys
from rpcgen.runtime.daemon.tlskeys import TlsKeys
from rpcgen.runtime.errors import ProcessError
from rpcgen.runtime.process.logs import parse_filters, parse_outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from rpcgen.runtime.daemon.configuration import Check
    from rpcgen.runtime.daemon.idlewatch import IdleWatch
    from rpcgen.runtime.daemon.loginkeys import Logins
    from rpcgen.runtime.process.logs import Logs
    from rpcgen.runtime.server import Server


class DaemonSettings:
    """The settings of one daemon.

    Args:
        servers: by name, as the program has set them.
        path: of the file; None if there is none.
        defaults: for each of ``DAEMON_KEYS``, what counts without it.
        keys: of the program's own, with their checks.
        configured: told what the file says once that is in force.
        logins: by the name of a server.

    Raises:
        ValueError: logins of a server that there is not, or the same for two servers.
    """

    def __init__(
        self,
        servers: Mapping[str, Server],
        path: str | None,
        defaults: Mapping[str, int | str | float],
        *,
        keys: Mapping[str, Check],
        configured: Callable[[Configuration], object] | None,
        logins: Mapping[str, Logins],
    ) -> None:
        if unknown := sorted(logins.keys() - servers.keys()):
            raise ValueError(f"logins: there is no server {unknown[0]!r}")
        if len({id(one) for one in logins.values()}) < len(logins):
            raise ValueError("logins: expected one for each server, got the same for two")
        self._path = path
        self._defaults = defaults
        self._configured = configured
        self._tls = {id(one.tls): one.tls for one in servers.values() if one.tls is not None}
        self._servers = [ServerKeys(*one, logins.get(one[0])) for one in servers.items()]
        self._tls_keys = [
            TlsKeys([f"servers.{name}." for name, one in servers.items() if one.tls is tls], tls)
            for tls in self._tls.values()
        ]
        self._checked: list[ServerKeys | TlsKeys] = [*self._servers, *self._tls_keys]
        self._keys = {**DAEMON_KEYS, **keys}
        for one in self._checked:
            self._keys |= one.checks

    def read(self) -> Configuration:
        """What the file says, checked with all files that it names.

        Raises:
            ConfigurationError: it is wrong, or one of those is.
            TlsError: files that the program has chosen.
        """
        file = Configuration()
        if self._path is not None:
            file = read_configuration(self._path, self._keys)
        for one in self._checked:
            one.check(file)
        return file

    def apply(self, file: Configuration, logs: Logs, idle: IdleWatch) -> None:
        """Put into force what has been read: the one thing that may still fail comes first.

        Raises:
            ConfigurationError: an output of logs that is in the file cannot be had.
            ProcessError: the same of the program's.
        """
        values = {key: file.get(key, default) for key, default in self._defaults.items()}
        _apply_logs(file, values, logs)
        for one in self._servers:
            one.apply(file)
        for tls in self._tls_keys:
            tls.apply()
        idle.set_timeout(values["idle_timeout"])
        if self._configured is not None:
            self._configured(file)

    async def renew(self, logs: Logs, idle: IdleWatch) -> None:
        """Read everything again, and put it into force; without a file, certificates and keys.

        Raises:
            RpcError: as ``read`` and ``apply``; nothing has changed then.
        """
        # On a thread: a disk may take its time, and clients are not to wait for it.
        if self._path is not None:
            self.apply(await asyncio.to_thread(self.read), logs, idle)
            return
        for tls in self._tls.values():
            tls.become(await asyncio.to_thread(tls.renewed))


def _apply_logs(file: Configuration, values: Mapping[str, Any], logs: Logs) -> None:
    key = "log_filters"
    try:
        parse_filters(values[key])
        key = "log_outputs"
        parse_outputs(values[key])
        logs.configure(
            level=values["log_level"], filters=values["log_filters"], outputs=values[key]
        )
    except ProcessError as error:
        raise file.error(key, str(error)) if key in file else error from None
