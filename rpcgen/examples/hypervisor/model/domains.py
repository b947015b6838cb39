"""The domains of a host: looking them up, defining them, and taking them through their states.

Every method takes the lock for as long as it lasts; ``locked`` gives it to others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic_ns
from typing import Final

from libvirt_rpc.libvirt_common.types import VirDomainEventType, VirErrorDomain, VirErrorNumber
from rpcgen.examples.hypervisor.model.catalogue import Catalogue
from rpcgen.examples.hypervisor.model.definition import Definition
from rpcgen.examples.hypervisor.model.domain import Domain
from rpcgen.examples.hypervisor.model.errors import LibvirtError, invalid_operation
from rpcgen.examples.hypervisor.model.events import (
    Defined,
    DomainRef,
    Event,
    Lifecycle,
    Publish,
    Rebooted,
    Undefined,
)
from rpcgen.examples.hypervisor.model.flags import DomainList, DomainStart, DomainUndefine
from rpcgen.examples.hypervisor.model.identity import check_name, uuid_text
from rpcgen.examples.hypervisor.model.lifecycle import SHUTOFF, Action, Step, steps

E = VirErrorNumber
_FROM: Final = VirErrorDomain.VIR_FROM_DOMAIN
_DEFINED: Final = VirDomainEventType.VIR_DOMAIN_EVENT_DEFINED
_UNDEFINED: Final = VirDomainEventType.VIR_DOMAIN_EVENT_UNDEFINED


class Domains:
    """All domains of a host.

    Args:
        publish: is told of what happens to them.
    """

    def __init__(self, publish: Publish) -> None:
        self._all: Catalogue[Domain] = Catalogue("domain", _FROM)
        self._publish = publish
        self._last_id = 0

    # Looking up

    def by_name(self, name: str) -> DomainRef:
        """The domain of that name.

        Raises:
            LibvirtError: there is none (VIR_ERR_NO_DOMAIN).
        """
        with self._all.lock:
            return _found(self._all.by_name(name))

    def by_uuid(self, uuid: bytes) -> DomainRef:
        """The domain with that UUID; errors as with ``by_name``."""
        with self._all.lock:
            return _found(self._all.by_uuid(uuid))

    def by_id(self, number: int) -> DomainRef:
        """The active domain with that id; errors as with ``by_name``."""
        with self._all.lock:
            active = (domain for domain in self._all if domain.is_active)
            return _found(next((domain for domain in active if domain.id == number), None))

    def listed(self, flags: DomainList) -> list[DomainRef]:
        """Those that the filters let through."""
        with self._all.lock:
            return [domain.ref for domain in self._all if domain.is_listed(flags)]

    @contextmanager
    def locked(self, ref: DomainRef) -> Iterator[Domain]:
        """A domain, for as long as the block lasts.

        Raises:
            LibvirtError: it is not there any more (VIR_ERR_NO_DOMAIN).
        """
        with self._all.lock:
            domain = self._all.by_uuid(ref.uuid)
            if domain is None:
                detail = f"no domain with matching uuid '{uuid_text(ref.uuid)}' ({ref.name})"
                raise LibvirtError(E.VIR_ERR_NO_DOMAIN, detail)
            yield domain

    # Definitions

    def define(self, definition: Definition) -> DomainRef:
        """Make a domain persistent, or change what its next start takes.

        Raises:
            LibvirtError: name or UUID are another's.
        """
        with self._all.lock:
            domain = self._all.place_for(definition.name, definition.uuid)
            detail = Defined.UPDATED if domain and domain.config else Defined.ADDED
            if domain is None:
                domain = Domain(definition)
                self._all.add(domain)
            domain.config = definition
            self._publish(Lifecycle(domain.ref, _DEFINED, detail))
            return domain.ref

    def undefine(self, ref: DomainRef, flags: DomainUndefine) -> None:
        """Drop the persistent definition; what runs goes on as a transient domain.

        Raises:
            LibvirtError: the domain is not there, is transient, or would leave something
                behind that the flags do not name.
        """
        with self.locked(ref) as domain:
            if domain.config is None:
                raise invalid_operation("cannot undefine transient domain")
            _check_nothing_stays(domain, flags)
            self._publish(Lifecycle(domain.ref, _UNDEFINED, Undefined.REMOVED))
            if domain.is_active:
                domain.config = None
                domain.autostart = False
            else:
                self._all.discard(domain)

    def rename(self, ref: DomainRef, name: str) -> None:
        """Give an inactive domain another name.

        Raises:
            LibvirtError: it runs or has snapshots, or the name cannot be had.
        """
        with self.locked(ref) as domain:
            if domain.is_active:
                raise invalid_operation("cannot rename active domain")
            if domain.snapshots:
                raise invalid_operation("cannot rename a domain with snapshots")
            if name == domain.name:
                raise invalid_operation("Can't rename domain to itself")
            if not check_name(name, _FROM):
                raise LibvirtError(E.VIR_ERR_NO_NAME, domain=_FROM)
            if self._all.by_name(name):
                raise invalid_operation(f"domain with name '{name}' already exists")
            old = domain.ref
            domain.inactive.rename(name)
            self._publish(Lifecycle(old, _UNDEFINED, Undefined.RENAMED))
            self._publish(Lifecycle(domain.ref, _DEFINED, Defined.RENAMED))

    # States

    def create(self, definition: Definition, flags: DomainStart) -> DomainRef:
        """Start a domain from a description that is not kept.

        Raises:
            LibvirtError: name or UUID are another's, or it runs already.
        """
        with self._all.lock:
            domain = self._all.place_for(definition.name, definition.uuid)
            if domain and domain.is_active:
                raise invalid_operation(f"domain '{domain.name}' is already active", _FROM)
            if domain is None:
                domain = Domain(definition)
                domain.config = None
                self._all.add(domain)
            self._start(domain, definition, flags)
            return domain.ref

    def start(self, ref: DomainRef, flags: DomainStart) -> DomainRef:
        """Start a persistent domain.

        Raises:
            LibvirtError: it is not there, or runs already.
        """
        with self.locked(ref) as domain:
            self._start(domain, domain.inactive, flags)
            return domain.ref

    def act(self, ref: DomainRef, action: Action) -> None:
        """Take a domain through its states.

        Raises:
            LibvirtError: it is not there, or its state does not allow that.
        """
        with self.locked(ref) as domain:
            self.walk(domain, action)
            if action is Action.REBOOT:
                self._publish(Rebooted(domain.ref))

    def save(self, ref: DomainRef) -> None:
        """Stop a domain, and keep its memory for the next start.

        Raises:
            LibvirtError: it is not there, is transient or does not run.
        """
        with self.locked(ref) as domain:
            if domain.config is None:
                raise invalid_operation("cannot do managed save for transient domain")
            self.walk(domain, Action.SAVE)
            domain.is_saved = True

    def walk(self, domain: Domain, action: Action, definition: Definition | None = None) -> None:
        """Take a locked domain through the steps of an action.

        Args:
            definition: what it runs when it becomes active; else what it is defined as.

        Raises:
            LibvirtError: its state does not allow that.
        """
        for step in steps(domain.state, action, domain.name):
            self._take(domain, step, definition or domain.inactive)
        if not domain.is_active and domain.config is None:
            self._all.discard(domain)

    def publish(self, event: Event) -> None:
        """Tell of a change that somebody made to a locked domain."""
        self._publish(event)

    def _start(self, domain: Domain, definition: Definition, flags: DomainStart) -> None:
        self.walk(domain, Action.START, definition)
        if flags & DomainStart.PAUSED:
            self.walk(domain, Action.SUSPEND)

    def _take(self, domain: Domain, step: Step, definition: Definition) -> None:
        if step.state is SHUTOFF:
            domain.id = -1
        elif not domain.is_active:
            self._last_id += 1
            domain.id = self._last_id
            domain.live = definition.copy()
            domain.is_saved = False
            domain.started = monotonic_ns()
        domain.state, domain.reason = step.state, step.reason
        if step.event is not None:
            self._publish(Lifecycle(domain.ref, step.event, step.detail))


def _found(domain: Domain | None) -> DomainRef:
    if domain is None:
        raise LibvirtError(E.VIR_ERR_NO_DOMAIN)
    return domain.ref


def _check_nothing_stays(domain: Domain, flags: DomainUndefine) -> None:
    """Refuse to strand what only the definition leads to; a domain that runs still does."""
    count = len(domain.snapshots.records)
    if count and not domain.is_active and not flags & DomainUndefine.SNAPSHOTS_METADATA:
        raise invalid_operation(f"cannot delete inactive domain with {count} snapshots")
    if domain.is_saved and not flags & DomainUndefine.MANAGED_SAVE:
        raise invalid_operation("Refusing to undefine while domain managed save image exists")
