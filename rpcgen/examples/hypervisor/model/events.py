"""What happens to domains, networks and pools, as data, and who is told.

Publishing is called while the locks of the model are held: events leave in the order in which
things happened, and who takes them must not call back into the model.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from libvirt_rpc.libvirt_common.types import VirDomainEventType


class DomainRef(NamedTuple):
    """A domain as others see it: ``id`` is -1 while it does not run."""

    name: str
    uuid: bytes
    id: int


class Ref(NamedTuple):
    """A network or a pool as others see it."""

    name: str
    uuid: bytes


class Defined(IntEnum):
    """Details of VIR_DOMAIN_EVENT_DEFINED (virDomainEventDefinedDetailType)."""

    ADDED = 0
    UPDATED = 1
    RENAMED = 2


class Undefined(IntEnum):
    """Details of VIR_DOMAIN_EVENT_UNDEFINED (virDomainEventUndefinedDetailType)."""

    REMOVED = 0
    RENAMED = 1


class Started(IntEnum):
    """Details of VIR_DOMAIN_EVENT_STARTED (virDomainEventStartedDetailType)."""

    BOOTED = 0
    FROM_SNAPSHOT = 3


class Suspended(IntEnum):
    """Details of VIR_DOMAIN_EVENT_SUSPENDED (virDomainEventSuspendedDetailType)."""

    PAUSED = 0
    FROM_SNAPSHOT = 5


class Stopped(IntEnum):
    """Details of VIR_DOMAIN_EVENT_STOPPED (virDomainEventStoppedDetailType)."""

    SHUTDOWN = 0
    DESTROYED = 1
    SAVED = 4
    FROM_SNAPSHOT = 6


RESUMED_UNPAUSED = 0
"""The detail of VIR_DOMAIN_EVENT_RESUMED (virDomainEventResumedDetailType)."""


class NetworkChange(IntEnum):
    """A network's life (virNetworkEventLifecycleType)."""

    DEFINED = 0
    UNDEFINED = 1
    STARTED = 2
    STOPPED = 3


class PoolChange(IntEnum):
    """A pool's life (virStoragePoolEventLifecycleType)."""

    DEFINED = 0
    UNDEFINED = 1
    STARTED = 2
    STOPPED = 3
    CREATED = 4
    DELETED = 5


class Lifecycle(NamedTuple):
    """A domain's life took a turn."""

    domain: DomainRef
    event: VirDomainEventType
    detail: int


class Rebooted(NamedTuple):
    """A guest restarted."""

    domain: DomainRef


class MetadataChanged(NamedTuple):
    """Title, description or foreign metadata of a domain is another (virDomainMetadataType)."""

    domain: DomainRef
    type: int
    uri: str | None


class NetworkLifecycle(NamedTuple):
    """A network's life took a turn."""

    network: Ref
    event: NetworkChange


class PoolLifecycle(NamedTuple):
    """A pool's life took a turn."""

    pool: Ref
    event: PoolChange


class PoolRefreshed(NamedTuple):
    """A pool looked for its volumes again."""

    pool: Ref


Event: TypeAlias = (
    Lifecycle | Rebooted | MetadataChanged | NetworkLifecycle | PoolLifecycle | PoolRefreshed
)
Publish: TypeAlias = Callable[[Event], None]
"""Who is told of events."""
