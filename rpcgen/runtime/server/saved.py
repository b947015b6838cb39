"""What one process leaves to the next: a server's settings, sockets and clients, as libvirt's JSON.

The keys and their order are those of virNetServerPreExecRestart and its kin, which write them when
libvirt's daemons execute themselves anew; keys of others are passed over, and
libvirt passes over ours. Descriptors are numbers
here, and belong to whoever has the value. Only ``SavedServer.close`` does anything with them.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

Json: TypeAlias = Any

_NO_DEFAULT: Final = object()

_KINDS: Final = {int: "an integer", bool: "true or false", list: "a list", dict: "an object"}


@dataclass(slots=True)
class SavedSocket:
    """A descriptor (virNetSocket).

    Attributes:
        fd: its number.
        is_client: whether it is a connection, and no listener.
        unlink_unix: whether the path is removed when a listener is closed.
        errfd, pid: of a child process that is the other end; -1 and 0, as ours has none.
    """

    fd: int
    is_client: bool
    unlink_unix: bool
    errfd: int = -1
    pid: int = 0

    def to_json(self) -> Json:
        """Its JSON."""
        return {
            "fd": self.fd,
            "errfd": self.errfd,
            "pid": self.pid,
            "isClient": self.is_client,
            "unlinkUNIX": self.unlink_unix,
        }


@dataclass(slots=True)
class SavedService:
    """Where a server listens (virNetServerService).

    Attributes:
        auth: how its clients authenticate (remote_auth_type); 0: they need not.
        readonly: whether they may only look.
        max_client_requests: calls of one client at which it is not read.
        sockets: one for each address.
    """

    auth: int
    readonly: bool
    max_client_requests: int
    sockets: list[SavedSocket]

    def to_json(self) -> Json:
        """Its JSON."""
        return {
            "auth": self.auth,
            "readonly": self.readonly,
            "nrequests_client_max": self.max_client_requests,
            "socks": [one.to_json() for one in self.sockets],
        }


@dataclass(slots=True)
class SavedClient:
    """A client between two calls (virNetServerClient).

    Attributes:
        id: its number; None: it gets the next.
        auth: how it authenticates (remote_auth_type).
        auth_pending: whether it has not yet.
        readonly: whether it may only look.
        max_requests: calls at which it is not read.
        connected: when it came, in seconds since the epoch; 0: that is not known.
        socket: its connection.
        keepalive: whether it is asked for signs of life when it is silent; libvirt does not save that.
        data: what the daemon has to say of it.
    """

    id: int | None
    auth: int
    auth_pending: bool
    readonly: bool
    max_requests: int
    connected: int
    socket: SavedSocket
    keepalive: bool = False
    data: Json = None

    def to_json(self) -> Json:
        """Its JSON; what is not known is left out."""
        found: dict[str, Json] = {} if self.id is None else {"id": self.id}
        found |= {
            "auth": self.auth,
            "auth_pending": self.auth_pending,
            "readonly": self.readonly,
            "nrequests_max": self.max_requests,
        }
        if self.connected:
            found["conn_time"] = self.connected
        if self.keepalive:
            found["keepalive"] = True
        found["sock"] = self.socket.to_json()
        if self.data is not None:
            found["privateData"] = self.data
        return found


@dataclass(slots=True)
class SavedServer:
    """A server that has handed over (virNetServer).

    Attributes:
        min_workers, max_workers, priority_workers: bounds of its pool.
        max_clients, max_anonymous_clients: at which it accepts no more.
        keepalive: seconds of silence before a client is asked, and how often; -1 never asks.
        next_client_id: the number of the next client.
        services: where it listens.
        clients: those that are connected.
    """

    min_workers: int
    max_workers: int
    priority_workers: int
    max_clients: int
    max_anonymous_clients: int
    keepalive: tuple[int, int]
    next_client_id: int = 1
    services: list[SavedService] = field(default_factory=list)
    clients: list[SavedClient] = field(default_factory=list)

    @property
    def sockets(self) -> list[SavedSocket]:
        """All descriptors."""
        return [one for service in self.services for one in service.sockets] + [
            client.socket for client in self.clients
        ]

    def close(self) -> None:
        """Close all descriptors, and remove the paths of listeners: nobody takes over."""
        for one in self.sockets:
            with suppress(OSError), socket.socket(fileno=one.fd) as closing:
                if one.unlink_unix and closing.family == socket.AF_UNIX:
                    os.unlink(closing.getsockname())
        self.services.clear()
        self.clients.clear()

    def to_json(self) -> Json:
        """Its JSON."""
        interval, count = self.keepalive
        return {
            "min_workers": self.min_workers,
            "max_workers": self.max_workers,
            "priority_workers": self.priority_workers,
            "max_clients": self.max_clients,
            "max_anonymous_clients": self.max_anonymous_clients,
            "keepaliveInterval": interval,
            "keepaliveCount": count,
            "next_client_id": self.next_client_id,
            "services": [one.to_json() for one in self.services],
            "clients": [one.to_json() for one in self.clients],
        }


def servers_to_json(servers: dict[str, SavedServer]) -> Json:
    """A daemon's servers, sorted by name (virNetDaemonPreExecRestart)."""
    return {"servers": {name: servers[name].to_json() for name in sorted(servers)}}


