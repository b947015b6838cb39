"""Generated clients, sync and asyncio, call a real libvirtd: its test driver and its storage driver."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from queue import Queue
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from interop.daemons import DEADLINE, Libvirtd, Pool

from libvirt_rpc.libvirt_common.types import (
    VirDomainEventType,
    VirDomainState,
    VirErrorDomain,
    VirErrorLevel,
    VirErrorNumber,
)
from libvirt_rpc.remote_protocol.client import AsyncRemoteClient, RemoteClient
from libvirt_rpc.remote_protocol.types import RemoteNonnullStorageVol
from rpcgen.runtime import Hole, RemoteError, connect, connect_async

XML = """
<domain type='test'><name>{name}</name><memory>8192</memory><vcpu>1</vcpu>
<os><type>hvm</type></os></domain>
"""
WITH_CHILDREN, METADATA_ONLY = 1, 2
SNAPSHOTS_METADATA = 2
"""A flag of DOMAIN_UNDEFINE_FLAGS (VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)."""

SPARSE = 1
MIB = 1 << 20
LIFECYCLE = 0


@contextmanager
def opened(libvirtd: Libvirtd, name: str = "test:///default") -> Iterator[RemoteClient]:
    with connect(f"unix://{libvirtd.socket}") as connection:
        remote = RemoteClient(connection)
        assert [int(method) for method in remote.auth_list()] == [0]
        remote.connect_open(name, 0)
        yield remote
        remote.connect_close()


@asynccontextmanager
async def opened_async(
    libvirtd: Libvirtd, name: str = "test:///default"
) -> AsyncIterator[AsyncRemoteClient]:
    async with connect_async(f"unix://{libvirtd.socket}") as connection:
        remote = AsyncRemoteClient(connection)
        await remote.connect_open(name, 0)
        yield remote
        await remote.connect_close()


class Awaitable:
    """A sync client with the methods of an asyncio one, so that both can play one script."""

    def __init__(self, client: RemoteClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def call(*arguments: Any, **named: Any) -> Any:
            return getattr(self._client, name)(*arguments, **named)

        return call


def play(libvirtd: Libvirtd, how: str, script: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Run a script with one kind of client."""

    async def main() -> None:
        if how == "asyncio":
            async with opened_async(libvirtd) as remote:
                await script(remote)
        else:
            with opened(libvirtd) as sync:
                await script(Awaitable(sync))

    asyncio.run(asyncio.wait_for(main(), DEADLINE))


both = pytest.mark.parametrize("how", ["sync", "asyncio"])


@both
def test_a_domain_from_definition_to_removal(libvirtd: Libvirtd, how: str) -> None:
    async def script(remote: Any) -> None:
        name = f"born-{how}"
        domain = await remote.domain_define_xml(XML.format(name=name))
        assert (domain.name, domain.id) == (name, -1)
        assert await remote.domain_lookup_by_uuid(domain.uuid) == domain
        listed = await remote.connect_list_all_domains(1)
        assert name in {one.name for one in listed.domains}
        assert listed.ret == len(listed.domains)
        await remote.domain_create(domain)
        running = await remote.domain_lookup_by_name(name)
        assert running.id > 0
        info = await remote.domain_get_info(running)
        assert (info.state, info.max_mem) == (VirDomainState.VIR_DOMAIN_RUNNING, 8192)
        text = await remote.domain_get_xml_desc(running, 0)
        assert ET.fromstring(text).findtext("name") == name  # noqa: S314  (the peer's)
        await remote.domain_destroy(running)
        await remote.domain_undefine(domain)
        with pytest.raises(RemoteError):
            await remote.domain_lookup_by_name(name)

    play(libvirtd, how, script)


@both
def test_snapshots_have_parents_and_go_with_their_children(libvirtd: Libvirtd, how: str) -> None:
    async def script(remote: Any) -> None:
        domain = await remote.domain_lookup_by_name("test")
        xml = "<domainsnapshot><name>{}</name></domainsnapshot>"
        parent = await remote.domain_snapshot_create_xml(domain, xml.format("one"))
        child = await remote.domain_snapshot_create_xml(domain, xml.format("two"))
        names = await remote.domain_snapshot_list_names(domain, 10)
        assert sorted(names) == ["one", "two"]
        assert await remote.domain_snapshot_get_parent(child) == parent
        # The test driver has nothing but metadata, and refuses the flag.
        with pytest.raises(RemoteError) as caught:
            await remote.domain_snapshot_delete(parent, METADATA_ONLY)
        assert caught.value.code is VirErrorNumber.VIR_ERR_INVALID_ARG
        await remote.domain_snapshot_delete(parent, WITH_CHILDREN)
        assert await remote.domain_snapshot_num(domain) == 0

    play(libvirtd, how, script)


