"""Definitions of domains, networks and pools: filled in as libvirt does, or refused in its words."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from rpcgen.examples.hypervisor.model import volumes
from rpcgen.examples.hypervisor.model.definition import Definition
from rpcgen.examples.hypervisor.model.errors import LibvirtError
from rpcgen.examples.hypervisor.model.networks import NetworkDefinition
from rpcgen.examples.hypervisor.model.pool import PoolDefinition
from rpcgen.examples.hypervisor.model.sizes import kibibytes, scaled

UUID = "11111111-2222-3333-4444-555555555555"
MACHINE = "<memory>1024</memory><os><type>hvm</type></os>"
NAMED = f"<name>web</name><uuid>{UUID}</uuid>"


def domain(content: str) -> Definition:
    return Definition.parse(f"<domain type='test'>{content}</domain>")


def test_a_small_domain_gets_all_it_needs() -> None:
    assert domain(NAMED + MACHINE).xml() == f"""\
<domain type='test'>
  <name>web</name>
  <uuid>{UUID}</uuid>
  <memory unit='KiB'>1024</memory>
  <currentMemory unit='KiB'>1024</currentMemory>
  <vcpu placement='static'>1</vcpu>
  <os>
    <type arch='i686'>hvm</type>
    <boot dev='hd'/>
  </os>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
  </devices>
</domain>
"""


def test_the_form_is_stable_and_the_id_is_of_the_moment() -> None:
    definition = domain(NAMED + MACHINE)
    running = definition.xml(7)
    assert running.startswith("<domain type='test' id='7'>")
    assert Definition.parse(running).xml() == definition.xml()


def test_what_is_not_known_stays_before_the_devices() -> None:
    text = domain(f"<devices/><x:y/>{MACHINE}<seclabel/>{NAMED}").xml()
    assert re.findall("<(name|uuid|x:y|seclabel|devices)", text) == [
        *("name", "uuid", "x:y", "seclabel", "devices"),
    ]


def test_a_uuid_is_made_up_once() -> None:
    first, second = (domain(f"<name>web</name>{MACHINE}") for _ in range(2))
    assert first.uuid != second.uuid
    assert Definition.parse(first.xml()).uuid == first.uuid


def test_sizes_and_numbers() -> None:
    definition = domain(
        f"{NAMED}<memory unit='MiB'>2</memory><currentMemory unit='b'>1000</currentMemory>"
        "<vcpu current='2'>4</vcpu><os><type>hvm</type></os>"
    )
    assert (definition.max_memory, definition.memory) == (2048, 1)
    assert (definition.max_vcpus, definition.vcpus) == (4, 2)


def test_devices_are_completed() -> None:
    definition = domain(f"""{NAMED}{MACHINE}<devices>
        <disk><target dev='vda'/></disk>
        <disk><source file='/b'/><target dev='sdb'/></disk>
        <disk><source dev='/dev/c'/><target dev='hdc' bus='sata'/></disk>
        <interface><source network='default'/></interface>
        <interface><mac address='52:54:00:00:00:01'/><target dev='testnet0'/></interface>
        <interface/>
        </devices>""")
    assert re.findall("bus='(.*?)'", definition.xml()) == ["virtio", "scsi", "sata"]
    assert definition.disks() == [("vda", ""), ("sdb", "/b"), ("hdc", "/dev/c")]
    assert definition.disk("/b") == definition.disk("sdb")
    assert [one.target for one in definition.interfaces()] == ["testnet1", "testnet0", "testnet2"]
    assert len({one.mac for one in definition.interfaces()}) == 3
    assert definition.interface("52:54:00:00:00:01").target == "testnet0"
    for name in ("", "vdz"):
        with pytest.raises(LibvirtError, match="not assigned to domain"):
            definition.disk(name)
        with pytest.raises(LibvirtError, match="not a known interface"):
            definition.interface(name)


def test_a_copy_is_another() -> None:
    first = domain(NAMED + MACHINE)
    second = first.copy()
    second.rename("other")
    second.set_vcpus(2, 8)
    second.max_memory = 512
    assert (first.name, first.vcpus, first.memory) == ("web", 1, 1024)
    assert (second.name, second.vcpus, second.memory) == ("other", 2, 512)
    assert "<name>other</name>" in second.xml()


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (MACHINE, 21, "missing name information"),
        (f"<name/>{MACHINE}", 21, "missing name information"),
        (f"<name>a/b</name>{MACHINE}", 27, "XML error: name a/b cannot contain '/'"),
        (f"<name>a</name><uuid>z</uuid>{MACHINE}", 1, "internal error: malformed uuid element"),
        ("<name>a</name><memory>1</memory>", 27, "XML error: an os <type> must be specified"),
        (
            "<name>a</name><memory>1</memory><os><type>x</type></os>",
            67,
            "unsupported configuration: unknown OS type 'x'",
        ),
        (
            "<name>a</name><os><type>hvm</type></os>",
            27,
            "XML error: Memory size must be specified via <memory> or in the <numa> configuration",
        ),
        (
            "<name>a</name><memory>-1</memory><os><type>hvm</type></os>",
            27,
            "XML error: Invalid value '-1' for element or attribute './memory[1]'",
        ),
        (
            "<name>a</name><memory unit='x'>1</memory><os><type>hvm</type></os>",
            8,
            "invalid argument: unknown suffix 'x'",
        ),
        (
            "<name>a</name><memory unit='E'>99</memory><os><type>hvm</type></os>",
            82,
            "numerical overflow: value too large: 99E",
        ),
        (
            f"<name>a</name><vcpu>-2</vcpu>{MACHINE}",
            27,
            "XML error: maximum vcpus count must be an integer",
        ),
        (
            f"<name>a</name><vcpu>33</vcpu>{MACHINE}",
            67,
            "unsupported configuration: 33 vCPUs are not from 1 to 32",
        ),
        (
            f"<name>a</name><vcpu current='3'>2</vcpu>{MACHINE}",
            67,
            "unsupported configuration: maximum vCPU count must not be less than current vCPU count",
        ),
        (
            f"<name>a</name><title>b\nc</title>{MACHINE}",
            27,
            "XML error: Domain title can't contain newlines",
        ),
        (
            f"<name>a</name>{MACHINE}<devices><disk><target/></disk></devices>",
            27,
            "XML error: missing target of a disk",
        ),
    ],
)
def test_a_domain_is_refused(content: str, code: int, message: str) -> None:
    with pytest.raises(LibvirtError) as caught:
        domain(content)
    assert (caught.value.code, caught.value.message) == (code, message)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("<domain", "internal error: missing domain type attribute"),
        ("<domain type=''", "internal error: missing domain type attribute"),
        ("<domain type='x'", "unsupported configuration: invalid domain type x"),
    ],
)
def test_a_domain_has_a_type(start: str, message: str) -> None:
    with pytest.raises(LibvirtError, match=message):
        Definition.parse(f"{start}>{NAMED}{MACHINE}</domain>")


def test_a_network_is_completed() -> None:
    definition = NetworkDefinition.parse(
        f"<network><ip address='10.0.0.1'/><uuid>{UUID}</uuid><name>lan</name></network>"
    )
    assert definition.bridge == ""
    assert definition.xml() == f"""\
