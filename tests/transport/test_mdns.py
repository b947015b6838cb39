"""Services on the local network: announced, found, and gone, on loopback by a type of the test's own."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from helpers import require

from rpcgen.runtime.errors import TransportError
from rpcgen.runtime.mdns import Announcement, Found, _gather, _read, discover, discover_async

zeroconf = pytest.importorskip("zeroconf", reason="not installed: zeroconf")

DEADLINE = 20.0
LOOPBACK = ["127.0.0.1"]
NOWHERE = ["203.0.113.9"]
"""An address that no machine has, and so no interface to the network."""

TYPE = f"_t{os.getpid()}._tcp"


@pytest.fixture
def network() -> Iterator[Any]:
    """Loopback, on which multicast works even where its flag is not set."""
    try:
        opened = zeroconf.Zeroconf(interfaces=LOOPBACK)
    except OSError as error:
        require(False, f"no multicast on loopback: {error}")
    yield opened
    opened.close()


def test_what_is_announced_is_found_until_it_goes(network: Any) -> None:
    full = f"Host alpha.x.{TYPE}.local."
    changes: SimpleQueue[tuple[str, Any]] = SimpleQueue()

    def note(*, name: str, state_change: Any, **_: object) -> None:
        changes.put((name, state_change))

    async def announce_and_discover() -> list[Found]:
        txt = {"version": "9.0.0", "path": "/system"}
        async with Announcement(
            16509, name="Host alpha.x", service_type=TYPE, txt=txt, interfaces=LOOPBACK
        ) as one:
            assert one.is_started
            one.start()  # which it is
            return await discover_async(TYPE, timeout=DEADLINE, enough=1, interfaces=LOOPBACK)

    zeroconf.ServiceBrowser(network, f"{TYPE}.local.", handlers=[note])
    (found,) = asyncio.run(announce_and_discover())
    while changes.get(timeout=DEADLINE) != (full, zeroconf.ServiceStateChange.Removed):
        pass
    assert (found.name, found.port, found.addresses) == ("Host alpha.x", 16509, ("127.0.0.1",))
    assert found.txt == {"version": "9.0.0", "path": "/system"}
    assert found.host.endswith(".local")
    assert found.address() == "tcp://127.0.0.1:16509"


class Taken:
    """A network on which somebody has that name."""

    def register_service(self, info: Any, *, allow_name_change: bool) -> None:
        assert allow_name_change
        info.name = info.name.replace("alpha", "alpha-2")

    def close(self) -> None:
        """Nothing to do."""


def test_a_name_that_somebody_has_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpcgen.runtime.mdns._open", lambda _: Taken())
    with Announcement(1, name="alpha", interfaces=LOOPBACK) as one:
        assert one.name == "alpha-2"


@pytest.mark.parametrize(
    "what",
    [
        {"port": 0},
        {"port": 65536},
        {"name": ""},
        {"name": "x" * 64},
        {"name": "a\nb"},
        {"name": "a\x7f"},
        {"service_type": "libvirt"},
        {"service_type": "_libvirt._sctp"},
        {"service_type": "_x.y._tcp"},
        {"service_type": f"_{'x' * 16}._tcp"},
        {"txt": {"a=b": "c"}},
        {"txt": {"": "c"}},
        {"txt": {"a": "x" * 254}},
        {"addresses": ["host.example"]},
        {"interfaces": ["lo"]},
    ],
    ids=ascii,
)
def test_what_cannot_be_announced_is_refused_at_once(what: dict[str, Any]) -> None:
    (name,) = what
    with pytest.raises(ValueError, match=f"^{name.replace('_', ' ')}: expected .*, got "):
        Announcement(**{"port": 1, **what})


def test_an_interface_to_search_is_an_address() -> None:
    with pytest.raises(ValueError, match=r"^interfaces: expected addresses .*, got 'eth99'$"):
        discover(interfaces=["eth99"])


def test_by_default_it_is_named_as_libvirt_named_it() -> None:
    assert Announcement(1).name.startswith("Virtualization Host ")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # zeroconf's own
def test_a_network_without_multicast_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.WARNING, "rpcgen"),
        Announcement(1, name="a", interfaces=NOWHERE) as one,
    ):
        assert not one.is_started
        assert discover(interfaces=NOWHERE) == []
    assert [record.name for record in caplog.records] == ["rpcgen.runtime.mdns"] * 2
    assert "'a' is not announced" in caplog.text
    assert "nothing is looked for" in caplog.text
    one.stop()
    gc.collect()  # the sockets that zeroconf forgets, before another test is blamed for them


def test_a_machine_with_loopback_only_is_a_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rpcgen.runtime.mdns._ELSEWHERE", ())
    with caplog.at_level(logging.WARNING, "rpcgen"), Announcement(1, name="a") as one:
        assert not one.is_started
    assert "no address but loopback" in caplog.text


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeroconf", None)
    with pytest.raises(TransportError, match=r"pip install rpcgen\[mdns\]"):
        discover()
    with pytest.raises(TransportError, match=r"pip install rpcgen\[mdns\]"):
        Announcement(1).start()


FULL = f"{TYPE}.local."


def info(port: int, addresses: list[str], properties: dict[bytes, bytes | None]) -> Any:
    return zeroconf.ServiceInfo(
        FULL,
        f"a.b.{FULL}",
        port=port,
        parsed_addresses=addresses,
        properties=properties,
        server="h.local.",
    )


def test_addresses_that_are_reached_from_everywhere_come_first() -> None:
    found = _read(info(1, ["fe80::1", "2001:db8::1", "169.254.0.1", "192.0.2.1"], {}), FULL)
    assert found == Found(
        "a.b", "h.local", 1, ("192.0.2.1", "2001:db8::1", "169.254.0.1", "fe80::1"), {}
    )


def test_an_address_is_written_as_connect_takes_it() -> None:
    found = _read(info(16514, ["2001:db8::1"], {}), FULL)
    assert found
    assert found.address("tls") == "tls://[2001:db8::1]:16514"


@pytest.mark.parametrize(("port", "addresses"), [(0, ["192.0.2.1"]), (1, [])])
def test_what_cannot_be_connected_to_is_not_found(port: int, addresses: list[str]) -> None:
    assert _read(info(port, addresses, {}), FULL) is None


class Changes(SimpleQueue[tuple[str, Any]]):
    """What a network tells; nothing more comes."""

    def get(self, *_: Any, **__: Any) -> tuple[str, Any]:
        return self.get_nowait()


@pytest.mark.parametrize("name", ["", "evil", "evil._other._tcp.local.", "a\0b", "x" * 70])
def test_a_name_of_something_else_is_passed_over(name: str, network: Any) -> None:
    changes = Changes()
    changes.put((name, zeroconf.ServiceStateChange.Added))
    assert _gather(network, FULL, changes, time.monotonic() + DEADLINE, 1) == {}
    assert changes.empty()


def test_what_others_say_may_be_any_bytes() -> None:
    found = _read(info(1, ["192.0.2.1"], {b"\xff": b"\xfe", b"alone": None}), FULL)
    assert found
    assert found.txt == {"\ufffd": "\ufffd", "alone": ""}


def test_the_page_has_the_parameters() -> None:
    page = (Path(__file__).parents[2] / "docs/runtime.md").read_text()
    table = page.partition("### Being found\n")[2].partition("\n## ")[0]
    told = set(re.findall(r"`(\w+)=`", "".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE))))
    takes = {*signature(Announcement).parameters, *signature(discover).parameters}
    assert told == takes - {"port", "name", "timeout"}  # those are in the example
    assert signature(discover) == signature(discover_async)
