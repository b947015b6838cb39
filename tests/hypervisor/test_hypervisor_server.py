"""The hypervisor behind a server, asked by generated clients: streams, events, many at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from tempfile import TemporaryDirectory

import pytest
from hypervisor.hosts import definition

from libvirt_rpc.remote_protocol.client import RemoteClient
from libvirt_rpc.remote_protocol.types import (
    RemoteDomainEventCallbackLifecycleMsg,
    RemoteDomainEventLifecycleMsg,
    RemoteNonnullStorageVol,
)
from rpcgen.examples.hypervisor.hypervisor import Hypervisor
from rpcgen.examples.hypervisor.model.limits import PAGE
from rpcgen.runtime import Hole, RemoteError, Server, StreamCall, connect

DEADLINE = 30.0
"""Seconds for what takes a moment."""

SPARSE = 1


class Watched(Hypervisor):
    """Says when an upload is over, however it ended."""

    def __init__(self) -> None:
        super().__init__()
        self.uploaded = threading.Event()

    def storage_vol_upload(
        self,
        call: StreamCall[None],
        vol: RemoteNonnullStorageVol,
        offset: int,
        length: int,
        flags: int,
    ) -> None:
        try:
            super().storage_vol_upload(call, vol, offset, length, flags)
        finally:
            self.uploaded.set()


@pytest.fixture
def hypervisor() -> Watched:
    return Watched()


@pytest.fixture
def address(hypervisor: Watched) -> Iterator[str]:
    """Where the hypervisor listens."""
    with (
        TemporaryDirectory(prefix="rpc") as folder,  # short: the path of a socket has 107 bytes
        Server([hypervisor], listen=[f"unix://{folder}/s"]) as server,
    ):
        yield server.addresses[0]


@pytest.fixture
def remote(address: str) -> Iterator[RemoteClient]:
    """A client that has opened the hypervisor."""
    with connect(address) as connection:
        client = RemoteClient(connection)
        client.connect_open("test:///default")
        yield client


def new_volume(remote: RemoteClient, size: int) -> RemoteNonnullStorageVol:
    pool = remote.storage_pool_lookup_by_name("default-pool")
    xml = f"<volume><name>v</name><capacity>{size}</capacity><allocation>0</allocation></volume>"
    return remote.storage_vol_create_xml(pool, xml)


def test_a_screenshot(remote: RemoteClient) -> None:
    with remote.domain_screenshot(remote.domain_lookup_by_name("test"), 0) as stream:
        assert stream.reply == "image/png"
        picture = b"".join(stream)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\x40\0\0\0\xc8")
    with pytest.raises(RemoteError, match="there is no screen 1"):
        remote.domain_screenshot(remote.domain_lookup_by_name("test"), 1)


def test_a_console_both_ways(remote: RemoteClient) -> None:
    test = remote.domain_lookup_by_name("test")
    with remote.domain_open_console(test, None) as stream:
        for line in (b"one", b"two", b"x" * 10_000):
            stream.write(line)
            echo = b""
            while len(echo) < len(line):
                echo += stream.read()
            assert echo == line
    remote.domain_destroy(test)
    with pytest.raises(RemoteError, match="domain is not running"):
        remote.domain_open_console(test, None)


def test_data_and_holes(remote: RemoteClient) -> None:
    vol = new_volume(remote, 8 * PAGE)
    with remote.storage_vol_upload(vol, PAGE, 0, SPARSE) as stream:
        stream.write(b"abc")
        stream.write_hole(3 * PAGE - 3)
        stream.write(b"def")
    with remote.storage_vol_download(vol, 0, 0, SPARSE) as stream:
        sections = list(stream.sections())
    assert sections == [
        Hole(PAGE),
        b"abc".ljust(PAGE, b"\0"),
        Hole(2 * PAGE),
        b"def".ljust(PAGE, b"\0"),
        Hole(3 * PAGE),
    ]
    with remote.storage_vol_download(vol, 0, 0) as stream:
        data = b"".join(stream)
    assert data == b"".join(bytes(one.length) if isinstance(one, Hole) else one for one in sections)
    with remote.storage_vol_upload(vol, 0, 0, SPARSE) as stream:
        stream.write_hole(8 * PAGE)
    assert remote.storage_vol_get_info(vol).allocation == 0


def test_an_upload_that_is_given_up(remote: RemoteClient, hypervisor: Watched) -> None:
    vol = new_volume(remote, PAGE)
    stream = remote.storage_vol_upload(vol, 0, 0)
    stream.write(b"abc")
    stream.abort()
    assert hypervisor.uploaded.wait(DEADLINE)
    remote.storage_vol_delete(vol)


def test_an_upload_whose_client_dies(
    address: str, remote: RemoteClient, hypervisor: Watched
) -> None:
    vol = new_volume(remote, PAGE)
    with connect(address) as connection:
        other = RemoteClient(connection)
        other.connect_open(None)
        other.storage_vol_upload(vol, 0, 0).write(b"abc")
        with pytest.raises(RemoteError, match="is still in use"):
            remote.storage_vol_delete(vol)
    assert hypervisor.uploaded.wait(DEADLINE)
    remote.storage_vol_delete(vol)


def test_events_while_nobody_calls(address: str, remote: RemoteClient) -> None:
    told: Queue[RemoteDomainEventCallbackLifecycleMsg | RemoteDomainEventLifecycleMsg] = Queue()
    with connect(address) as connection:
        listener = RemoteClient(connection)
        listener.connect_open("")
        listener.on_domain_event_callback_lifecycle(told.put)
        listener.on_domain_event_lifecycle(told.put)
        test = listener.domain_lookup_by_name("test")
        number = listener.connect_domain_event_callback_register_any(0, test)
        remote.domain_suspend(test)
        first = told.get(timeout=DEADLINE)
        suspended = RemoteDomainEventLifecycleMsg(test, 3, 0)
        assert first == RemoteDomainEventCallbackLifecycleMsg(number, suspended)
        listener.connect_domain_event_callback_deregister_any(number)
        listener.connect_domain_event_register()
        remote.domain_resume(test)
        assert told.get(timeout=DEADLINE) == RemoteDomainEventLifecycleMsg(test, 4, 0)
    remote.domain_suspend(test)
    assert told.empty()


def test_a_closed_session_is_closed(address: str) -> None:
    with connect(address) as connection:
        remote = RemoteClient(connection)
        remote.connect_open("test:///default")
        assert remote.connect_is_secure() == 1
        remote.connect_close()


def test_many_at_once(address: str, remote: RemoteClient) -> None:
    """Lives of many domains, side by side and against each other, leave nothing behind."""

    def live(number: int) -> None:
        with connect(address) as connection:
            client = RemoteClient(connection)
            client.connect_open("test:///default")
            own = definition(f"d{number}", f"11111111-2222-3333-4444-{number:012}").xml()
            test = client.domain_lookup_by_name("test")
            for _ in range(5):
                dom = client.domain_define_xml(own)
                client.domain_create(dom)
                client.domain_snapshot_create_xml(
                    dom, "<domainsnapshot><name>s</name></domainsnapshot>"
                )
                try:
                    client.domain_suspend(test)
                    client.domain_resume(test)
                except RemoteError as error:
                    assert "running" in str(error) or "paused" in str(error)  # noqa: PT017
                client.domain_destroy(dom)
                client.domain_undefine_flags(dom, 2)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(live, range(8)))
    assert [domain.name for domain in remote.connect_list_all_domains(1).domains] == ["test"]
