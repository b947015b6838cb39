"""Definitions of domains: an XML description brought into libvirt's form, and what is asked of it.

A definition is a value: it knows no state, and nobody else's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from itertools import count
from secrets import token_bytes
from typing import Final, NamedTuple, Self
from xml.etree.ElementTree import Element

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.examples.hypervisor.model import documents
from rpcgen.examples.hypervisor.model.documents import attribute_at, put, text_at
from rpcgen.examples.hypervisor.model.errors import LibvirtError, unsupported
from rpcgen.examples.hypervisor.model.identity import check_name, new_uuid, parse_uuid, uuid_text
from rpcgen.examples.hypervisor.model.limits import VCPUS_MAX
from rpcgen.examples.hypervisor.model.sizes import kibibytes, scaled

E = VirErrorNumber
FROM: Final = VirErrorDomain.VIR_FROM_DOMAIN

_ORDER: Final = documents.ranks(
    *("name", "uuid", "genid", "title", "description", "metadata", "maxMemory", "memory"),
    *("currentMemory", "blkiotune", "memtune", "memoryBacking", "vcpu", "vcpus", "iothreads"),
    *("cputune", "numatune", "resource", "sysinfo", "os", "features", "cpu", "clock"),
    *("on_poweroff", "on_reboot", "on_crash", "pm", "perf", "devices"),
)
_TYPES: Final = frozenset(
    {
        *("test", "qemu", "kvm", "xen", "lxc", "uml", "openvz", "vmware", "hyperv", "vbox"),
        *("phyp", "parallels", "bhyve", "vz", "hvf"),
    }
)
_OS_TYPES: Final = frozenset({"hvm", "xen", "linux", "exe", "uml", "xenpvh"})
_ACTIONS: Final = {"on_poweroff": "destroy", "on_reboot": "restart", "on_crash": "destroy"}
_BUSES: Final = {"vd": "virtio", "sd": "scsi", "hd": "ide", "fd": "fdc", "xv": "xen", "ub": "usb"}


class Disk(NamedTuple):
    """A disk: its name in the guest, and the file or device behind it, if there is one."""

    target: str
    source: str


class Interface(NamedTuple):
    """A network interface: its name on the host, and its hardware address."""

    target: str
    mac: str


class Definition:
    """What a domain is made of.

    Attributes:
        root: its ``<domain>``, in libvirt's form.
        name: unique on the host.
        uuid: 16 bytes, unique on the host.
    """

    def __init__(self, root: Element) -> None:
        self.root = root
        self.name = text_at(root, "name")
        self.uuid = parse_uuid(text_at(root, "uuid")) or bytes(16)

    @classmethod
    def parse(cls, xml: str) -> Self:
        """Read a description, and fill in what it leaves open.

        Raises:
            LibvirtError: it is not well-formed, or does not make a domain.
        """
        return cls.from_element(documents.parse(xml, "domain_definition", "domain", FROM))

    @classmethod
    def from_element(cls, root: Element) -> Self:
        """The same from a tree, which becomes the definition's."""
        _complete_head(root)
        _complete_machine(root)
        _complete_memory(root)
        _complete_vcpus(root)
        _complete_rest(root)
        _complete_devices(root)
        documents.arrange(root, _ORDER)
        return cls(root)

    def copy(self) -> Self:
        """Another definition of the same content."""
        return type(self)(deepcopy(self.root))

    def xml(self, number: int = -1) -> str:
        """The description; that of a running domain has its id."""
        return documents.write(
            self._with_id(number), expanded=frozenset({"devices"}), foreign=frozenset({"metadata"})
        )

    def rename(self, name: str) -> None:
        """Give it another name."""
        put(self.root, "name", name)
        self.name = name

    def _with_id(self, number: int) -> Element:
        if number < 0:
            return self.root
        kind = self.root.get("type", "")
        root = Element("domain", {"type": kind, "id": str(number)} | self.root.attrib)
        root[:] = self.root[:]
        return root

    # What can be changed

    @property
    def max_memory(self) -> int:
        """KiB."""
        return int(text_at(self.root, "memory"))

    @max_memory.setter
    def max_memory(self, size: int) -> None:
        put(self.root, "memory", str(size), unit="KiB")
        self.memory = min(self.memory, size)

    @property
    def memory(self) -> int:
        """KiB that the guest has now."""
        return int(text_at(self.root, "currentMemory"))

    @memory.setter
    def memory(self, size: int) -> None:
        put(self.root, "currentMemory", str(size), unit="KiB")

    @property
    def max_vcpus(self) -> int:
        """Virtual processors that it can have."""
        return int(text_at(self.root, "vcpu"))

    @property
    def vcpus(self) -> int:
        """Virtual processors that it has."""
        return int(attribute_at(self.root, "vcpu", "current") or self.max_vcpus)

    def set_vcpus(self, now: int, maximum: int) -> None:
        """Set both numbers; the caller has compared them."""
        current = {} if now == maximum else {"current": str(now)}
        put(self.root, "vcpu", str(maximum), placement="static", **current)

    def text(self, tag: str) -> str | None:
        """Title or description; None if there is none."""
        return self.root.findtext(tag)

    def set_text(self, tag: str, text: str | None) -> None:
        """Set title or description; nothing removes it."""
        documents.remove(self.root, tag)
        if text:
            put(self.root, tag, text)
            documents.arrange(self.root, _ORDER)

    def metadata(self, uri: str) -> Element | None:
        """The foreign element of that namespace, without its declaration."""
        metadata = self.root.find("metadata")
        return None if metadata is None else next(_elements_of(metadata, uri), None)

    def set_metadata(self, uri: str, element: Element | None) -> None:
        """Put a foreign element into the place of the one of that namespace; None removes it."""
        metadata = self.root.find("metadata")
        if metadata is None:
            metadata = put(self.root, "metadata")
            documents.arrange(self.root, _ORDER)
        for old in list(_elements_of(metadata, uri)):
            metadata.remove(old)
        if element is not None:
            metadata.append(element)

    # What can be looked at

    def disks(self) -> list[Disk]:
        """Its disks, in their order."""
        return [
            Disk(attribute_at(disk, "target", "dev"), _source(disk))
            for disk in self.root.iterfind("devices/disk")
        ]

    def disk(self, path: str) -> Disk:
        """The disk with that name or source.

        Raises:
            LibvirtError: it has none such.
        """
        for disk in self.disks():
            if path and path in disk:
                return disk
        raise LibvirtError(E.VIR_ERR_INVALID_ARG, f"invalid path {path} not assigned to domain")

    def interfaces(self) -> list[Interface]:
        """Its network interfaces, in their order."""
        return [
            Interface(attribute_at(one, "target", "dev"), attribute_at(one, "mac", "address"))
            for one in self.root.iterfind("devices/interface")
        ]

    def interface(self, device: str) -> Interface:
        """The interface with that name or hardware address.

        Raises:
            LibvirtError: it has none such.
        """
        for interface in self.interfaces():
            if device and device in interface:
                return interface
        raise LibvirtError(E.VIR_ERR_INVALID_ARG, f"'{device}' is not a known interface", FROM)


