"""The admin program: what ``virt-admin`` asks and tells a daemon.

Its handlers run on the daemon's event loop, where nothing else changes what they look at.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final, Protocol

from libvirt_rpc.admin_protocol.constants import ADMIN_CLIENT_LIST_MAX, ADMIN_SERVER_LIST_MAX
from libvirt_rpc.admin_protocol.server import AdminServer
from libvirt_rpc.admin_protocol.types import (
    AdminConnectGetLoggingFiltersRet,
    AdminConnectGetLoggingOutputsRet,
    AdminConnectListServersRet,
    AdminNonnullClient,
    AdminNonnullServer,
    AdminServerListClientsRet,
)
from libvirt_rpc.libvirt_common.types import VirConnectCloseReason, VirErrorDomain
from rpcgen.runtime.daemon import adminerrors as errors
from rpcgen.runtime.daemon import figures
from rpcgen.runtime.daemon.clientfacts import facts_of, transport_of
from rpcgen.runtime.daemon.keys import WORKERS_MAX
from rpcgen.runtime.errors import ConnectionClosed, ProcessError, TlsError
from rpcgen.runtime.message import rpc_error, unsupported_flags
from rpcgen.runtime.server import Server

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from libvirt_rpc.admin_protocol.types import AdminTypedParam
    from rpcgen.runtime.process.logs import Logs
    from rpcgen.runtime.server.session import Session
    from rpcgen.runtime.stubs import Call

LIBVIRT_VERSION: Final = 9_000_000
"""The libvirt whose admin program this is, as it writes versions: 9.0.0."""

MAX_CLIENTS: Final = 64
"""Administrators at the same time: more than there are, and too few to use up descriptors."""

_CLIENT: Final = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_CLIENT


class Administered(Protocol):
    """What a daemon has to have."""

    @property
    def servers(self) -> Mapping[str, Server]:
        """All that run, by name, on the loop of the admin program's own."""

    @property
    def logs(self) -> Logs:
        """What it logs to."""

    def set_idle_timeout(self, timeout: float) -> None:
        """Change after how many seconds without clients it ends."""

    def stop(self) -> None:
        """Have it end."""


def admin_server(service: AdminService, where: str | socket.socket) -> Server:
    """A server of the admin program, for the daemon's own user."""
    return Server(
        [service],
        listen=[where],
        min_workers=0,
        max_workers=0,
        priority_workers=0,
        max_clients=MAX_CLIENTS,
        max_anonymous_clients=MAX_CLIENTS,
        socket_mode=0o700,
    )