def servers_from_json(value: Json, names: Sequence[str]) -> dict[str, SavedServer]:
    """A daemon's servers from any form that libvirt has ever written.

    Args:
        names: of the daemon's servers, for forms without names: a list, and a single server.

    Raises:
        ValueError: it is none of them; the message says where.
    """
    document = _Object(value, "state")
    if "servers" not in document.members:
        return {names[0]: _server(document)}
    found = document.members["servers"]
    if isinstance(found, list):
        if len(found) > len(names):
            raise ValueError(f"state.servers: {len(found)} servers, expected {len(names)} at most")
        each = zip(names, document.each("servers"), strict=False)
        return {name: _server(one) for name, one in each}
    servers = document.inner("servers")
    return {name: _server(servers.inner(name)) for name in servers.members}


class _Object:
    """A JSON object, and where it stands."""

    def __init__(self, value: Json, place: str) -> None:
        self.members: dict[str, Json] = _checked(value, dict, place)
        self._place = place

    def get(self, key: str, kind: type[T], default: Any = _NO_DEFAULT) -> T:
        """A member of a kind; its default if it is not there and has one."""
        place = f"{self._place}.{key}"
        if key not in self.members:
            if default is _NO_DEFAULT:
                raise ValueError(f"{place}: missing")
            value: T = default
            return value
        return _checked(self.members[key], kind, place)

    def inner(self, key: str) -> _Object:
        """A member that is an object."""
        return _Object(self.get(key, dict), f"{self._place}.{key}")

    def each(self, key: str) -> Iterator[_Object]:
        """The objects of a member that is a list."""
        for number, one in enumerate(self.get(key, list)):
            yield _Object(one, f"{self._place}.{key}[{number}]")

    def error(self, problem: str) -> ValueError:
        """What is wrong with it."""
        return ValueError(f"{self._place}: {problem}")


def _checked(value: Json, kind: type[T], place: str) -> T:
    # Python's booleans are integers, JSON's are not.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{place}: expected {_KINDS[kind]}, got {value!r:.40}")
    return value


def _server(json: _Object) -> SavedServer:
    most = json.get("max_clients", int)
    anonymous = json.get("max_anonymous_clients", int, most)
    if anonymous > most:
        raise json.error(f"max_anonymous_clients {anonymous} exceeds max_clients {most}")
    clients = [_client(one) for one in json.each("clients")]
    ids = [one.id for one in clients if one.id is not None]
    if len(set(ids)) < len(ids):
        raise json.error("clients: two have the same id")
    return SavedServer(
        json.get("min_workers", int),
        json.get("max_workers", int),
        json.get("priority_workers", int),
        most,
        anonymous,
        (json.get("keepaliveInterval", int), json.get("keepaliveCount", int)),
        json.get("next_client_id", int, 1),
        [_service(one) for one in json.each("services")],
        clients,
    )


def _service(json: _Object) -> SavedService:
    return SavedService(
        json.get("auth", int),
        json.get("readonly", bool),
        _positive(json, "nrequests_client_max"),
        [_socket(one) for one in json.each("socks")],
    )


def _client(json: _Object) -> SavedClient:
    auth = json.get("auth", int)
    pending = json.get("auth_pending", bool, auth != 0)
    if pending and not auth:
        raise json.error("auth_pending, although it needs no authentication")
    return SavedClient(
        json.get("id", int, None),
        auth,
        pending,
        json.get("readonly", bool),
        _positive(json, "nrequests_max"),
        json.get("conn_time", int, 0),
        _socket(json.inner("sock")),
        json.get("keepalive", bool, False),
        json.members.get("privateData"),
    )


def _positive(json: _Object, key: str) -> int:
    """A bound of calls; with 0 the client would never be read."""
    value = json.get(key, int)
    if value < 1:
        raise json.error(f"{key}: expected 1 or more, got {value}")
    return value


def _socket(json: _Object) -> SavedSocket:
    is_client = json.get("isClient", bool)
    return SavedSocket(
        json.get("fd", int),
        is_client,
        json.get("unlinkUNIX", bool, not is_client),
        json.get("errfd", int),
        json.get("pid", int),
    )