def _elements_of(metadata: Element, uri: str) -> Iterator[Element]:
    for element in metadata:
        prefix, colon, _ = element.tag.partition(":")
        if element.get(f"xmlns:{prefix}" if colon else "xmlns") == uri:
            yield element


def _source(disk: Element) -> str:
    places = (attribute_at(disk, "source", kind) for kind in ("file", "dev", "dir", "name"))
    return next(filter(None, places), "")


# Bringing a description into form


def _complete_head(root: Element) -> None:
    """Type, name, UUID and title."""
    root.attrib.pop("id", None)
    kind = root.get("type")
    if not kind:
        raise LibvirtError(E.VIR_ERR_INTERNAL_ERROR, "missing domain type attribute", FROM)
    if kind not in _TYPES:
        raise unsupported(f"invalid domain type {kind}", FROM)
    name = text_at(root, "name")
    if not name:
        raise LibvirtError(E.VIR_ERR_NO_NAME, domain=FROM)
    put(root, "name", check_name(name, FROM))
    text = text_at(root, "uuid")
    uuid = parse_uuid(text) if text else new_uuid()
    if uuid is None:
        raise LibvirtError(E.VIR_ERR_INTERNAL_ERROR, "malformed uuid element", FROM)
    put(root, "uuid", uuid_text(uuid))
    check_title(root.findtext("title"))


