"""The asyncio session: what it says to a server, its events, and what becomes of it when the connection is lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from scripted_driver import DOMAIN, NETWORK, Driver, serving, uri

from libvirt_rpc.libvirt_common.types import (
    VirConnectCloseReason,
    VirDomainEventID,
    VirDrvFeature,
    VirErrorNumber,
)
from libvirt_rpc.remote_protocol import program as rows
from rpcgen.libvirt import aio, open_async
from rpcgen.libvirt.aio_registration import AsyncRegistration
from rpcgen.runtime.client.aio import AsyncConnection
from rpcgen.runtime.errors import (
    AuthError,
    CallTimeout,
    ConnectError,
    ConnectionClosed,
    LocalProtocolError,
)
from rpcgen.runtime.message import RemoteError
from rpcgen.runtime.server import Server

DEADLINE = 20.0
LIFECYCLE = VirDomainEventID.VIR_DOMAIN_EVENT_ID_LIFECYCLE
OPEN = ["auth_list", "connect_open 'test:///default' 0"]


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test, or a part of one, within its time; nothing may be left on the loop."""

    async def judged(**given: Any) -> None:
        async with asyncio.timeout(DEADLINE):
            await test(**given)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    return wraps(test)(lambda **given: asyncio.run(judged(**given)))


@on_a_loop
async def test_what_is_said_from_open_to_close(driver: Driver, server: Server, path: Path) -> None:
    async with open_async(uri(path)) as session:
        assert driver.called() == OPEN
        assert driver.asked == [14, 15]
        assert session.uri == uri(path)
        assert await session.remote.connect_get_hostname() == "host"
    assert driver.called() == ["connect_get_hostname", "connect_close"]


@on_a_loop
async def test_it_can_be_awaited(driver: Driver, server: Server, path: Path) -> None:
    session = await open_async(uri(path), readonly=True, keepalive=(60, 3), timeout=DEADLINE)
    assert driver.called() == ["auth_list", "connect_open 'test:///default' 1"]
    assert driver.asked == [10, 14, 15]
    await session.close()
    await session.close()
    assert driver.called() == ["connect_close"]
    with pytest.raises(ConnectionClosed):
        await session.remote.connect_get_hostname()