class AdminService(AdminServer):
    """Serves the program for one daemon."""

    def __init__(self, daemon: Administered) -> None:
        self._daemon = daemon

    def connect_open(self, call: Call, flags: int) -> None:
        _admit(call, flags)

    def connect_close(self, call: Call) -> None:
        _admit(call)
        call.session.close()

    def connect_get_lib_version(self, call: Call) -> int:
        _admit(call)
        return LIBVIRT_VERSION

    def connect_daemon_shutdown(self, call: Call, flags: int) -> None:
        _admit(call, flags)
        self._daemon.stop()

    def connect_set_daemon_timeout(self, call: Call, timeout_: int, flags: int) -> None:
        _admit(call, flags)
        self._daemon.set_idle_timeout(timeout_)

    # Logging

    def connect_get_logging_outputs(
        self, call: Call, flags: int
    ) -> AdminConnectGetLoggingOutputsRet:
        _admit(call, flags)
        outputs = self._daemon.logs.outputs
        return AdminConnectGetLoggingOutputsRet(outputs, len(outputs.split()))

    def connect_set_logging_outputs(self, call: Call, outputs: str | None, flags: int) -> None:
        _admit(call, flags)
        self._set_logs(outputs=outputs or "")

    def connect_get_logging_filters(
        self, call: Call, flags: int
    ) -> AdminConnectGetLoggingFiltersRet:
        _admit(call, flags)
        filters = self._daemon.logs.filters
        return AdminConnectGetLoggingFiltersRet(filters or None, len(filters.split()))

    def connect_set_logging_filters(self, call: Call, filters: str | None, flags: int) -> None:
        _admit(call, flags)
        self._set_logs(filters=filters or "")

    def _set_logs(self, **changes: str) -> None:
        try:
            self._daemon.logs.configure(**changes)
        except ProcessError as error:
            raise errors.not_logged(error) from None

    # Servers

    def connect_list_servers(
        self, call: Call, need_results: int, flags: int
    ) -> AdminConnectListServersRet:
        _admit(call, flags)
        names = list(self._daemon.servers)
        if len(names) > ADMIN_SERVER_LIST_MAX:
            raise errors.too_many("servers", len(names), ADMIN_SERVER_LIST_MAX)
        shown = map(AdminNonnullServer, names if need_results else [])
        return AdminConnectListServersRet(list(shown), len(names))

    def connect_lookup_server(self, call: Call, name: str, flags: int) -> AdminNonnullServer:
        _admit(call, flags)
        self._server(name)
        return AdminNonnullServer(name)

    def server_get_threadpool_parameters(
        self, call: Call, srv: AdminNonnullServer, flags: int
    ) -> list[AdminTypedParam]:
        _admit(call, flags)
        return figures.shown(self._server(srv.name), figures.WORKERS)

    def server_set_threadpool_parameters(
        self, call: Call, srv: AdminNonnullServer, params: list[AdminTypedParam], flags: int
    ) -> None:
        _admit(call, flags)
        server = self._server(srv.name)
        minimum, maximum, priority = figures.wanted(server, figures.WORKERS, params)
        if minimum > maximum:
            raise errors.invalid("minWorkers cannot be larger than maxWorkers")
        if bool(maximum) != bool(server.settings.max_workers):
            reason = "maxWorkers must not be switched from zero to non-zero and vice versa"
            raise errors.invalid(reason)
        if max(maximum, priority) > WORKERS_MAX:
            raise errors.invalid(f"expected at most {WORKERS_MAX} workers")
        server.set_workers(minimum, maximum, priority)

    def server_get_client_limits(
        self, call: Call, srv: AdminNonnullServer, flags: int
    ) -> list[AdminTypedParam]:
        _admit(call, flags)
        return figures.shown(self._server(srv.name), figures.CLIENTS)

    def server_set_client_limits(
        self, call: Call, srv: AdminNonnullServer, params: list[AdminTypedParam], flags: int
    ) -> None:
        _admit(call, flags)
        server = self._server(srv.name)
        most, anonymous = figures.wanted(server, figures.CLIENTS, params)
        if anonymous > most:
            raise errors.anonymous_above_all()
        try:
            server.set_client_limits(most, anonymous)
        except ValueError as error:
            raise errors.invalid(str(error)) from None

    async def server_update_tls_files(
        self, call: Call, srv: AdminNonnullServer, flags: int
    ) -> None:
        _admit(call, flags)
        tls = self._server(srv.name).tls
        if tls is None:
            raise errors.no_tls()
        try:
            tls.become(await asyncio.to_thread(tls.renewed))
        except TlsError as error:
            raise rpc_error(str(error)) from None

    # Clients

    def server_list_clients(
        self, call: Call, srv: AdminNonnullServer, need_results: int, flags: int
    ) -> AdminServerListClientsRet:
        _admit(call, flags)
        sessions = self._server(srv.name).sessions
        if len(sessions) > ADMIN_CLIENT_LIST_MAX:
            raise errors.too_many("clients", len(sessions), ADMIN_CLIENT_LIST_MAX)
        shown = [_shown(srv, one) for one in sessions] if need_results else []
        return AdminServerListClientsRet(shown, len(sessions))

    def server_lookup_client(
        self, call: Call, srv: AdminNonnullServer, id: int, flags: int  # noqa: A002
    ) -> AdminNonnullClient:
        _admit(call, flags)
        return _shown(srv, self._session(srv, id))

    async def client_get_info(
        self, call: Call, clnt: AdminNonnullClient, flags: int
    ) -> list[AdminTypedParam]:
        _admit(call, flags)
        identity = self._session(clnt.srv, clnt.id).identity
        return await asyncio.to_thread(facts_of, identity)

    def client_close(self, call: Call, clnt: AdminNonnullClient, flags: int) -> None:
        _admit(call, flags)
        session = self._session(clnt.srv, clnt.id)
        if session is call.session:
            session.close()  # when it has been told so
        else:
            session.lost(ConnectionClosed("closed by the administrator", _CLIENT))

    def _server(self, name: str) -> Server:
        try:
            return self._daemon.servers[name]
        except KeyError:
            raise errors.no_server(name) from None

    def _session(self, srv: AdminNonnullServer, number: int) -> Session:
        for session in self._server(srv.name).sessions:
            if session.id == number:
                return session
        raise errors.no_client(number)


def _admit(call: Call, flags: int = 0) -> None:
    """Let the daemon's own user call, without flags: there are none.

    Raises:
        RemoteError: another user, whose connection is closed then; or flags.
    """
    identity = call.session.identity
    if identity.uid != os.geteuid():
        call.session.close()
        raise errors.other_user(identity.pid, identity.uid)
    if flags:
        raise unsupported_flags(flags, _function_of(call), VirErrorDomain.VIR_FROM_ADMIN)


def _function_of(call: Call) -> str:
    """libvirt's name of the function behind a procedure."""
    method = call.procedure.method.replace("threadpool", "thread_pool")
    words = "".join(map(str.capitalize, method.split("_")))
    return f"adminDispatch{words}" if method == "connect_open" else f"admin{words}"


def _shown(srv: AdminNonnullServer, session: Session) -> AdminNonnullClient:
    transport = transport_of(session.identity)
    return AdminNonnullClient(srv, session.id, session.connected, transport)