def check_title(title: str | None) -> None:
    """Refuse what tools could not print in a line."""
    if title and "\n" in title:
        raise LibvirtError(E.VIR_ERR_XML_ERROR, "Domain title can't contain newlines", FROM)


def _complete_memory(root: Element) -> None:
    maximum = _memory(root, "memory")
    if not maximum:
        raise LibvirtError(
            E.VIR_ERR_XML_ERROR,
            "Memory size must be specified via <memory> or in the <numa> configuration",
            FROM,
        )
    current = _memory(root, "currentMemory") or maximum
    put(root, "memory", str(maximum), unit="KiB")
    put(root, "currentMemory", str(min(current, maximum)), unit="KiB")


def _memory(root: Element, tag: str) -> int:
    """KiB; 0 if it is not there."""
    text = text_at(root, tag)
    if not text:
        return 0
    size = documents.number(text)
    if size is None:
        raise LibvirtError(
            E.VIR_ERR_XML_ERROR,
            f"Invalid value '{text}' for element or attribute './{tag}[1]'",
            VirErrorDomain.VIR_FROM_XML,
        )
    return kibibytes(scaled(size, attribute_at(root, tag, "unit") or "KiB"))


def _complete_vcpus(root: Element) -> None:
    maximum = _count(text_at(root, "vcpu") or "1", "maximum vcpus count must be an integer")
    text = attribute_at(root, "vcpu", "current") or str(maximum)
    current = _count(text, "current vcpus count must be an integer")
    if maximum > VCPUS_MAX or not maximum:
        raise unsupported(f"{maximum} vCPUs are not from 1 to {VCPUS_MAX}", FROM)
    if not 0 < current <= maximum:
        raise unsupported("maximum vCPU count must not be less than current vCPU count", FROM)
    vcpu = put(root, "vcpu", str(maximum), placement="static")
    if current != maximum:
        vcpu.set("current", str(current))


def _count(text: str, problem: str) -> int:
    number = documents.number(text)
    if number is None:
        raise LibvirtError(E.VIR_ERR_XML_ERROR, problem, FROM)
    return number


def _complete_machine(root: Element) -> None:
    machine = root.find("os")
    kind = None if machine is None else machine.find("type")
    if machine is None or kind is None or not text_at(root, "os/type"):
        raise LibvirtError(E.VIR_ERR_XML_ERROR, "an os <type> must be specified", FROM)
    kind.text = text_at(root, "os/type")
    if kind.text not in _OS_TYPES:
        raise unsupported(f"unknown OS type '{kind.text}'", FROM)
    kind.attrib.setdefault("arch", "i686")
    if kind.text == "hvm" and machine.find("boot") is None:
        put(machine, "boot", dev="hd")


def _complete_rest(root: Element) -> None:
    """The clock, and what happens at the end."""
    if root.find("clock") is None:
        put(root, "clock", offset="utc")
    for tag, action in _ACTIONS.items():
        put(root, tag, text_at(root, tag) or action)


def _complete_devices(root: Element) -> None:
    devices = root.find("devices")
    if devices is None:
        devices = put(root, "devices")
    for disk in devices.iterfind("disk"):
        target = disk.find("target")
        if target is None or not target.get("dev"):
            raise LibvirtError(E.VIR_ERR_XML_ERROR, "missing target of a disk", FROM)
        target.attrib.setdefault("bus", _BUSES.get(target.attrib["dev"][:2], "virtio"))
    _complete_interfaces(devices)


def _complete_interfaces(devices: Element) -> None:
    taken = {target.get("dev") for target in devices.iterfind("interface/target")}
    free = (name for name in map("testnet{}".format, count()) if name not in taken)
    for interface in devices.iterfind("interface"):
        if interface.find("mac") is None:
            address = b"\x52\x54\x00" + token_bytes(3)
            interface.insert(0, Element("mac", address=address.hex(":")))
        if interface.find("target") is None:
            put(interface, "target", dev=next(free))
