"""Events of libvirt's objects: which call registers for them, and which message brings them.

A table, and what tells one registration's messages from another's. Nothing here calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from libvirt_rpc.remote_protocol import program as rows
from libvirt_rpc.remote_protocol import types
from rpcgen.runtime.program import Procedure


class Family(NamedTuple):
    """The events of one kind of object.

    Attributes:
        what: the kind.
        register: takes an eventID and an object, or None for all, and returns a callbackID.
        registration: makes its argument.
        deregister: takes a callbackID.
        deregistration: makes its argument.
        messages: what brings the event, at the place of its eventID.
    """

    what: str
    register: Procedure[Any, Any]
    registration: Callable[[int, Any], Any]
    deregister: Procedure[Any, None]
    deregistration: Callable[[int], Any]
    messages: tuple[Procedure[Any, None], ...]


DOMAIN: Final = Family(
    "domain",
    rows.REMOTE_PROC_CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY,
    types.RemoteConnectDomainEventCallbackRegisterAnyArgs,
    rows.REMOTE_PROC_CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY,
    types.RemoteConnectDomainEventCallbackDeregisterAnyArgs,
    (
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_LIFECYCLE,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_REBOOT,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_RTC_CHANGE,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_WATCHDOG,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_IO_ERROR,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_GRAPHICS,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_IO_ERROR_REASON,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_CONTROL_ERROR,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_BLOCK_JOB,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_DISK_CHANGE,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_TRAY_CHANGE,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_PMWAKEUP,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_PMSUSPEND,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_BALLOON_CHANGE,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_PMSUSPEND_DISK,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED,
        rows.REMOTE_PROC_DOMAIN_EVENT_BLOCK_JOB_2,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_TUNABLE,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_AGENT_LIFECYCLE,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_DEVICE_ADDED,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_MIGRATION_ITERATION,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_JOB_COMPLETED,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_DEVICE_REMOVAL_FAILED,
        rows.REMOTE_PROC_DOMAIN_EVENT_CALLBACK_METADATA_CHANGE,
        rows.REMOTE_PROC_DOMAIN_EVENT_BLOCK_THRESHOLD,
        rows.REMOTE_PROC_DOMAIN_EVENT_MEMORY_FAILURE,
        rows.REMOTE_PROC_DOMAIN_EVENT_MEMORY_DEVICE_SIZE_CHANGE,
        rows.REMOTE_PROC_DOMAIN_EVENT_NIC_MAC_CHANGE,
    ),
)

NETWORK: Final = Family(
    "network",
    rows.REMOTE_PROC_CONNECT_NETWORK_EVENT_REGISTER_ANY,
    types.RemoteConnectNetworkEventRegisterAnyArgs,
    rows.REMOTE_PROC_CONNECT_NETWORK_EVENT_DEREGISTER_ANY,
    types.RemoteConnectNetworkEventDeregisterAnyArgs,
    (
        rows.REMOTE_PROC_NETWORK_EVENT_LIFECYCLE,
        rows.REMOTE_PROC_NETWORK_EVENT_CALLBACK_METADATA_CHANGE,
    ),
)

STORAGE_POOL: Final = Family(
    "storage pool",
    rows.REMOTE_PROC_CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY,
    types.RemoteConnectStoragePoolEventRegisterAnyArgs,
    rows.REMOTE_PROC_CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY,
    types.RemoteConnectStoragePoolEventDeregisterAnyArgs,
    (rows.REMOTE_PROC_STORAGE_POOL_EVENT_LIFECYCLE, rows.REMOTE_PROC_STORAGE_POOL_EVENT_REFRESH),
)

NODE_DEVICE: Final = Family(
    "node device",
    rows.REMOTE_PROC_CONNECT_NODE_DEVICE_EVENT_REGISTER_ANY,
    types.RemoteConnectNodeDeviceEventRegisterAnyArgs,
    rows.REMOTE_PROC_CONNECT_NODE_DEVICE_EVENT_DEREGISTER_ANY,
    types.RemoteConnectNodeDeviceEventDeregisterAnyArgs,
    (rows.REMOTE_PROC_NODE_DEVICE_EVENT_LIFECYCLE, rows.REMOTE_PROC_NODE_DEVICE_EVENT_UPDATE),
)

SECRET: Final = Family(
    "secret",
    rows.REMOTE_PROC_CONNECT_SECRET_EVENT_REGISTER_ANY,
    types.RemoteConnectSecretEventRegisterAnyArgs,
    rows.REMOTE_PROC_CONNECT_SECRET_EVENT_DEREGISTER_ANY,
    types.RemoteConnectSecretEventDeregisterAnyArgs,
    (rows.REMOTE_PROC_SECRET_EVENT_LIFECYCLE, rows.REMOTE_PROC_SECRET_EVENT_VALUE_CHANGED),
)

EVENTS: Final = {
    message: (family, event_id)
    for family in (DOMAIN, NETWORK, STORAGE_POOL, NODE_DEVICE, SECRET)
    for event_id, message in enumerate(family.messages)
}
"""What to register for, by what brings the event."""


def event_of(message: Procedure[Any, None]) -> tuple[Family, int]:
    """What to register for, to get a message.

    Raises:
        ValueError: it comes without registering, or is no event.
    """
    if message not in EVENTS:
        raise ValueError(f"expected a message that carries a callbackID, got {message.name}")
    return EVENTS[message]


def message_of(family: Family, event_id: int) -> Procedure[Any, None]:
    """What brings an event.

    Raises:
        ValueError: there is no such event.
    """
    if 0 <= event_id < len(family.messages):
        return family.messages[event_id]
    known = f"0 to {len(family.messages) - 1}"
    raise ValueError(f"expected an event of a {family.what} from {known}, got {event_id}")