@both
def test_only_the_metadata_of_snapshots_goes_with_a_domain(libvirtd: Libvirtd, how: str) -> None:
    async def script(remote: Any) -> None:
        domain = await remote.domain_define_xml(XML.format(name=f"kept-{how}"))
        await remote.domain_snapshot_create_xml(domain, "<domainsnapshot/>")
        with pytest.raises(RemoteError) as caught:
            await remote.domain_undefine_flags(domain, 0)
        assert caught.value.code is VirErrorNumber.VIR_ERR_OPERATION_INVALID
        assert await remote.domain_snapshot_num(domain) == 1
        await remote.domain_undefine_flags(domain, SNAPSHOTS_METADATA)
        with pytest.raises(RemoteError):
            await remote.domain_lookup_by_name(domain.name)

    play(libvirtd, how, script)


@both
def test_the_error_of_a_missing_domain_has_all_its_fields(libvirtd: Libvirtd, how: str) -> None:
    async def script(remote: Any) -> None:
        with pytest.raises(RemoteError) as caught:
            await remote.domain_lookup_by_name("nobody")
        error = caught.value
        assert error.code is VirErrorNumber.VIR_ERR_NO_DOMAIN
        assert error.domain is VirErrorDomain.VIR_FROM_TEST
        assert error.level is VirErrorLevel.VIR_ERR_ERROR
        assert (error.dom, error.net, error.str3) == (None, None, None)
        assert error.str1 is not None
        assert (error.int1, error.int2) == (-1, -1)
        assert (await remote.domain_lookup_by_name("test")).name == "test"

    play(libvirtd, how, script)


@both
def test_calls_that_the_daemon_refuses_cost_nobody_else(libvirtd: Libvirtd, how: str) -> None:
    async def script(remote: Any) -> None:
        domain = await remote.domain_lookup_by_name("test")
        calls = [remote.domain_get_info(domain) for _ in range(50)]
        calls += [remote.domain_lookup_by_name(f"nobody-{number}") for number in range(50)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(one) for one in results[50:]] == [RemoteError] * 50
        states: set[Any] = {getattr(one, "state", one) for one in results[:50]}
        assert states == {VirDomainState.VIR_DOMAIN_RUNNING}

    play(libvirtd, how, script)


def test_lifecycle_events_reach_a_handler(libvirtd: Libvirtd) -> None:
    events = Queue[Any]()
    with opened(libvirtd) as remote:
        subscription = remote.on_domain_event_callback_lifecycle(events.put)
        number = remote.connect_domain_event_callback_register_any(LIFECYCLE, None)
        domain = remote.domain_define_xml(XML.format(name="watched"))
        remote.domain_undefine(domain)
        seen = [events.get(timeout=DEADLINE) for _ in range(2)]
        assert [(one.callback_id, one.msg.dom.name, one.msg.event) for one in seen] == [
            (number, "watched", VirDomainEventType.VIR_DOMAIN_EVENT_DEFINED),
            (number, "watched", VirDomainEventType.VIR_DOMAIN_EVENT_UNDEFINED),
        ]
        remote.connect_domain_event_callback_deregister_any(number)
        subscription.cancel()


def test_lifecycle_events_reach_an_iterator(libvirtd: Libvirtd) -> None:
    async def main() -> None:
        async with opened_async(libvirtd) as remote:
            events = remote.on_domain_event_callback_lifecycle()
            await remote.connect_domain_event_callback_register_any(LIFECYCLE, None)
            domain = await remote.domain_lookup_by_name("test")
            await remote.domain_destroy(domain)
            message = await anext(aiter(events))
            assert (message.msg.dom.name, message.msg.event) == (
                "test",
                VirDomainEventType.VIR_DOMAIN_EVENT_STOPPED,
            )

    asyncio.run(asyncio.wait_for(main(), DEADLINE))


def test_a_screenshot_comes_as_a_stream(libvirtd: Libvirtd) -> None:
    with opened(libvirtd) as remote:
        domain = remote.domain_lookup_by_name("test")
        with remote.domain_screenshot(domain, 0) as stream:
            assert stream.reply == "image/png"
            picture = b"".join(stream)

    async def main() -> bytes:
        async with opened_async(libvirtd) as remote:
            domain = await remote.domain_lookup_by_name("test")
            async with remote.domain_screenshot(domain, 0) as stream:
                return b"".join([chunk async for chunk in stream])

    assert picture.startswith(b"\x89PNG\r\n")
    assert asyncio.run(asyncio.wait_for(main(), DEADLINE)) == picture


# Storage


