"""Generated clients call a real virtlockd and a real virtlogd."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from interop.daemons import Virtlockd, Virtlogd

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from libvirt_rpc.lock_protocol.client import VirLockSpaceProtocolClient
from libvirt_rpc.lock_protocol.types import VirLockSpaceProtocolOwner
from libvirt_rpc.log_protocol.client import VirLogManagerProtocolClient
from libvirt_rpc.log_protocol.types import VirLogManagerProtocolDomain
from rpcgen.runtime import RemoteError, connect

AUTOCREATE = 2


@contextmanager
def registered(virtlockd: Virtlockd, number: int) -> Iterator[VirLockSpaceProtocolClient]:
    with connect(f"unix://{virtlockd.socket}") as connection:
        locks = VirLockSpaceProtocolClient(connection)
        # Not this process: a daemon that loses its owner with leases held would kill it.
        owner = VirLockSpaceProtocolOwner(uuid.uuid4().bytes, f"owner-{number}", number, 1)
        locks.register(owner)
        yield locks


def test_a_lock_is_held_refused_and_released(virtlockd: Virtlockd, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.touch()
    with registered(virtlockd, 1) as one, registered(virtlockd, 2) as two:
        one.acquire_resource("", str(disk))
        with pytest.raises(RemoteError) as caught:
            two.acquire_resource("", str(disk))
        assert caught.value.code is VirErrorNumber.VIR_ERR_RESOURCE_BUSY
        assert caught.value.domain is VirErrorDomain.VIR_FROM_LOCKSPACE
        one.release_resource("", str(disk))
        two.acquire_resource("", str(disk))
        two.release_resource("", str(disk))


def test_a_lease_makes_and_removes_its_file(virtlockd: Virtlockd, tmp_path: Path) -> None:
    lease = tmp_path / "lease"
    with registered(virtlockd, 3) as locks:
        locks.acquire_resource("", str(lease), AUTOCREATE)
        assert lease.exists()
        locks.release_resource("", str(lease))
        assert not lease.exists()


def test_who_is_not_registered_is_refused(virtlockd: Virtlockd) -> None:
    with connect(f"unix://{virtlockd.socket}") as connection:
        locks = VirLockSpaceProtocolClient(connection)
        with pytest.raises(RemoteError) as caught:
            locks.acquire_resource("", "/nothing")
        assert caught.value.code is VirErrorNumber.VIR_ERR_OPERATION_INVALID


def test_a_log_file_arrives_as_a_descriptor(virtlogd: Virtlogd, tmp_path: Path) -> None:
    log = tmp_path / "guest.log"
    with connect(f"unix://{virtlogd.socket}") as connection:
        logs = VirLogManagerProtocolClient(connection)
        domain = VirLogManagerProtocolDomain(uuid.uuid4().bytes, "guest")
        position, (pipe,) = logs.domain_open_log_file("qemu", domain, str(log))
        assert position.offset == 0
        assert log.stat().st_ino == position.inode
        os.write(pipe, b"what the guest says\n")
        os.close(pipe)
        logs.domain_append_log_file("qemu", domain, str(log), "what we say\n")
        read = logs.domain_read_log_file(str(log), position, 1000)
        assert "what we say" in read
