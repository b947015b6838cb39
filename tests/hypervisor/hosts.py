"""A host for tests of the hypervisor's model: what happens on it is kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rpcgen.examples.hypervisor.model.definition import Definition
from rpcgen.examples.hypervisor.model.errors import LibvirtError
from rpcgen.examples.hypervisor.model.events import DomainRef, Event
from rpcgen.examples.hypervisor.model.flags import DomainStart
from rpcgen.examples.hypervisor.model.host import Host

UUID = "11111111-2222-3333-4444-555555555555"


class Watched(Host):
    """A host with nothing on it.

    Attributes:
        events: what has happened since they were last taken.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        super().__init__(self.events.append)

    def happened(self) -> list[Event]:
        """What has happened; asked again, what has happened since."""
        events = self.events[:]
        self.events.clear()
        return events


def definition(name: str = "web", uuid: str = UUID, extra: str = "") -> Definition:
    """A small domain."""
    return Definition.parse(
        f"<domain type='test'><name>{name}</name><uuid>{uuid}</uuid>"
        f"<memory>1024</memory><vcpu>2</vcpu><os><type>hvm</type></os>{extra}</domain>"
    )


def persistent(host: Watched) -> DomainRef:
    """A domain that is off."""
    ref = host.domains.define(definition())
    host.happened()
    return ref


def running(host: Watched) -> DomainRef:
    """A persistent domain that runs."""
    ref = host.domains.start(persistent(host), DomainStart(0))
    host.happened()
    return ref


def transient(host: Watched) -> DomainRef:
    """A domain that runs and is not kept."""
    ref = host.domains.create(definition(), DomainStart(0))
    host.happened()
    return ref


def refusal(code: int, action: Callable[..., object], *arguments: object) -> str:
    """What an error with that code says."""
    with pytest.raises(LibvirtError) as caught:
        action(*arguments)
    assert caught.value.code == code
    return str(caught.value.message)


def stale(ref: DomainRef) -> DomainRef:
    """The same domain, as somebody remembers it from before it was renamed or restarted."""
    return DomainRef("old", ref.uuid, 99)
