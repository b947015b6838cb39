"""One domain: its live and its persistent definition, its state, and what is known of it.

Whoever calls holds the lock of ``Domains``, where the domain is listed.
"""

from __future__ import annotations

from enum import IntEnum
from time import monotonic_ns
from typing import Final

from libvirt_rpc.libvirt_common.types import VirDomainState, VirErrorDomain
from rpcgen.examples.hypervisor.model.definition import Definition
from rpcgen.examples.hypervisor.model.errors import bad_argument, invalid_operation
from rpcgen.examples.hypervisor.model.events import DomainRef
from rpcgen.examples.hypervisor.model.flags import Affect, DomainList, passes
from rpcgen.examples.hypervisor.model.lifecycle import PAUSED, RUNNING, SHUTOFF, ShutoffReason
from rpcgen.examples.hypervisor.model.snapshots import Snapshots

_FROM = VirErrorDomain.VIR_FROM_DOMAIN

DEFAULT_WEIGHT: Final = 50
"""Of the scheduler that the host claims to have."""


class Domain:
    """A domain, of which there is always one definition at least.

    Attributes:
        live: what runs, or ran last.
        config: what the next start takes; None of a transient domain.
        id: while it is active, or -1.
        state, reason: why it is as it is.
        autostart: whether it starts with its host.
        is_saved: whether its memory waits for the next start to restore it.
        weight: of its share of the processors.
        snapshots: what was taken of it.
        started: when it became active, by ``monotonic_ns``.
    """

    def __init__(self, definition: Definition) -> None:
        self.config: Definition | None = definition
        self.live = definition
        self.id = -1
        self.state: VirDomainState = SHUTOFF
        self.reason: IntEnum = ShutoffReason.UNKNOWN
        self.autostart = False
        self.is_saved = False
        self.weight = DEFAULT_WEIGHT
        self.snapshots = Snapshots()
        self.started = 0

    @property
    def is_active(self) -> bool:
        """Whether it has an id, and a live definition that counts."""
        return self.id >= 0

    @property
    def current(self) -> Definition:
        """What runs, or what the next start takes."""
        return self.live if self.is_active else self.inactive

    @property
    def inactive(self) -> Definition:
        """What the next start takes; of a transient domain, what runs."""
        return self.config or self.live

    @property
    def name(self) -> str:
        """Its name now."""
        return self.current.name

    @property
    def uuid(self) -> bytes:
        """16 bytes."""
        return self.current.uuid

    @property
    def ref(self) -> DomainRef:
        """How others see it now."""
        return DomainRef(self.name, self.uuid, self.id)

    @property
    def cpu_time(self) -> int:
        """Nanoseconds that its processors have worked: they never rest."""
        return (monotonic_ns() - self.started) * self.live.vcpus if self.is_active else 0

    def affected(self, flags: int) -> list[Definition]:
        """The definitions that the flags of a change mean; others than ``Affect`` are ignored.

        Raises:
            LibvirtError: the domain has no such definition.
        """
        flags &= Affect.LIVE | Affect.CONFIG
        if not flags:
            flags = Affect.LIVE if self.is_active else Affect.CONFIG
        if flags & Affect.LIVE and not self.is_active:
            raise invalid_operation("domain is not running", _FROM)
        if flags & Affect.CONFIG and not self.config:
            raise invalid_operation("transient domains do not have any persistent config", _FROM)
        live = self.live if flags & Affect.LIVE else None
        config = self.config if flags & Affect.CONFIG else None
        return [definition for definition in (live, config) if definition]

    def shown(self, flags: int, function: str) -> Definition:
        """The definition that the flags of a question mean.

        Args:
            function: libvirt's name of what was called, for the error.

        Raises:
            RemoteError: they exclude each other, or there is no such definition.
        """
        if flags & Affect.LIVE and flags & Affect.CONFIG:
            text = "Flags '{0}_LIVE' and '{0}_CONFIG' are mutually exclusive"
            raise bad_argument(function, "ctl", text.format("VIR_DOMAIN_AFFECT"), _FROM)
        return self.affected(flags)[0]

    def is_listed(self, flags: DomainList) -> bool:
        """Whether a list with these filters has it."""
        is_active, has_snapshots = self.is_active, bool(self.snapshots)
        return passes(
            flags,
            {DomainList.ACTIVE: is_active, DomainList.INACTIVE: not is_active},
            {DomainList.PERSISTENT: bool(self.config), DomainList.TRANSIENT: not self.config},
            {
                DomainList.RUNNING: self.state is RUNNING,
                DomainList.PAUSED: self.state is PAUSED,
                DomainList.SHUTOFF: self.state is SHUTOFF,
                DomainList.OTHER: False,
            },
            {DomainList.MANAGEDSAVE: self.is_saved, DomainList.NO_MANAGEDSAVE: not self.is_saved},
            {DomainList.AUTOSTART: self.autostart, DomainList.NO_AUTOSTART: not self.autostart},
            {DomainList.HAS_SNAPSHOT: has_snapshots, DomainList.NO_SNAPSHOT: not has_snapshots},
            {DomainList.HAS_CHECKPOINT: False, DomainList.NO_CHECKPOINT: True},
        )
