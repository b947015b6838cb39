"""Who wants to hear of what: subscriptions by session, which end with it.

What the events are, and how they travel, is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from threading import RLock
from typing import NamedTuple

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.examples.hypervisor.model.errors import LibvirtError
from rpcgen.examples.hypervisor.model.limits import SUBSCRIPTIONS_MAX
from rpcgen.runtime import Session


class Family(Enum):
    """Whose events; each counts its kinds from 0."""

    DOMAIN = "domain"
    NETWORK = "network"
    POOL = "storage pool"
    NODE_DEVICE = "node device"
    SECRET = "secret"  # noqa: S105  (libvirt's word for an object)


class Subscription(NamedTuple):
    """One wish.

    Attributes:
        event: the kind, in its family.
        callback: the number that goes with each event; None for the old form without one.
        subject: the UUID of the only object that matters; None for all.
        hears: whether the client may know of such objects.
    """

    session: Session
    family: Family
    event: int
    callback: int | None
    subject: bytes | None
    hears: bool


class _Listener:
    """One session's wishes, and the number of the next."""

    def __init__(self) -> None:
        self.subscriptions: list[Subscription] = []
        self.next_number = 0


class Registry:
    """All subscriptions of all sessions."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._listeners: dict[Session, _Listener] = {}

    def add(
        self,
        session: Session,
        family: Family,
        event: int,
        subject: bytes | None,
        *,
        hears: bool = True,
    ) -> int:
        """Subscribe in the form with callback numbers, which a session counts from 0.

        Returns:
            the number.

        Raises:
            LibvirtError: the session has too many.
        """
        with self._listening(session) as listener:
            number = listener.next_number
            _insert(listener, Subscription(session, family, event, number, subject, hears))
            listener.next_number += 1
        return number

    def add_plain(self, session: Session, event: int, *, hears: bool = True) -> None:
        """Subscribe to a kind of events of domains in the old form, which a session can once.

        Raises:
            LibvirtError: it has done so already, or has too many.
        """
        with self._listening(session) as listener:
            if any(_is_plain(one, event) for one in listener.subscriptions):
                raise _refused(f"domain event {event} already registered")
            _insert(listener, Subscription(session, Family.DOMAIN, event, None, None, hears))

    def remove(self, session: Session, family: Family, number: int) -> None:
        """End a subscription.

        Raises:
            LibvirtError: there is none such.
        """
        with self._listening(session) as listener:
            for one in listener.subscriptions:
                if (one.family, one.callback) == (family, number):
                    listener.subscriptions.remove(one)
                    return
            raise _refused(f"{family.value} event callback {number} not registered")

    def remove_plain(self, session: Session, event: int) -> None:
        """End a subscription in the old form; errors as with ``remove``."""
        with self._listening(session) as listener:
            for one in listener.subscriptions:
                if _is_plain(one, event):
                    listener.subscriptions.remove(one)
                    return
            raise _refused(f"domain event {event} not registered")

    def wanting(self, family: Family, event: int, subject: bytes) -> list[Subscription]:
        """Who wants to hear that this happened to that object."""
        with self._lock:
            return [
                one
                for listener in self._listeners.values()
                for one in listener.subscriptions
                if (one.family, one.event, one.hears) == (family, event, True)
                and one.subject in (None, subject)
            ]

    @contextmanager
    def _listening(self, session: Session) -> Iterator[_Listener]:
        """What a session wants, until it is gone."""
        with self._lock:
            is_new = session not in self._listeners
            listener = self._listeners.setdefault(session, _Listener())
            try:
                yield listener
            finally:
                if is_new:  # a session that is gone calls back at once, under our lock
                    session.on_close(lambda: self._forget(session))

    def _forget(self, session: Session) -> None:
        with self._lock:
            self._listeners.pop(session, None)


def _insert(listener: _Listener, subscription: Subscription) -> None:
    if len(listener.subscriptions) >= SUBSCRIPTIONS_MAX:
        raise _refused(f"more than {SUBSCRIPTIONS_MAX} events are registered")
    listener.subscriptions.append(subscription)


def _is_plain(subscription: Subscription, event: int) -> bool:
    return subscription.callback is None and subscription.event == event


def _refused(detail: str) -> LibvirtError:
    return LibvirtError(VirErrorNumber.VIR_ERR_INTERNAL_ERROR, detail, VirErrorDomain.VIR_FROM_RPC)
