"""Snapshots of libvirt's QEMU driver, which has disks: what goes with a record, and what stays in the image."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers import require
from interop.daemons import DEADLINE, PATH, Libvirtd, running

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from libvirt_rpc.remote_protocol.types import RemoteNonnullDomain
from rpcgen import libvirt
from rpcgen.runtime import RemoteError

PROGRAMS = ("qemu-img", "qemu-system-x86_64")
XML = """
<domain type='qemu'><name>guest</name><memory>8192</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><disk type='file'><driver name='qemu' type='qcow2'/><source file='{disk}'/>
<target dev='vda'/></disk></devices></domain>
"""
SNAPSHOT = "<domainsnapshot><name>{}</name></domainsnapshot>"
NAMES = ["one", "two", "three"]
"""Each is the next one's parent."""

WITH_CHILDREN, METADATA_ONLY = 1, 2
SNAPSHOTS_METADATA = 2
"""A flag of DOMAIN_UNDEFINE_FLAGS (VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)."""


@pytest.fixture(scope="module")
def qemu() -> Iterator[Libvirtd]:
    """A session's libvirtd: its QEMU driver takes no privilege, and touches nothing of the machine's."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=PATH)]
    require(not missing, f"not installed: {', '.join(missing)}")
    with running(Libvirtd, "session") as daemon:
        yield daemon


@dataclass(frozen=True)
class Guest:
    """A domain that has never run, with a snapshot for each of the names.

    Attributes:
        disk: its only image, in qcow2; the driver keeps the snapshots in it.
        uri: for clients of ours.
    """

    domain: RemoteNonnullDomain
    disk: Path
    uri: str

    def images(self) -> set[str]:
        """The names of the snapshots that are in the image."""
        listed = qemu_img("snapshot", "-l", str(self.disk))
        return {line.split()[1] for line in listed.splitlines() if line[0].isdecimal()}


def qemu_img(*arguments: str) -> str:
    done = subprocess.run(
        ["qemu-img", *arguments], capture_output=True, text=True, check=True, timeout=DEADLINE
    )
    return done.stdout


@pytest.fixture
def guest(qemu: Libvirtd) -> Iterator[Guest]:
    """The domain; it and its image are gone afterwards."""
    disk, uri = qemu.folder / "home/disk.qcow2", qemu.through("qemu:///session")
    qemu_img("create", "-q", "-f", "qcow2", str(disk), "1M")
    disk.chmod(0o666)  # the daemon is another user's if we are root
    with libvirt.open(uri, timeout=DEADLINE) as session:
        remote = session.remote
        domain = remote.domain_define_xml(XML.format(disk=disk))
        try:
            for name in NAMES:
                remote.domain_snapshot_create_xml(domain, SNAPSHOT.format(name))
            yield Guest(domain, disk, uri)
        finally:
            if remote.connect_list_all_domains(1).domains:
                remote.domain_undefine_flags(domain, SNAPSHOTS_METADATA)
            disk.unlink()


def test_a_snapshot_is_in_the_image(guest: Guest) -> None:
    assert guest.images() == set(NAMES)
    with libvirt.open(guest.uri, timeout=DEADLINE) as session:
        remote = session.remote
        one, two, _ = (remote.domain_snapshot_lookup_by_name(guest.domain, n) for n in NAMES)
        assert remote.domain_snapshot_get_parent(two) == one
        remote.domain_snapshot_delete(two)
        assert set(remote.domain_snapshot_list_names(guest.domain, 9)) == {"one", "three"}
    assert guest.images() == {"one", "three"}


def test_metadata_only_leaves_the_image(guest: Guest) -> None:
    with libvirt.open(guest.uri, timeout=DEADLINE) as session:
        remote = session.remote
        one, two, three = (remote.domain_snapshot_lookup_by_name(guest.domain, n) for n in NAMES)
        remote.domain_snapshot_delete(two, METADATA_ONLY)
        assert set(remote.domain_snapshot_list_names(guest.domain, 9)) == {"one", "three"}
        assert remote.domain_snapshot_get_parent(three) == one
        with pytest.raises(RemoteError) as caught:
            remote.domain_snapshot_lookup_by_name(guest.domain, "two")
        assert caught.value.code is VirErrorNumber.VIR_ERR_NO_DOMAIN_SNAPSHOT
    assert guest.images() == set(NAMES)


def test_metadata_only_leaves_the_image_with_asyncio(guest: Guest) -> None:
    async def main() -> None:
        async with libvirt.open_async(guest.uri) as session:
            remote = session.remote
            one = await remote.domain_snapshot_lookup_by_name(guest.domain, "one")
            two = await remote.domain_snapshot_lookup_by_name(guest.domain, "two")
            await remote.domain_snapshot_delete(one, METADATA_ONLY)
            assert await remote.domain_snapshot_num(guest.domain) == 2
            with pytest.raises(RemoteError) as caught:
                await remote.domain_snapshot_get_parent(two)
            assert caught.value.code is VirErrorNumber.VIR_ERR_NO_DOMAIN_SNAPSHOT

    asyncio.run(asyncio.wait_for(main(), DEADLINE))
    assert guest.images() == set(NAMES)


@pytest.mark.parametrize(("more", "left"), [(0, {"one"}), (METADATA_ONLY, set(NAMES))])
def test_children_go_with_their_parent(more: int, left: set[str], guest: Guest) -> None:
    with libvirt.open(guest.uri, timeout=DEADLINE) as session:
        remote = session.remote
        two = remote.domain_snapshot_lookup_by_name(guest.domain, "two")
        remote.domain_snapshot_delete(two, WITH_CHILDREN | more)
        assert remote.domain_snapshot_list_names(guest.domain, 9) == ["one"]
    assert guest.images() == left


def test_a_domain_is_kept_while_there_is_metadata(guest: Guest) -> None:
    with libvirt.open(guest.uri, timeout=DEADLINE) as session:
        remote = session.remote
        one = remote.domain_snapshot_lookup_by_name(guest.domain, "one")
        with pytest.raises(RemoteError) as caught:
            remote.domain_undefine_flags(guest.domain, 0)
        assert caught.value.code is VirErrorNumber.VIR_ERR_OPERATION_INVALID
        assert remote.domain_snapshot_num(guest.domain) == len(NAMES)
        remote.domain_snapshot_delete(one, WITH_CHILDREN | METADATA_ONLY)
        remote.domain_undefine_flags(guest.domain, 0)
        assert not remote.connect_list_all_domains(1).domains
    assert guest.images() == set(NAMES)


def test_a_domain_takes_only_the_metadata_along(guest: Guest) -> None:
    with libvirt.open(guest.uri, timeout=DEADLINE) as session:
        session.remote.domain_undefine_flags(guest.domain, SNAPSHOTS_METADATA)
        assert not session.remote.connect_list_all_domains(1).domains
    assert guest.images() == set(NAMES)