<network>
  <name>lan</name>
  <uuid>{UUID}</uuid>
  <bridge stp='on' delay='0'/>
  <ip address='10.0.0.1'>
  </ip>
</network>
"""


def test_a_pool_is_completed() -> None:
    definition = PoolDefinition.parse(
        "<pool type='dir'><name>p</name><capacity>1</capacity><target><path>/p/</path></target></pool>"
    )
    assert (definition.name, definition.path, len(definition.uuid)) == ("p", "/p", 16)


@pytest.mark.parametrize(
    ("parse", "xml", "code", "message"),
    [
        (NetworkDefinition.parse, "<network/>", 21, "missing name information"),
        (
            NetworkDefinition.parse,
            "<network><name>a</name><uuid>z</uuid></network>",
            1,
            "internal error: malformed uuid element",
        ),
        (
            PoolDefinition.parse,
            "<pool/>",
            27,
            "XML error: Missing required attribute 'type' in element 'pool'",
        ),
        (
            PoolDefinition.parse,
            "<pool type='x'/>",
            27,
            "XML error: Invalid value for attribute 'type' in element 'pool': 'x'.",
        ),
        (
            PoolDefinition.parse,
            "<pool type='netfs'/>",
            67,
            "unsupported configuration: only pools of type 'dir' are available, not 'netfs'",
        ),
        (
            PoolDefinition.parse,
            "<pool type='dir'/>",
            27,
            "XML error: missing pool source name element",
        ),
        (
            PoolDefinition.parse,
            "<pool type='dir'><name>a</name><target><path>rel</path></target></pool>",
            27,
            "XML error: missing storage pool target path",
        ),
        (
            PoolDefinition.parse,
            "<pool type='dir'><name>a</name><uuid>z</uuid></pool>",
            27,
            "XML error: malformed uuid element",
        ),
        (volumes.parse, "<volume/>", 27, "XML error: missing volume name element"),
        (
            volumes.parse,
            "<volume><name>a</name><capacity>-1</capacity></volume>",
            27,
            "XML error: malformed capacity element",
        ),
        (
            volumes.parse,
            "<volume><name>a/b</name></volume>",
            27,
            "XML error: name a/b cannot contain '/'",
        ),
    ],
)
def test_others_are_refused(
    parse: Callable[[str], object], xml: str, code: int, message: str
) -> None:
    with pytest.raises(LibvirtError) as caught:
        parse(xml)
    assert (caught.value.code, caught.value.message) == (code, message)


@pytest.mark.parametrize(
    ("number", "unit", "size"),
    [
        (3, "", 3),
        (3, "bytes", 3),
        (3, "k", 3072),
        (3, "KiB", 3072),
        (3, "KB", 3000),
        (3, "M", 3 << 20),
        (7, "EiB", 7 << 60),
    ],
)
def test_units(number: int, unit: str, size: int) -> None:
    assert scaled(number, unit) == size


def test_a_begun_kibibyte_counts() -> None:
    assert [kibibytes(size) for size in (0, 1, 1024, 1025)] == [0, 1, 1, 2]