def volume(remote: RemoteClient, name: str, size: int) -> RemoteNonnullStorageVol:
    pool = remote.storage_pool_lookup_by_name("pool")
    xml = (
        f"<volume><name>{name}</name><allocation>0</allocation><capacity>{size}</capacity></volume>"
    )
    return remote.storage_vol_create_xml(pool, xml)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_64_mib_go_up_and_come_back(libvirtd: Libvirtd, storage_pool: Pool, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(MIB) * 64)
    seen: list[int] = []
    with opened(libvirtd, libvirtd.storage) as remote:
        target = volume(remote, "big", 64 * MIB)
        with source.open("rb") as file, remote.storage_vol_upload(target, 0, 0) as stream:
            assert stream.upload(file, progress=seen.append) == 64 * MIB
        assert digest(storage_pool.folder / "big") == digest(source)
        back = tmp_path / "back"
        with back.open("wb") as file, remote.storage_vol_download(target, 0, 0) as stream:
            assert stream.download(file, progress=seen.append) == 64 * MIB
    assert digest(back) == digest(source)
    assert seen[-1] == 64 * MIB


def test_64_mib_with_asyncio(libvirtd: Libvirtd, storage_pool: Pool, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(os.urandom(MIB) * 64)
    with opened(libvirtd, libvirtd.storage) as sync:
        target = volume(sync, "big", 64 * MIB)

    async def main() -> None:
        async with opened_async(libvirtd, libvirtd.storage) as remote:
            with source.open("rb") as file:
                async with remote.storage_vol_upload(target, 0, 0) as stream:
                    assert await stream.upload(file) == 64 * MIB
            with back.open("wb") as file:
                async with remote.storage_vol_download(target, 0, 0) as stream:
                    assert await stream.download(file) == 64 * MIB

    asyncio.run(asyncio.wait_for(main(), DEADLINE))
    assert digest(storage_pool.folder / "big") == digest(source)
    assert digest(back) == digest(source)


def sparse_file(path: Path) -> int:
    """A file with two islands of data in 48 MiB of nothing; returns what it takes on disk."""
    with path.open("wb") as file:
        for place in (0, 32 * MIB):
            file.seek(place)
            file.write(os.urandom(MIB))
        file.truncate(48 * MIB)
    return path.stat().st_blocks


def test_holes_stay_holes_both_ways(libvirtd: Libvirtd, storage_pool: Pool, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    blocks = sparse_file(source)
    with opened(libvirtd, libvirtd.storage) as remote:
        target = volume(remote, "sparse", 48 * MIB)
        with source.open("rb") as file, remote.storage_vol_upload(target, 0, 0, SPARSE) as stream:
            stream.upload(file)
        stored = storage_pool.folder / "sparse"
        assert digest(stored) == digest(source)
        assert stored.stat().st_blocks <= blocks + 16
        with remote.storage_vol_download(target, 0, 0, SPARSE) as stream:
            sections = list(stream.sections())
        assert sum(one.length for one in sections if isinstance(one, Hole)) == 46 * MIB
        with back.open("wb") as file, remote.storage_vol_download(target, 0, 0, SPARSE) as stream:
            assert stream.download(file) == 48 * MIB
    assert digest(back) == digest(source)
    assert back.stat().st_blocks <= blocks + 16


def test_holes_stay_holes_with_asyncio(
    libvirtd: Libvirtd, storage_pool: Pool, tmp_path: Path
) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    blocks = sparse_file(source)
    with opened(libvirtd, libvirtd.storage) as sync:
        target = volume(sync, "sparse", 48 * MIB)

    async def main() -> None:
        async with opened_async(libvirtd, libvirtd.storage) as remote:
            with source.open("rb") as file:
                async with remote.storage_vol_upload(target, 0, 0, SPARSE) as stream:
                    await stream.upload(file)
            with back.open("wb") as file:
                async with remote.storage_vol_download(target, 0, 0, SPARSE) as stream:
                    await stream.download(file)

    asyncio.run(asyncio.wait_for(main(), DEADLINE))
    for copy in (storage_pool.folder / "sparse", back):
        assert digest(copy) == digest(source)
        assert copy.stat().st_blocks <= blocks + 16


def test_an_upload_that_does_not_fit_fails_in_mid_stream(
    libvirtd: Libvirtd, storage_pool: Pool
) -> None:
    with opened(libvirtd, libvirtd.storage) as remote:
        target = volume(remote, "small", MIB)
        stream = remote.storage_vol_upload(target, 0, MIB)

        def write_on() -> None:
            for _ in range(64):
                stream.write(bytes(MIB))

        with pytest.raises(RemoteError):
            write_on()
        assert remote.storage_pool_lookup_by_name("pool").name == "pool"
