"""The session of threads: what it says to a server, its events, and what becomes of it when the connection is lost."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from peers import start
from scripted_driver import DOMAIN, NETWORK, Driver, serving, uri

from libvirt_rpc.libvirt_common.types import VirConnectCloseReason, VirDomainEventID, VirDrvFeature
from libvirt_rpc.remote_protocol import program as rows
from rpcgen import libvirt
from rpcgen.libvirt import session as sessions
from rpcgen.libvirt.reaching import reach
from rpcgen.runtime.client.sync import Connection
from rpcgen.runtime.errors import AuthError, CallTimeout, ConnectError, ConnectionClosed
from rpcgen.runtime.message import RemoteError
from rpcgen.runtime.server import Server

DEADLINE = 20.0
LIFECYCLE = VirDomainEventID.VIR_DOMAIN_EVENT_ID_LIFECYCLE
OPEN = ["auth_list", "connect_open 'test:///default' 0"]


def test_what_is_said_from_open_to_close(driver: Driver, server: Server, path: Path) -> None:
    with libvirt.open(uri(path)) as session:
        assert driver.called() == OPEN
        assert driver.asked == [14, 15]
        assert session.uri == uri(path)
        assert session.remote.connect_get_hostname() == "host"
    assert driver.called() == ["connect_get_hostname", "connect_close"]


def test_it_can_be_closed_by_hand(driver: Driver, server: Server, path: Path) -> None:
    session = libvirt.open(uri(path), readonly=True, keepalive=(60, 3), timeout=DEADLINE)
    assert driver.called() == ["auth_list", "connect_open 'test:///default' 1"]
    assert driver.asked == [10, 14, 15]
    session.close()
    session.close()
    assert driver.called() == ["connect_close"]
    with pytest.raises(ConnectionClosed):
        session.remote.connect_get_hostname()


def test_it_goes_over_tcp_as_well(driver: Driver) -> None:
    with (
        Server([driver], listen=["tcp://127.0.0.1:0"]) as server,
        libvirt.open(f"test+{server.addresses[0]}/default", readonly=True) as session,
    ):
        assert driver.called() == ["auth_list", "connect_open 'test:///default' 1"]
        assert session.remote.connect_get_hostname() == "host"


def test_without_a_uri_the_server_chooses(
    driver: Driver, server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", f"remote+unix:///?socket={path}")
    with libvirt.open() as session:
        assert driver.called() == ["auth_list", "connect_open '' 0", "connect_get_uri"]
        assert session.uri == "test:///chosen"


def test_features_are_asked_once(driver: Driver, server: Server, path: Path) -> None:
    with libvirt.open(uri(path), keepalive=(60, 3)) as session:
        assert session.supports(14)
        assert not session.supports(99)
        features = session.features()
        assert features == {VirDrvFeature(number) for number in (8, 9, 10, 14, 15, 16)}
        session.features()
        assert sorted(driver.asked) == [*range(1, 17), 99]


@pytest.mark.parametrize("is_there", [True, False])
def test_signs_of_life_are_asked_for_if_the_server_gives_them(
    is_there: bool, driver: Driver, server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[float, int]] = []
    monkeypatch.setattr(Connection, "start_keepalive", lambda _, *given: started.append(given))
    driver.features ^= set() if is_there else {10}
    with libvirt.open(uri(path), keepalive=(60, 3)) as session:
        assert session.supports(10) is is_there
    assert started == ([(60, 3)] if is_there else [])


def test_without_keepalive_the_server_is_not_asked_for_it(
    driver: Driver, server: Server, path: Path
) -> None:
    with libvirt.open(uri(path)) as session:
        assert not session.supports(10)
        assert 10 not in session.features()
    assert 10 not in driver.asked


def test_what_cannot_be_opened_leaves_nothing_open(
    driver: Driver, server: Server, path: Path
) -> None:
    driver.faults["connect_open"] = RemoteError(5, "no such driver")
    with pytest.raises(RemoteError, match="no such driver"):
        libvirt.open(uri(path))
    driver.auth = [7]
    with pytest.raises(AuthError, match="demands authentication by method 7"):
        libvirt.open(uri(path))
    assert all(driver.gone.acquire(timeout=DEADLINE) for _ in range(2))


def test_nobody_there_is_a_connect_error(path: Path) -> None:
    with pytest.raises(ConnectError):
        libvirt.open(uri(path))


def test_every_registration_gets_its_own_events(driver: Driver, server: Server, path: Path) -> None:
    driver.hasty = True
    one, two = Queue[Any](), Queue[Any]()
    with libvirt.open(uri(path)) as session:
        first = session.on_domain_event(LIFECYCLE, one.put)
        session.on_domain_event(LIFECYCLE, two.put, DOMAIN)
        assert driver.called()[2:] == [
            "connect_domain_event_callback_register_any 0 None",
            "connect_domain_event_callback_register_any 0 'web'",
        ]
        session.remote.domain_lookup_by_name("web")
        for queue, callback_id in ((one, 0), (two, 1)):
            for _ in range(2):
                assert queue.get(timeout=DEADLINE).msg.detail == callback_id
        first.cancel()
        first.cancel()
        driver.called()
        session.remote.domain_lookup_by_name("web")
        assert two.get(timeout=DEADLINE).callback_id == 1
        assert one.empty()
    assert driver.called() == [
        "domain_lookup_by_name 'web'",
        "connect_domain_event_callback_deregister_any 1",
        "connect_close",
    ]


def test_a_handler_may_register_and_cancel(driver: Driver, server: Server, path: Path) -> None:
    names = Queue[str]()
    with libvirt.open(uri(path)) as session:

        def handler(_: object) -> None:
            registration.cancel()
            session.on_event(
                rows.REMOTE_PROC_NETWORK_EVENT_LIFECYCLE, lambda news: names.put(news.net.name)
            )

        registration = session.on_domain_event(LIFECYCLE, handler)
        session.remote.domain_lookup_by_name("web")
        assert names.get(timeout=DEADLINE) == "lan"


def test_other_objects_have_events_too(driver: Driver, server: Server, path: Path) -> None:
    news = Queue[Any]()
    with libvirt.open(uri(path)) as session:
        row = rows.REMOTE_PROC_NETWORK_EVENT_LIFECYCLE
        registration = session.on_event(row, news.put, NETWORK)
        assert news.get(timeout=DEADLINE).net == NETWORK
        registration.cancel()
        assert driver.called()[2:] == [
            "connect_network_event_register_any 0 'lan'",
            "connect_network_event_deregister_any 0",
        ]


def test_a_refused_registration_leaves_nothing(driver: Driver, server: Server, path: Path) -> None:
    driver.faults["connect_domain_event_callback_register_any"] = RemoteError(42, "no domain")
    with libvirt.open(uri(path)) as session:
        with pytest.raises(RemoteError, match="no domain"):
            session.on_domain_event(LIFECYCLE, print)
        with pytest.raises(ValueError, match="expected an event of a domain from 0 to 27, got 28"):
            session.on_domain_event(28, print)
        with pytest.raises(ValueError, match="got REMOTE_PROC_DOMAIN_EVENT_REBOOT"):
            session.on_event(rows.REMOTE_PROC_DOMAIN_EVENT_REBOOT, print)
    assert driver.called()[3:] == ["connect_close"]


def test_a_server_that_does_not_take_leave_is_left(
    driver: Driver, server: Server, path: Path
) -> None:
    with libvirt.open(uri(path)) as session:
        session.on_domain_event(LIFECYCLE, print)
        for name in ("connect_close", "connect_domain_event_callback_deregister_any"):
            driver.faults[name] = RemoteError(1, "no")
    with pytest.raises(ConnectionClosed):
        session.remote.connect_get_hostname()


def test_who_is_interrupted_while_taking_leave_has_left(
    driver: Driver, server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    session = libvirt.open(uri(path))
    monkeypatch.setattr(Connection, "call", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.close()
    assert driver.gone.acquire(timeout=DEADLINE)


def test_a_lost_connection_is_the_end_without_reconnect(
    driver: Driver, server: Server, path: Path
) -> None:
    with libvirt.open(uri(path)) as session:
        registration = session.on_domain_event(LIFECYCLE, print)
        with pytest.raises(ConnectionClosed):
            session.remote.connect_get_type()
        with pytest.raises(ConnectionClosed):
            session.remote.connect_get_hostname()
        registration.cancel()
    assert "connect_close" not in driver.log


def test_the_end_is_told(driver: Driver, server: Server, path: Path) -> None:
    reasons = Queue[int]()
    with libvirt.open(uri(path), reconnect=True) as session:
        session.on_close(lambda closed: reasons.put(closed.reason))
        with pytest.raises(ConnectionClosed):
            session.remote.connect_get_type()
        assert reasons.get(timeout=DEADLINE) == VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_EOF
        session.remote.connect_get_hostname()
        assert reasons.empty()
    assert reasons.get(timeout=DEADLINE) == VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_CLIENT


def test_a_callback_of_the_end_can_bring_a_new_connection(
    driver: Driver, server: Server, path: Path
) -> None:
    events = Queue[Any]()
    with libvirt.open(uri(path), reconnect=True) as session:
        session.on_domain_event(LIFECYCLE, events.put)

        def again(closed: ConnectionClosed) -> None:
            if closed.reason != VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_CLIENT:
                session.remote.domain_lookup_by_name("web")

        session.on_close(again)
        for client in server.sessions:
            client.close()
        assert events.get(timeout=DEADLINE).callback_id == 1


def test_a_lost_connection_is_made_anew(driver: Driver, server: Server, path: Path) -> None:
    events, raw = Queue[Any](), Queue[Any]()
    with libvirt.open(uri(path), reconnect=True) as session:
        session.on_domain_event(LIFECYCLE, events.put)
        subscription = session.remote.on_domain_event_callback_lifecycle(raw.put)
        with pytest.raises(ConnectionClosed):
            session.remote.connect_get_type()
        driver.called()
        assert session.remote.connect_get_hostname() == "host"
        registering = "connect_domain_event_callback_register_any 0 None"
        assert driver.called() == [*OPEN, registering, "connect_get_hostname"]
        session.remote.domain_lookup_by_name("web")
        assert events.get(timeout=DEADLINE).callback_id == 1
        assert [raw.get(timeout=DEADLINE).callback_id for _ in range(2)] == [0, 1]
        subscription.cancel()
        session.remote.domain_lookup_by_name("web")
        assert events.get(timeout=DEADLINE).callback_id == 1
        assert raw.empty()
    assert driver.called()[2:] == [
        "connect_domain_event_callback_deregister_any 1",
        "connect_close",
    ]


def test_many_threads_make_one_new_connection(driver: Driver, server: Server, path: Path) -> None:
    names = Queue[str]()
    with libvirt.open(uri(path), reconnect=True) as session:
        with pytest.raises(ConnectionClosed):
            session.remote.connect_get_type()
        threads = [
            threading.Thread(target=lambda: names.put(session.remote.connect_get_hostname()))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        assert [names.get(timeout=DEADLINE) for _ in threads] == ["host"] * 8
        for thread in threads:
            thread.join()
    assert driver.called().count("auth_list") == 2


def test_who_waits_for_a_failure_shares_it(
    driver: Driver, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "PAUSES", (0.0,))
    errors, waiting, attempts = Queue[Exception](), Queue[None](), Queue[None]()
    may_fail = threading.Event()
    turn = threading.Lock()

    class Turn:
        """A lock that tells who comes for it."""

        release = turn.release

        def acquire(self, timeout: float) -> bool:
            waiting.put(None)
            return turn.acquire(timeout=timeout)

    def refuse(*_: object, **__: object) -> None:
        attempts.put(None)
        may_fail.wait(DEADLINE)
        raise ConnectError("nobody there")

    def call() -> None:
        try:
            session.remote.connect_get_hostname()
        except ConnectError as error:
            errors.put(error)

    with serving(driver, path):
        session = libvirt.open(uri(path), reconnect=True)
        with pytest.raises(ConnectionClosed):
            session.remote.connect_get_type()
    monkeypatch.setattr(sessions, "reach", refuse)
    monkeypatch.setattr(session._line, "_turn", Turn())
    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    attempts.get(timeout=DEADLINE)
    with pytest.raises(CallTimeout, match="was not restored in time"):
        session.remote.connect_get_hostname(timeout=0.0)
    for _ in range(5):
        waiting.get(timeout=DEADLINE)
    may_fail.set()
    found = [errors.get(timeout=DEADLINE) for _ in threads]
    for thread in threads:
        thread.join()
    assert [str(error) for error in found] == ["nobody there"] * 4
    assert len(set(map(id, found))) == 4
    assert attempts.empty()
    session.close()


def test_what_is_made_after_the_end_is_closed(
    driver: Driver, server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connecting, may_go = threading.Event(), threading.Event()

    def later(*given: Any, **named: Any) -> Connection:
        connecting.set()
        may_go.wait(DEADLINE)
        return reach(*given, **named)

    session = libvirt.open(uri(path), reconnect=True)
    with pytest.raises(ConnectionClosed):
        session.remote.connect_get_type()
    monkeypatch.setattr(sessions, "reach", later)
    call = start(session.remote.connect_get_hostname)
    assert connecting.wait(DEADLINE)
    session.close()
    may_go.set()
    assert isinstance(call.exception(DEADLINE), ConnectionClosed)
    assert all(driver.gone.acquire(timeout=DEADLINE) for _ in range(2))


def test_a_connection_lost_while_it_is_restored_is_restored(
    driver: Driver, server: Server, path: Path
) -> None:
    with libvirt.open(uri(path), reconnect=True) as session:
        session.on_domain_event(LIFECYCLE, print)
        driver.cuts = 2
        with pytest.raises(ConnectionClosed):
            session.remote.connect_get_type()
        driver.called()
        assert session.remote.connect_get_hostname() == "host"
        registering = [*OPEN, "connect_domain_event_callback_register_any 0 None"]
        assert driver.called() == [*registering * 3, "connect_get_hostname"]


def test_streams_and_descriptors_pass_a_restored_connection(
    driver: Driver, server: Server, path: Path
) -> None:
    with libvirt.open(uri(path), reconnect=True) as session:
        with pytest.raises(ConnectionClosed):
            session.remote.connect_get_type()
        with session.remote.domain_screenshot(DOMAIN, 0) as stream:
            assert stream.reply == "image/x"
            assert stream.read() == b"pixels"
        _, (fd,) = session.remote.domain_open_graphics_fd(DOMAIN, 0)
        os.close(fd)


def test_what_the_server_does_not_register_again_is_dropped(
    driver: Driver, server: Server, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    news = Queue[Any]()
    with libvirt.open(uri(path), reconnect=True) as session:
        session.on_domain_event(LIFECYCLE, print)
        session.on_event(rows.REMOTE_PROC_NETWORK_EVENT_LIFECYCLE, news.put)
        driver.faults["connect_domain_event_callback_register_any"] = RemoteError(42, "gone")
        with pytest.raises(ConnectionClosed):
            session.remote.connect_get_type()
        session.remote.connect_get_hostname()
        assert [news.get(timeout=DEADLINE).callback_id for _ in range(2)] == [1, 2]
        driver.called()
    assert driver.called() == ["connect_network_event_deregister_any 2", "connect_close"]
    assert "not registered again after the connection was restored: 'gone" in caplog.text


def test_it_is_given_up_after_the_last_pause_and_tried_again_at_the_next_use(
    driver: Driver, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "PAUSES", (0.0, 0.0))
    with serving(driver, path):
        session = libvirt.open(uri(path), reconnect=True)
        with pytest.raises(ConnectionClosed):
            session.remote.connect_get_type()
    for _ in range(2):
        with pytest.raises(ConnectError):
            session.remote.connect_get_hostname()
    with serving(driver, path):
        assert session.remote.connect_get_hostname() == "host"
        session.close()


def test_who_waits_for_the_connection_waits_no_longer_than_said(
    driver: Driver, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "PAUSES", (3600.0,))
    with serving(driver, path):
        session = libvirt.open(uri(path), reconnect=True)
        with pytest.raises(ConnectionClosed):
            session.remote.connect_get_type()
    with pytest.raises(CallTimeout, match="was not restored in time"):
        session.remote.connect_get_hostname(timeout=0.0)
    waiting = start(session.remote.connect_get_hostname)
    session.close()
    assert isinstance(waiting.exception(DEADLINE), ConnectionClosed)


def test_a_refusal_ends_the_attempts(
    driver: Driver, server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "PAUSES", (0.0, 3600.0))
    with libvirt.open(uri(path), reconnect=True) as session:
        driver.faults["connect_open"] = RemoteError(5, "no such driver any more")
        with pytest.raises(ConnectionClosed):
            session.remote.connect_get_type()
        with pytest.raises(RemoteError, match="no such driver any more"):
            session.remote.connect_get_hostname()
