"""The transport ``ext``: our session to a real libvirtd, and the real virsh to our hypervisor."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest
from interop.daemons import DEADLINE, Libvirtd, virsh
from relay import make_relay

from rpcgen import libvirt
from rpcgen.examples.hypervisor.hypervisor import Hypervisor
from rpcgen.runtime import ConnectionClosed, Server


def uri_of(folder: Path, socket_path: Path | str) -> str:
    return f"test+ext:///default?command={quote(str(make_relay(folder, socket_path)))}"


def test_a_session_through_a_program(libvirtd: Libvirtd, tmp_path: Path) -> None:
    uri = uri_of(tmp_path, libvirtd.socket)
    with libvirt.open(uri, timeout=DEADLINE) as session:
        assert session.remote.domain_lookup_by_name("test").name == "test"


def test_a_session_of_asyncio_through_a_program(libvirtd: Libvirtd, tmp_path: Path) -> None:
    async def main() -> None:
        async with libvirt.open_async(
            uri_of(tmp_path, libvirtd.socket), timeout=DEADLINE
        ) as session:
            assert (await session.remote.domain_lookup_by_name("test")).name == "test"

    asyncio.run(main())


def test_what_the_program_says_when_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(ConnectionClosed, match=r"(?s)my relay: it has ended: .*No such file"):
        libvirt.open(uri_of(tmp_path, tmp_path / "nobody"), timeout=DEADLINE)


def test_virsh_through_a_program(tmp_path: Path) -> None:
    with (
        TemporaryDirectory(prefix="rpc") as folder,
        Server([Hypervisor()], listen=[f"unix://{folder}/s"]),
    ):
        done = virsh(uri_of(tmp_path, f"{folder}/s"), "list", "--name")
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["test"], "")
