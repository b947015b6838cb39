"""What the host claims to be: its processors, its memory, its guests' hardware.

The same as libvirt's test driver, so that tools print the same of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element, SubElement

from rpcgen.examples.hypervisor.model import documents

TYPE: Final = "TEST"
VERSION: Final = 2
"""0.0.2, as libvirt counts: major * 1,000,000 + minor * 1,000 + release."""
LIBVIRT_VERSION: Final = 9_000_000
"""9.0.0, whose protocol is spoken."""

OS_TYPE: Final = "linux"
SCHEDULER: Final = "fair"
SECURITY_MODEL: Final = "testSecurity"
SECURITY_LABEL: Final = "libvirt-test"

CPU_MODEL: Final = "i686"
CPU_MHZ: Final = 1400
MEMORY: Final = 3_145_728
"""KiB; the test driver gives the same number for the bytes that are free."""
SOCKETS: Final = 2
CORES: Final = 2
THREADS: Final = 2
CPUS: Final = 16
GUEST_CPUS: Final = 8
"""Processors that a guest can use."""
ONLINE: Final = (0, 2, 4)
"""Processors that are online, as a map of them says."""


class Cell(NamedTuple):
    """A NUMA cell: its memory in KiB, also the bytes that are free, and the size of its pages."""

    memory: int
    page: int


NUMA: Final = (Cell(2_097_152, 4), Cell(4_194_304, 8))
_HUGE_PAGES: Final = (2048, 1_048_576)


def capabilities() -> str:
    """What the host can do, as XML in the layout of libvirt's."""
    root = Element("capabilities")
    root.append(_host())
    root.extend(_guest(os_type) for os_type in ("hvm", "xen"))
    text = documents.write(root).replace("<doi/>", "<doi></doi>")
    for part in ("  <host>", "  <guest>", "</capabilities>"):
        text = text.replace(f"\n{part}", f"\n\n{part}")
    return text


def _host() -> Element:
    host = Element("host")
    cpu = SubElement(host, "cpu")
    SubElement(cpu, "arch").text = CPU_MODEL
    _features(cpu)
    for size in (*(cell.page for cell in NUMA), *_HUGE_PAGES):
        SubElement(cpu, "pages", unit="KiB", size=str(size))
    SubElement(host, "power_management")
    SubElement(host, "iommu", support="no")
    cells = SubElement(SubElement(host, "topology"), "cells", num=str(len(NUMA)))
    cells.extend(_cell(number, cell) for number, cell in enumerate(NUMA))
    secmodel = SubElement(host, "secmodel")
    SubElement(secmodel, "model").text = SECURITY_MODEL
    SubElement(secmodel, "doi")
    return host


def _cell(number: int, cell: Cell) -> Element:
    found = Element("cell", id=str(number))
    SubElement(found, "memory", unit="KiB").text = str(cell.memory)
    SubElement(found, "pages", unit="KiB", size=str(cell.page)).text = "524288"
    for size in _HUGE_PAGES:
        SubElement(found, "pages", unit="KiB", size=str(size)).text = "0"
    SubElement(found, "cpus", num=str(CPUS // len(NUMA))).extend(_cpus(number))
    return found


def _cpus(cell: int) -> Iterator[Element]:
    count = CPUS // len(NUMA)
    for core in range(count):
        number = str(cell * count + core)
        yield Element(
            "cpu",
            id=number,
            socket_id=str(cell),
            die_id="0",
            core_id=str(core),
            siblings=number,
        )


def _guest(os_type: str) -> Element:
    guest = Element("guest")
    SubElement(guest, "os_type").text = os_type
    arch = SubElement(guest, "arch", name=CPU_MODEL)
    SubElement(arch, "wordsize").text = "32"
    SubElement(arch, "emulator").text = "/usr/bin/test-hv"
    SubElement(arch, "domain", type="test")
    _features(guest)
    return guest


def _features(parent: Element) -> None:
    features = SubElement(parent, "features")
    SubElement(features, "pae")
    SubElement(features, "nonpae")
