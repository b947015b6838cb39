"""Memory, processors, titles and metadata of a domain: what can be changed of its definitions.

Whoever calls holds the lock of ``Domains``.
"""

from __future__ import annotations

from copy import deepcopy
from enum import IntEnum
from typing import Final
from xml.etree.ElementTree import Element

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.examples.hypervisor.model import documents
from rpcgen.examples.hypervisor.model.definition import Definition, check_title
from rpcgen.examples.hypervisor.model.domain import Domain
from rpcgen.examples.hypervisor.model.errors import (
    LibvirtError,
    invalid_argument,
    invalid_operation,
)
from rpcgen.examples.hypervisor.model.flags import DomainCount
from rpcgen.examples.hypervisor.model.limits import VCPUS_MAX

_FROM: Final = VirErrorDomain.VIR_FROM_DOMAIN


class Metadata(IntEnum):
    """What is known of a domain beside its machine (virDomainMetadataType)."""

    DESCRIPTION = 0
    TITLE = 1
    ELEMENT = 2


_TAGS: Final = {Metadata.DESCRIPTION: "description", Metadata.TITLE: "title"}


def set_memory(domain: Domain, size: int, flags: DomainCount) -> None:
    """Set the memory that a guest has, or the most that it can have.

    Args:
        size: KiB.

    Raises:
        LibvirtError: it is more than the most, the most is that of a running domain, or the
            domain has no such definition.
    """
    definitions = domain.affected(flags)
    if flags & DomainCount.MAXIMUM:
        if domain.is_active and domain.live in definitions:
            raise invalid_operation("cannot resize the maximum memory on an active domain")
        for definition in definitions:
            definition.max_memory = size
        return
    if any(size > definition.max_memory for definition in definitions):
        raise invalid_argument("cannot set memory higher than max memory")
    for definition in definitions:
        definition.memory = size


def set_vcpus(domain: Domain, count: int, flags: DomainCount) -> None:
    """Set the processors that a guest has, or the most that it can have.

    Raises:
        LibvirtError: there are not as many, the most is that of a running domain, or the
            domain has no such definition.
    """
    definitions = domain.affected(flags)
    if not 0 < count <= VCPUS_MAX:
        raise invalid_argument(
            f"requested cpu amount exceeds maximum supported amount ({count} > {VCPUS_MAX})"
        )
    if flags & DomainCount.MAXIMUM:
        if domain.is_active and domain.live in definitions:
            raise invalid_operation("cannot change the maximum of vcpus of an active domain")
        for definition in definitions:
            definition.set_vcpus(min(definition.vcpus, count), count)
        return
    for maximum in (definition.max_vcpus for definition in definitions):
        if count > maximum:
            raise invalid_argument(f"requested cpu amount exceeds maximum ({count} > {maximum})")
    for definition in definitions:
        definition.set_vcpus(count, definition.max_vcpus)


def get_metadata(definition: Definition, kind: int, uri: str | None) -> str:
    """A description, a title, or a foreign element as XML.

    Raises:
        LibvirtError: it has none (VIR_ERR_NO_DOMAIN_METADATA), or the kind is unknown.
    """
    if _known(kind) is Metadata.ELEMENT:
        element = definition.metadata(uri or "")
        found = None if element is None else documents.write_foreign(_without_prefix(element))
    else:
        found = definition.text(_TAGS[_known(kind)])
    if found is None:
        detail = "Requested metadata element is not present"
        raise LibvirtError(VirErrorNumber.VIR_ERR_NO_DOMAIN_METADATA, detail, _FROM)
    return found


def set_metadata(
    domain: Domain, kind: int, text: str | None, key: str | None, uri: str | None, flags: int
) -> None:
    """Set a description, a title, or a foreign element; no text removes it.

    Args:
        key: the prefix for the element's namespace.
        uri: that namespace.

    Raises:
        LibvirtError: the text does not do, or the domain has no such definition.
    """
    definitions = domain.affected(flags)
    if _known(kind) is not Metadata.ELEMENT:
        if kind == Metadata.TITLE:
            check_title(text)
        for definition in definitions:
            definition.set_text(_TAGS[_known(kind)], text)
        return
    if not uri or (text is not None and not key):
        raise invalid_argument("metadata need a namespace, and a prefix for it", _FROM)
    for definition in definitions:
        element = None if text is None else _with_prefix(text, key or "", uri)
        definition.set_metadata(uri, element)


def _known(kind: int) -> Metadata:
    if kind not in set(Metadata):
        raise invalid_argument(f"unknown metadata type '{kind}'", _FROM)
    return Metadata(kind)


def _with_prefix(text: str, key: str, uri: str) -> Element:
    """The element in a namespace, which is declared at its root."""
    root = documents.parse_fragment(text, "metadata_xml", _FROM)
    for element in root.iter():
        element.tag = f"{key}:{element.tag.rpartition(':')[2]}"
    root.attrib = {f"xmlns:{key}": uri} | root.attrib
    return root


def _without_prefix(element: Element) -> Element:
    """The element as it was given."""
    key = element.tag.rpartition(":")[0]
    root = deepcopy(element)
    root.attrib.pop(f"xmlns:{key}" if key else "xmlns", None)
    for one in root.iter():
        one.tag = one.tag.removeprefix(f"{key}:")
    return root
