"""What one lock daemon leaves to the next, as virtlockd's JSON: lock spaces, leases, owners.

The keys and their order are those of ``/run/virtlockd-restart-exec.json``, which virtlockd writes
when it executes itself anew. Descriptors are numbers here: nothing is opened, locked or closed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID

from rpcgen.runtime.server.saved import SavedServer, servers_from_json, servers_to_json

T = TypeVar("T")

Json: TypeAlias = Any

SERVERS: Final = ("virtlockd",)
"""The names of servers in forms that have none: the second server, ``admin``, is younger than those."""

STATE_MAX: Final = 10_485_760
"""Bytes of a state file: what virtlockd takes. A lease has about 200."""

_NAMES: Final = {int: "an integer", bool: "true or false", str: "a string", list: "a list"}


@dataclass(slots=True)
class SavedLease:
    """A resource that is locked (virLockSpaceResource).

    Attributes:
        name: within its lock space.
        path: of its file.
        fd: the descriptor that has the lock.
        is_locked: whether it has; always.
        flags: of the acquisition: VIR_LOCK_SPACE_ACQUIRE_SHARED 1, ..._AUTOCREATE 2.
        owners: pids, one for each acquisition.
    """

    name: str
    path: str
    fd: int
    is_locked: bool
    flags: int
    owners: list[int]

    def to_json(self) -> Json:
        """Its JSON."""
        return {
            "name": self.name,
            "path": self.path,
            "fd": self.fd,
            "lockHeld": self.is_locked,
            "flags": self.flags,
            "owners": self.owners,
        }


@dataclass(slots=True)
class SavedLockspace:
    """A lock space (virLockSpace).

    Attributes:
        directory: where its files are; None where names are full paths.
        leases: on its resources.
    """

    directory: str | None = None
    leases: list[SavedLease] = field(default_factory=list)

    def to_json(self) -> Json:
        """Its JSON."""
        found: dict[str, Json] = {} if self.directory is None else {"directory": self.directory}
        return found | {"resources": [one.to_json() for one in self.leases]}


@dataclass(slots=True)
class SavedLockspaces:
    """All lock spaces of a daemon.

    Attributes:
        default: the one without a directory.
        others: those with one.
    """

    default: SavedLockspace = field(default_factory=SavedLockspace)
    others: list[SavedLockspace] = field(default_factory=list)

    def to_json(self) -> dict[str, Json]:
        """Their part of the daemon's JSON."""
        return {
            "defaultLockspace": self.default.to_json(),
            "lockspaces": [one.to_json() for one in self.others],
        }

    @classmethod
    def from_json(cls, value: Json) -> SavedLockspaces:
        """Find them in the daemon's JSON.

        Raises:
            ValueError: they are malformed; the message says where.
        """
        state = _object(value, "state")
        others = _get(state, "lockspaces", list, "state")
        return cls(
            _lockspace(state.get("defaultLockspace"), "state.defaultLockspace"),
            [_lockspace(one, f"state.lockspaces[{n}]", named=True) for n, one in enumerate(others)],
        )


@dataclass(slots=True)
class SavedClient:
    """What the daemon knows of a connection (virLockDaemonClient), among what its server knows.

    Attributes:
        restricted: whether it has given up its rights.
        owner_pid, owner_id, owner_name, owner_uuid: for whom it acts; 0, 0, "" and zeros if it
            has not said so.
    """

    restricted: bool = False
    owner_pid: int = 0
    owner_id: int = 0
    owner_name: str = ""
    owner_uuid: bytes = bytes(16)

    def to_json(self) -> Json:
        """Its JSON."""
        return {
            "restricted": self.restricted,
            "ownerPid": self.owner_pid,
            "ownerId": self.owner_id,
            "ownerName": self.owner_name,
            "ownerUUID": str(UUID(bytes=self.owner_uuid)),
        }

    @classmethod
    def from_json(cls, value: Json) -> SavedClient:
        """The same from JSON.

        Raises:
            ValueError: it is malformed; the message says where.
        """
        place = "privateData"
        found = _object(value, place)
        uuid = _get(found, "ownerUUID", str, place)
        try:
            number = UUID(uuid).bytes
        except ValueError:
            raise ValueError(f"{place}.ownerUUID: expected a UUID, got {uuid!r:.40}") from None
        return cls(
            _get(found, "restricted", bool, place),
            _get(found, "ownerPid", int, place),
            _get(found, "ownerId", int, place),
            _get(found, "ownerName", str, place),
            number,
        )


@dataclass(slots=True)
class SavedLockd:
    """A whole lock daemon.

    Attributes:
        servers: by name: ``virtlockd`` and ``admin``.
        lockspaces: its lock spaces.
        pid: of the process that wrote it, and that may read it.
    """

    servers: dict[str, SavedServer]
    lockspaces: SavedLockspaces
    pid: int

    def to_json(self) -> Json:
        """Its JSON."""
        return {
            "daemon": servers_to_json(self.servers),
            **self.lockspaces.to_json(),
            "magic": str(self.pid),
        }

    @classmethod
    def from_json(cls, value: Json) -> SavedLockd:
        """A daemon from any form that virtlockd has ever written.

        The servers have been under ``daemon`` since there are several, and under ``server``
        before; there, a server may stand alone or in a list.

        Raises:
            ValueError: it is none of them; the message says where.
        """
        state = _object(value, "state")
        magic = _get(state, "magic", str, "state")
        if not (magic.isascii() and magic.isdigit()):
            raise ValueError(f"state.magic: expected a pid, got {magic!r:.40}")
        servers = state["daemon"] if "daemon" in state else state.get("server")
        return cls(
            servers_from_json(_object(servers, "state.daemon"), SERVERS),
            SavedLockspaces.from_json(state),
            int(magic),
        )

    def dump(self) -> bytes:
        """The contents of its file."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def load(cls, data: bytes) -> SavedLockd:
        """A daemon from the contents of its file.

        Raises:
            ValueError: too long, no JSON, or not a daemon's.
        """
        if len(data) > STATE_MAX:
            raise ValueError(f"state: {len(data)} bytes exceed {STATE_MAX}")
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"state: no JSON: {error}") from None
        return cls.from_json(value)


# Taking JSON apart


def _lockspace(value: Json, place: str, *, named: bool = False) -> SavedLockspace:
    found = _object(value, place)
    has_directory = named or "directory" in found
    leases = _get(found, "resources", list, place)
    return SavedLockspace(
        _get(found, "directory", str, place) if has_directory else None,
        [_lease(one, f"{place}.resources[{number}]") for number, one in enumerate(leases)],
    )


def _lease(value: Json, place: str) -> SavedLease:
    found = _object(value, place)
    owners = _get(found, "owners", list, place)
    return SavedLease(
        _get(found, "name", str, place),
        _get(found, "path", str, place),
        _get(found, "fd", int, place),
        _get(found, "lockHeld", bool, place),
        _get(found, "flags", int, place),
        [_checked(one, int, f"{place}.owners[{number}]") for number, one in enumerate(owners)],
    )


def _object(value: Json, place: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise ValueError(f"{place}: expected an object, got {value!r:.40}")
    return value


def _get(found: dict[str, Json], key: str, kind: type[T], place: str) -> T:
    if key not in found:
        raise ValueError(f"{place}.{key}: missing")
    return _checked(found[key], kind, f"{place}.{key}")


def _checked(value: Json, kind: type[T], place: str) -> T:
    # Python's booleans are integers, JSON's are not.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{place}: expected {_NAMES[kind]}, got {value!r:.40}")
    return value
