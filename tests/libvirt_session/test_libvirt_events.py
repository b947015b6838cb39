"""The table of events: every kind that libvirt numbers, with the message that brings it."""

from __future__ import annotations

from enum import IntEnum

import pytest

from libvirt_rpc.libvirt_common import types as common
from libvirt_rpc.remote_protocol.program import (
    REMOTE_PROC_DOMAIN_EVENT_LIFECYCLE,
    REMOTE_PROC_NETWORK_EVENT_LIFECYCLE,
    REMOTE_PROGRAM,
)
from rpcgen.libvirt import events
from rpcgen.libvirt.events import EVENTS, Family, event_of, message_of

FAMILIES = [
    (events.DOMAIN, common.VirDomainEventID, "dom"),
    (events.NETWORK, common.VirNetworkEventID, "net"),
    (events.STORAGE_POOL, common.VirStoragePoolEventID, "pool"),
    (events.NODE_DEVICE, common.VirNodeDeviceEventID, "dev"),
    (events.SECRET, common.VirSecretEventID, "secret"),
]


@pytest.mark.parametrize(("family", "numbers", "about"), FAMILIES, ids=lambda one: str(one)[:9])
def test_every_number_has_its_message(family: Family, numbers: type[IntEnum], about: str) -> None:
    for number in numbers:
        _, _, name = number.name.partition("_EVENT_ID_")
        message = message_of(family, number)
        assert message.name.replace("_EVENT_CALLBACK_", "_EVENT_").endswith(f"_EVENT_{name}")
        assert event_of(message) == (family, number)
    assert len(family.messages) == len(numbers)


@pytest.mark.parametrize(("family", "numbers", "about"), FAMILIES, ids=lambda one: str(one)[:9])
def test_registering_is_its_own_call(family: Family, numbers: type[IntEnum], about: str) -> None:
    assert family.register.parameters == ("event_id", about)
    assert family.register.encode_argument(family.registration(3, None)) == b"\0\0\0\3\0\0\0\0"
    assert family.deregister.parameters == ("callback_id",)
    assert family.deregister.encode_argument(family.deregistration(7)) == b"\0\0\0\7"
    assert family.register.name.replace("_REGISTER", "_DEREGISTER") == family.deregister.name


def test_no_message_with_a_callback_id_is_missing() -> None:
    rows = REMOTE_PROGRAM.procedures.values()
    named = {row for row in rows if row.event and "callback_id" in (row.parameters or ())}
    assert named == set(EVENTS)


def test_what_is_not_there_is_said() -> None:
    for number in (-1, 2):
        expected = f"expected an event of a storage pool from 0 to 1, got {number}"
        with pytest.raises(ValueError, match=expected):
            message_of(events.STORAGE_POOL, number)
    with pytest.raises(ValueError, match="got REMOTE_PROC_DOMAIN_EVENT_LIFECYCLE"):
        event_of(REMOTE_PROC_DOMAIN_EVENT_LIFECYCLE)
    assert event_of(REMOTE_PROC_NETWORK_EVENT_LIFECYCLE) == (events.NETWORK, 0)