@on_a_loop
async def test_without_a_uri_the_server_chooses(
    driver: Driver, server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", f"remote+unix:///?socket={path}")
    async with open_async() as session:
        assert driver.called() == ["auth_list", "connect_open '' 0", "connect_get_uri"]
        assert session.uri == "test:///chosen"


@on_a_loop
async def test_programs_share_the_connection(driver: Driver, server: Server, path: Path) -> None:
    async with open_async(uri(path)) as session:
        for call in (
            session.qemu.domain_agent_command(DOMAIN, "{}", 0),
            session.lxc.domain_open_namespace(DOMAIN),
        ):
            with pytest.raises(RemoteError) as caught:
                await call
            assert caught.value.code == VirErrorNumber.VIR_ERR_RPC
        assert await session.remote.connect_get_hostname() == "host"


@on_a_loop
async def test_features_are_asked_once(driver: Driver, server: Server, path: Path) -> None:
    async with open_async(uri(path), keepalive=(60, 3)) as session:
        assert await session.supports(14)
        assert not await session.supports(99)
        features = await session.features()
        assert features == {VirDrvFeature(number) for number in (8, 9, 10, 14, 15, 16)}
        await session.features()
        assert sorted(driver.asked) == [*range(1, 17), 99]


@pytest.mark.parametrize("is_there", [True, False])
def test_signs_of_life_are_asked_for_if_the_server_gives_them(
    is_there: bool, driver: Driver, server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[float, int]] = []
    monkeypatch.setattr(AsyncConnection, "start_keepalive", lambda _, *given: started.append(given))
    driver.features ^= set() if is_there else {10}

    @on_a_loop
    async def main() -> None:
        async with open_async(uri(path), keepalive=(60, 3)) as session:
            assert await session.supports(10) is is_there

    main()
    assert started == ([(60, 3)] if is_there else [])


def test_what_cannot_be_opened_leaves_nothing_open(
    driver: Driver, server: Server, path: Path
) -> None:
    @on_a_loop
    async def main() -> None:
        driver.faults["connect_open"] = RemoteError(5, "no such driver")
        with pytest.raises(RemoteError, match="no such driver"):
            await open_async(uri(path))
        driver.auth = [7]
        with pytest.raises(AuthError, match="demands authentication by method 7"):
            await open_async(uri(path))

    main()
    assert all(driver.gone.acquire(timeout=DEADLINE) for _ in range(2))


@on_a_loop
async def test_nobody_there_is_a_connect_error(path: Path) -> None:
    with pytest.raises(ConnectError):
        await open_async(uri(path))


@on_a_loop
async def test_every_registration_gets_its_own_events(
    driver: Driver, server: Server, path: Path
) -> None:
    driver.hasty = True
    handled: asyncio.Queue[Any] = asyncio.Queue()
    async with open_async(uri(path)) as session:
        one = await session.on_domain_event(LIFECYCLE, handled.put_nowait)
        two = await session.on_domain_event(LIFECYCLE, domain=DOMAIN)
        assert driver.called()[2:] == [
            "connect_domain_event_callback_register_any 0 None",
            "connect_domain_event_callback_register_any 0 'web'",
        ]
        await session.remote.domain_lookup_by_name("web")
        events = aiter(two)
        assert [(await anext(events)).msg.detail for _ in range(2)] == [1, 1]
        assert [(await handled.get()).msg.detail for _ in range(2)] == [0, 0]
        await one.cancel()
        await one.cancel()
        driver.called()
        await session.remote.domain_lookup_by_name("web")
        assert (await anext(events)).callback_id == 1
        assert handled.empty()
    with pytest.raises(StopAsyncIteration):
        await anext(events)
    assert driver.called() == [
        "domain_lookup_by_name 'web'",
        "connect_domain_event_callback_deregister_any 1",
        "connect_close",
    ]


@on_a_loop
async def test_other_objects_have_events_too(driver: Driver, server: Server, path: Path) -> None:
    async with open_async(uri(path)) as session:
        row = rows.REMOTE_PROC_NETWORK_EVENT_LIFECYCLE
        events = await session.on_event(row, about=NETWORK)
        assert (await anext(aiter(events))).net == NETWORK
        await events.cancel()
        assert driver.called()[2:] == [
            "connect_network_event_register_any 0 'lan'",
            "connect_network_event_deregister_any 0",
        ]


@on_a_loop
async def test_a_refused_registration_leaves_nothing(
    driver: Driver, server: Server, path: Path
) -> None:
    driver.faults["connect_domain_event_callback_register_any"] = RemoteError(42, "no domain")
    async with open_async(uri(path)) as session:
        with pytest.raises(RemoteError, match="no domain"):
            await session.on_domain_event(LIFECYCLE)
        with pytest.raises(ValueError, match="expected an event of a domain from 0 to 27, got 28"):
            await session.on_domain_event(28)
        with pytest.raises(
            ValueError, match="carries a callbackID, got REMOTE_PROC_DOMAIN_EVENT_R"
        ):
            await session.on_event(rows.REMOTE_PROC_DOMAIN_EVENT_REBOOT)  # fmt: skip
    assert driver.called()[3:] == ["connect_close"]


def test_a_lost_connection_is_the_end_without_reconnect(
    driver: Driver, server: Server, path: Path
) -> None:
    @on_a_loop
    async def main() -> None:
        async with open_async(uri(path)) as session:
            events = await session.on_domain_event(LIFECYCLE)
            with pytest.raises(ConnectionClosed):
                await session.remote.connect_get_type()
            with pytest.raises(ConnectionClosed):
                await anext(aiter(events))
            with pytest.raises(ConnectionClosed):
                await session.remote.connect_get_hostname()
            await events.cancel()

    main()
    assert "connect_close" not in driver.log


@on_a_loop
async def test_the_end_is_told(driver: Driver, server: Server, path: Path) -> None:
    reasons = asyncio.Queue[int]()
    async with open_async(uri(path), reconnect=True) as session:
        session.on_close(lambda closed: reasons.put_nowait(closed.reason))
        with pytest.raises(ConnectionClosed):
            await session.remote.connect_get_type()
        assert await reasons.get() == VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_EOF
        await session.remote.connect_get_hostname()
        assert reasons.empty()
    assert await reasons.get() == VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_CLIENT


@on_a_loop
async def test_coroutines_may_handle_events(driver: Driver, server: Server, path: Path) -> None:
    names: asyncio.Queue[str] = asyncio.Queue()
    async with open_async(uri(path), reconnect=True) as session:

        async def handler(_: object) -> None:
            names.put_nowait(await session.remote.connect_get_hostname())

        await session.on_domain_event(LIFECYCLE, handler)
        await session.remote.domain_lookup_by_name("web")
        assert await names.get() == "host"


@on_a_loop
async def test_a_lost_connection_is_made_anew(driver: Driver, server: Server, path: Path) -> None:
    async with open_async(uri(path), reconnect=True) as session:
        events = aiter(await session.on_domain_event(LIFECYCLE))
        subscription = session.remote.on_domain_event_callback_lifecycle()
        raw = aiter(subscription)
        with pytest.raises(ConnectionClosed):
            await session.remote.connect_get_type()
        driver.called()
        assert await session.remote.connect_get_hostname() == "host"
        registering = "connect_domain_event_callback_register_any 0 None"
        assert driver.called() == [*OPEN, registering, "connect_get_hostname"]
        await session.remote.domain_lookup_by_name("web")
        assert (await anext(events)).callback_id == 1
        assert [(await anext(raw)).callback_id for _ in range(2)] == [0, 1]
        subscription.cancel()
        subscription.cancel()
        with pytest.raises(StopAsyncIteration):
            await anext(raw)
    assert driver.called()[1:] == [
        "connect_domain_event_callback_deregister_any 1",
        "connect_close",
    ]


@on_a_loop
async def test_who_has_subscribed_misses_nothing_of_a_restored_connection(
    driver: Driver, server: Server, path: Path
) -> None:
    driver.hasty = True
    async with open_async(uri(path), reconnect=True) as session:
        raw = aiter(session.remote.on_domain_event_callback_lifecycle())
        await session.on_domain_event(LIFECYCLE)
        assert (await anext(raw)).callback_id == 0
        with pytest.raises(ConnectionClosed):
            await session.remote.connect_get_type()
        assert (await anext(raw)).callback_id == 1  # before the reply to registering again


@on_a_loop
async def test_who_subscribes_while_the_connection_is_restored_is_told_of_events(
    driver: Driver, server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registering, may_go = asyncio.Event(), asyncio.Event()
    attach = AsyncRegistration.attach

    async def attach_later(*given: Any) -> None:
        registering.set()
        await may_go.wait()
        await attach(*given)

    async with open_async(uri(path), reconnect=True) as session:
        await session.on_domain_event(LIFECYCLE)
        monkeypatch.setattr(AsyncRegistration, "attach", attach_later)
        with pytest.raises(ConnectionClosed):
            await session.remote.connect_get_type()
        await registering.wait()
        raw = aiter(session.remote.on_domain_event_callback_lifecycle())
        may_go.set()
        await session.remote.domain_lookup_by_name("web")
        assert [(await anext(raw)).callback_id for _ in range(2)] == [0, 1]


async def close_cancelled(session: aio.AsyncSession) -> None:
    """Close a session in a task that has been cancelled."""

    async def close() -> None:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        await session.close()

    closing = asyncio.create_task(close())
    await asyncio.wait([closing])
    assert closing.cancelled()


@on_a_loop
async def test_a_cancelled_task_closes_a_session_that_was_restored(
    driver: Driver, server: Server, path: Path
) -> None:
    session = await open_async(uri(path), reconnect=True)
    with pytest.raises(ConnectionClosed):
        await session.remote.connect_get_type()
    assert await session.remote.connect_get_hostname() == "host"
    await close_cancelled(session)
    with pytest.raises(ConnectionClosed):
        await session.remote.connect_get_hostname()


@on_a_loop
async def test_a_cancelled_task_closes_a_session_that_is_being_restored(
    driver: Driver, server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio, "PAUSES", (3600.0,))
    driver.hasty = True
    handling, ended = asyncio.Event(), asyncio.Event()

    async def handle(_: object) -> None:
        handling.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    session = await open_async(uri(path), reconnect=True)
    await session.on_domain_event(LIFECYCLE, handle)
    await handling.wait()
    with pytest.raises(ConnectionClosed):
        await session.remote.connect_get_type()
    await close_cancelled(session)
    assert ended.is_set()
    with pytest.raises(ConnectionClosed):
        await session.remote.connect_get_hostname()


@on_a_loop
async def test_a_connection_lost_while_it_is_restored_is_restored(
    driver: Driver, server: Server, path: Path
) -> None:
    async with open_async(uri(path), reconnect=True) as session:
        await session.on_domain_event(LIFECYCLE)
        driver.cuts = 2
        with pytest.raises(ConnectionClosed):
            await session.remote.connect_get_type()
        driver.called()
        assert await session.remote.connect_get_hostname() == "host"
        registering = [*OPEN, "connect_domain_event_callback_register_any 0 None"]
        assert driver.called() == [*registering * 3, "connect_get_hostname"]


@on_a_loop
async def test_events_come_again_without_any_call(
    driver: Driver, server: Server, path: Path
) -> None:
    driver.hasty = True
    async with open_async(uri(path), reconnect=True) as session:
        events = aiter(await session.on_domain_event(LIFECYCLE))
        assert (await anext(events)).callback_id == 0
        for client in server.sessions:
            client.close()
        assert (await anext(events)).callback_id == 1


@on_a_loop
async def test_streams_and_descriptors_pass_a_restored_connection(
    driver: Driver, server: Server, path: Path
) -> None:
    async with open_async(uri(path), reconnect=True) as session:
        with pytest.raises(ConnectionClosed):
            await session.remote.connect_get_type()
        async with session.remote.domain_screenshot(DOMAIN, 0) as stream:
            assert stream.reply == "image/x"
            assert await stream.read() == b"pixels"
        screenshot = session.remote.domain_screenshot(DOMAIN, 0)
        with pytest.raises(LocalProtocolError, match="block has not been entered"):
            await screenshot.read()
        async with screenshot:
            assert [data async for data in screenshot] == [b"pixels"]
        with pytest.raises(LocalProtocolError, match="was entered before"):
            await screenshot.__aenter__()
        _, (fd,) = await session.remote.domain_open_graphics_fd(DOMAIN, 0)
        os.close(fd)


def test_what_the_server_does_not_register_again_is_dropped(
    driver: Driver, server: Server, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    @on_a_loop
    async def main() -> None:
        async with open_async(uri(path), reconnect=True) as session:
            gone = aiter(await session.on_domain_event(LIFECYCLE))
            stays = await session.on_event(rows.REMOTE_PROC_NETWORK_EVENT_LIFECYCLE)
            driver.faults["connect_domain_event_callback_register_any"] = RemoteError(42, "gone")
            with pytest.raises(ConnectionClosed):
                await session.remote.connect_get_type()
            with pytest.raises(StopAsyncIteration):
                await anext(gone)
            news = aiter(stays)
            assert [(await anext(news)).callback_id for _ in range(2)] == [1, 2]

    main()
    assert "not registered again after the connection was restored: 'gone" in caplog.text


@on_a_loop
async def test_it_is_given_up_after_the_last_pause_and_tried_again_at_the_next_use(
    driver: Driver, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio, "PAUSES", (0.0, 0.0))

    with serving(driver, path):
        session = await open_async(uri(path), reconnect=True)
        events = await session.on_domain_event(LIFECYCLE)
    with pytest.raises(ConnectionClosed):
        await anext(aiter(events))
    with pytest.raises(ConnectError):
        await session.remote.connect_get_hostname()
    with serving(driver, path):
        assert await session.remote.connect_get_hostname() == "host"
        await session.remote.domain_lookup_by_name("web")
        assert (await anext(aiter(events))).callback_id == 1
        await session.close()


@on_a_loop
async def test_who_waits_for_the_connection_waits_no_longer_than_said(
    driver: Driver, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio, "PAUSES", (3600.0,))

    with serving(driver, path):
        session = await open_async(uri(path), reconnect=True)
    with pytest.raises(ConnectionClosed):
        await session.remote.connect_get_hostname()
    with pytest.raises(CallTimeout, match="was not restored in time"):
        await session.remote.connect_get_hostname(timeout=0.0)
    waiting = asyncio.create_task(session.remote.connect_get_hostname())
    await asyncio.sleep(0)
    await session.close()
    with pytest.raises(ConnectionClosed):
        await waiting


@on_a_loop
async def test_a_refusal_ends_the_attempts(
    driver: Driver, server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio, "PAUSES", (0.0, 3600.0))

    async with open_async(uri(path), reconnect=True) as session:
        driver.faults["connect_open"] = RemoteError(5, "no such driver any more")
        with pytest.raises(ConnectionClosed):
            await session.remote.connect_get_type()
        with pytest.raises(RemoteError, match="no such driver any more"):
            await session.remote.connect_get_hostname()
