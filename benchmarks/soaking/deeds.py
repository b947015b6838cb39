"""Calls with the one answer that is right for each, for sync and asyncio clients alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any, Final

from benchmarks.soaking.patterns import domain, network, uuid
from benchmarks.soaking.tally import Wrong
from libvirt_rpc.libvirt_common.types import VirErrorNumber
from libvirt_rpc.remote_protocol.types import RemoteNonnullNetwork
from rpcgen.runtime import CallTimeout, RemoteError

_SLOW: Final = 40
"""Milliseconds of a handler that takes its time."""


@dataclass(frozen=True, slots=True)
class Deed:
    """A call.

    Attributes:
        method: of the client.
        expected: the result; or the error's code, and its text if that is the caller's.
        timeout: seconds; the call may then run out of time instead.
    """

    method: str
    arguments: tuple[Any, ...]
    expected: object
    timeout: float | None = None

    def judge(self, result: object) -> str:
        """What happened, in a word.

        Raises:
            Wrong: not what should have.
        """
        if isinstance(result, CallTimeout) and self.timeout is not None:
            return "calls that ran out of time"
        if isinstance(result, RemoteError):
            if self.expected != (result.code, _owned(result)):
                raise Wrong(f"{self}: {result!r}") from result
            return "calls that failed as they should"
        if isinstance(result, Exception):
            raise Wrong(f"{self}: {result!r}") from result
        if result != self.expected:
            raise Wrong(f"{self}: {result!r}")
        return "calls answered"


def _owned(error: RemoteError) -> str | None:
    """The text, unless it is the same for everyone."""
    return None if error.code == VirErrorNumber.VIR_ERR_INTERNAL_ERROR else error.message


class Names:
    """Names that are never the same twice."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._numbers = count()

    def next(self) -> str:
        """Another one."""
        return f"{self._owner}-{next(self._numbers)}"


def _lookup(name: str) -> Deed:
    return Deed("domain_lookup_by_name", (name,), domain(name))


def _network(name: str) -> Deed:
    return Deed("network_lookup_by_name", (name,), network(name))


def _paused(name: str) -> Deed:
    return Deed("network_lookup_by_uuid", (uuid(name),), RemoteNonnullNetwork("", uuid(name)))


def _slow(name: str) -> Deed:
    return Deed("domain_get_xml_desc", (domain(name), _SLOW), f"<domain>{name}</domain>")


def _late(name: str) -> Deed:
    text = f"<domain>{name}</domain>"
    return Deed("domain_get_xml_desc", (domain(name), _SLOW), text, timeout=_SLOW / 4000)


def _busy(name: str) -> Deed:
    return Deed("domain_get_os_type", (domain(name),), name)


def _event(name: str) -> Deed:
    return Deed("domain_create", (domain(name),), None)


def _refused(name: str) -> Deed:
    return Deed("domain_destroy", (domain(name),), (VirErrorNumber.VIR_ERR_NO_DOMAIN, name))


def _failed(name: str) -> Deed:
    return Deed("domain_reset", (domain(name),), (VirErrorNumber.VIR_ERR_INTERNAL_ERROR, None))


def _failed_worker(name: str) -> Deed:
    return Deed("domain_reboot", (domain(name),), (VirErrorNumber.VIR_ERR_INTERNAL_ERROR, None))


EVENT: Final = "domain_create"
"""The method after which the caller gets an event, too."""

_KINDS: Final[dict[Callable[[str], Deed], int]] = {
    _lookup: 30,
    _network: 30,
    _paused: 20,
    _slow: 2,
    _late: 2,
    _busy: 4,
    _event: 10,
    _refused: 10,
    _failed: 2,
    _failed_worker: 2,
}
"""How often each, in about a hundred."""


def choose(random: Random, names: Names) -> Deed:
    """Any of them, with a name of its own."""
    (make,) = random.choices(list(_KINDS), list(_KINDS.values()))
    return make(names.next())
