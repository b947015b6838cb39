"""One snapshot: what is recorded of it, and the XML that describes it."""

from __future__ import annotations

from typing import Final, NamedTuple
from xml.etree.ElementTree import Element

from libvirt_rpc.libvirt_common.types import VirDomainState, VirErrorDomain, VirErrorNumber
from rpcgen.examples.hypervisor.model import documents
from rpcgen.examples.hypervisor.model.definition import Definition
from rpcgen.examples.hypervisor.model.documents import put, text_at
from rpcgen.examples.hypervisor.model.errors import (
    LibvirtError,
    invalid_argument,
    unsupported,
)
from rpcgen.examples.hypervisor.model.identity import uuid_text
from rpcgen.examples.hypervisor.model.lifecycle import PAUSED, RUNNING, SHUTOFF

E = VirErrorNumber
FROM: Final = VirErrorDomain.VIR_FROM_DOMAIN_SNAPSHOT

_STATES: Final = {"running": RUNNING, "paused": PAUSED, "shutoff": SHUTOFF}
_WORDS: Final = {state: word for word, state in _STATES.items()}


class Request(NamedTuple):
    """What a client says of a snapshot that is to be taken, or was.

    Attributes:
        name: empty if the hypervisor shall find one.
        created: seconds since 1970.
        definition: of the domain, as it was.
    """

    name: str
    description: str | None
    parent: str | None
    created: int | None
    state: VirDomainState | None
    definition: Definition | None


class Snapshot(NamedTuple):
    """The record of a snapshot, without what lies in the disks.

    Attributes:
        parent: the snapshot that it was taken on, by name.
        created: seconds since 1970.
        state: of the domain at that time.
        definition: of the domain at that time.
    """

    name: str
    description: str | None
    parent: str | None
    created: int
    state: VirDomainState
    definition: Definition

    def xml(self) -> str:
        """Its description."""
        root = Element("domainsnapshot")
        put(root, "name", self.name)
        if self.description is not None:
            put(root, "description", self.description)
        put(root, "state", _WORDS[self.state])
        if self.parent is not None:
            put(put(root, "parent"), "name", self.parent)
        put(root, "creationTime", str(self.created))
        put(root, "memory", snapshot="no" if self.state is SHUTOFF else "internal")
        disks = self.definition.disks()
        if disks:
            put(root, "disks").extend(
                Element("disk", name=disk.target, snapshot="internal" if disk.source else "no")
                for disk in disks
            )
        root.append(self.definition.root)
        return documents.write(
            root, expanded=frozenset({"devices"}), foreign=frozenset({"metadata"})
        )


def parse(xml: str) -> Request:
    """What a client says.

    Raises:
        LibvirtError: it is not well-formed, or asks for what cannot be done inside the disks.
    """
    root = documents.parse(xml, "domain_snapshot", "domainsnapshot", FROM)
    _refuse_external(root)
    domain = root.find("domain")
    return Request(
        text_at(root, "name"),
        root.findtext("description"),
        text_at(root, "parent/name") or None,
        documents.number(text_at(root, "creationTime")),
        _state(text_at(root, "state")),
        Definition.from_element(domain) if domain is not None else None,
    )


def _state(word: str) -> VirDomainState | None:
    if word and word not in _STATES:
        raise unsupported(f"Invalid state '{word}' in domain snapshot XML", FROM)
    return _STATES.get(word)


def _refuse_external(root: Element) -> None:
    for element in (*root.iterfind("memory"), *root.iterfind("disks/disk")):
        if element.get("snapshot") == "external":
            raise unsupported("external snapshots are not available: there are no files", FROM)


def redefined(request: Request, like: Definition, earlier: Snapshot | None) -> Snapshot:
    """The record that a description of an earlier snapshot makes.

    Args:
        like: the domain's definition now, which tells whose snapshot it is.
        earlier: the record that it replaces; from there comes the definition if it has none.

    Raises:
        LibvirtError: something is missing, it is another domain's, or the domain ran then by only
            one of the records.
    """
    if not request.name:
        raise LibvirtError(E.VIR_ERR_XML_ERROR, "a redefined snapshot must have a name", FROM)
    if request.created is None:
        detail = "missing creationTime from existing snapshot"
        raise LibvirtError(E.VIR_ERR_INTERNAL_ERROR, detail, FROM)
    if request.state is None:
        raise LibvirtError(E.VIR_ERR_XML_ERROR, "missing state from existing snapshot", FROM)
    if earlier and (earlier.state is SHUTOFF) is not (request.state is SHUTOFF):
        detail = "cannot change between online and offline snapshot state in snapshot"
        raise invalid_argument(f"{detail} {request.name}", FROM)
    definition = request.definition or (earlier and earlier.definition)
    if definition is None:
        raise LibvirtError(E.VIR_ERR_INTERNAL_ERROR, "missing domain in snapshot", FROM)
    if (definition.name, definition.uuid) != (like.name, like.uuid):
        wanted = f"uuid {uuid_text(like.uuid)} and name {like.name}"
        detail = f"definition for snapshot {request.name} must use {wanted}"
        raise LibvirtError(E.VIR_ERR_INVALID_ARG, detail, FROM)
    return Snapshot(
        request.name,
        request.description,
        request.parent,
        request.created,
        request.state,
        definition,
    )
