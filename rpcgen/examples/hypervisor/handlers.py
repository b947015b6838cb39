"""What all handlers have in common: the host, and whether a client may do what it asks for.

There is no other way to the host than ``host``: who forgets to ask cannot do anything.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from libvirt_rpc.remote_protocol.server import RemoteServer
from rpcgen.examples.hypervisor.model.errors import LibvirtError
from rpcgen.examples.hypervisor.model.events import Event
from rpcgen.examples.hypervisor.model.flags import Flags, check, understood
from rpcgen.examples.hypervisor.model.host import Host
from rpcgen.runtime import Call, Procedure

E = VirErrorNumber
T = TypeVar("T")

_CLIENT: Final = "hypervisor"
"""Under which a session keeps what is known of its client."""

_SPELLINGS: Final = {"xml": "XML", "uuid": "UUID", "uri": "URI", "id": "ID", "os": "OS"}
_HARMLESS: Final = frozenset({"getattr", "read", "none"})
"""The permissions that a read-only client has, beside those to search."""

_MISMARKED: Final = frozenset({"domain_set_scheduler_parameters"})
"""Procedures that change something, although libvirt's protocol gives them the permission to look."""

_OBJECTS: Final = {
    "domain_snapshot": VirErrorDomain.VIR_FROM_DOMAIN_SNAPSHOT,
    "domain": VirErrorDomain.VIR_FROM_DOMAIN,
    "network": VirErrorDomain.VIR_FROM_NETWORK,
    "storage": VirErrorDomain.VIR_FROM_STORAGE,
}
"""By the first words of a method: who refuses it."""


class Client:
    """What is known of one connection.

    Attributes:
        is_open: whether it has opened the hypervisor.
        is_readonly: whether it may only look.
    """

    def __init__(self) -> None:
        self.is_open = False
        self.is_readonly = False


class Handlers(RemoteServer):
    """The base of all handlers."""

    def __init__(self) -> None:
        self._host = Host(self.publish)

    def publish(self, event: Event) -> None:
        """Take note of what happened on the host."""

    def client(self, call: Call) -> Client:
        """What is known of the client that calls."""
        client: Client = call.session.data.setdefault(_CLIENT, Client())
        return client

    def host(self, call: Call) -> Host:
        """The host, for a client that may do to it what it asks for.

        Raises:
            LibvirtError: it has not opened the hypervisor (VIR_ERR_INTERNAL_ERROR), or may
                only look (VIR_ERR_OPERATION_DENIED).
        """
        client = self.client(call)
        if not client.is_open:
            detail = "connection not open"
            raise LibvirtError(E.VIR_ERR_INTERNAL_ERROR, detail, VirErrorDomain.VIR_FROM_RPC)
        if client.is_readonly and changes(call.procedure):
            raise denied(f"read only access prevents {function_of(call)}", call)
        return self._host

    def flags(self, call: Call, kind: type[Flags], flags: int) -> Flags:
        """Flags of a call as what they are.

        Raises:
            RemoteError: some are unknown (VIR_ERR_INVALID_ARG).
        """
        return understood(kind, flags, function_of(call))

    def no_flags(self, call: Call, flags: int) -> None:
        """Refuse any flag of a call; errors as with ``flags``."""
        check(flags, 0, function_of(call))


def changes(procedure: Procedure[Any, Any]) -> bool:
    """Whether a procedure takes more than the permission to look, whatever its flags."""
    if procedure.method in _MISMARKED:
        return True
    permissions = [one.partition(":")[2] or one for one in procedure.acl]
    needed = {one for one in permissions if ":" not in one and not one.startswith("search_")}
    return not needed <= _HARMLESS


def denied(detail: str, call: Call) -> LibvirtError:
    """A read-only client may not do that."""
    method = call.procedure.method
    domains = (domain for words, domain in _OBJECTS.items() if method.startswith(words))
    domain = next(domains, VirErrorDomain.VIR_FROM_NONE)
    return LibvirtError(E.VIR_ERR_OPERATION_DENIED, detail, domain)


def sees(call: Call) -> bool:
    """Whether the client of a list or of events has the permissions of ``@aclfilter``.

    They are for all objects of a kind: it sees every one, or none.
    """
    return all(map(call.may, call.procedure.acl_filter))


def shown(call: Call, values: list[T]) -> list[T]:
    """What a list shows to the client."""
    return values if sees(call) else []


def function_of(call: Call) -> str:
    """libvirt's name of the function behind a procedure."""
    words = call.procedure.method.split("_")
    return "vir" + "".join(_SPELLINGS.get(word, word.capitalize()) for word in words)


def some(values: list[T], need_results: int) -> list[T]:
    """A list for those who want more than its length."""
    return values if need_results else []
