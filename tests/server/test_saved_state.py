"""Saved servers: every form that libvirt has written is read, and written again as the newest."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from rpcgen.runtime.server.saved import SavedServer, servers_from_json, servers_to_json

NAMES = ("testServer0", "testServer1")


def socket(fd: int, *, is_client: bool) -> dict[str, Any]:
    return {"fd": fd, "errfd": -1, "pid": 0, "isClient": is_client, "unlinkUNIX": not is_client}


def client(number: int, fd: int, **other: Any) -> dict[str, Any]:
    return {
        "id": number,
        "auth": 1,
        "auth_pending": True,
        "readonly": True,
        "nrequests_max": 15,
        **other,
        "sock": socket(fd, is_client=True),
        "privateData": {"restricted": True},
    }


def server(first: int = 1) -> dict[str, Any]:
    return {
        "min_workers": 10,
        "max_workers": 50,
        "priority_workers": 5,
        "max_clients": 100,
        "max_anonymous_clients": 100,
        "keepaliveInterval": 120,
        "keepaliveCount": 5,
        "next_client_id": first + 2,
        "services": [
            {
                "auth": 0,
                "readonly": True,
                "nrequests_client_max": 2,
                "socks": [socket(100, is_client=False)],
            },
            {
                "auth": 2,
                "readonly": False,
                "nrequests_client_max": 22,
                "socks": [socket(101, is_client=False)],
            },
        ],
        "clients": [client(first, 102, conn_time=1234567890), client(first + 1, 103)],
    }


NEWEST = {"servers": {"testServer0": server(), "testServer1": server(7)}}


def read(value: Any, names: tuple[str, ...] = NAMES) -> Any:
    return servers_to_json(servers_from_json(value, names))


def without(value: Any, *keys: str) -> Any:
    """A copy of JSON from which keys are gone, wherever they were."""
    if isinstance(value, dict):
        return {key: without(one, *keys) for key, one in value.items() if key not in keys}
    return [without(one, *keys) for one in value] if isinstance(value, list) else value


def test_the_newest_form_comes_back_equal_in_every_byte() -> None:
    assert read(NEWEST) == NEWEST
    assert repr(read(NEWEST)) == repr(NEWEST)  # in its order


def test_servers_are_sorted_by_name() -> None:
    backwards = {"servers": dict(reversed(NEWEST["servers"].items()))}
    assert list(read(backwards)["servers"]) == list(NAMES)


@pytest.mark.parametrize("extra", [{}, {"keepaliveRequired": True, "mdnsGroupName": "libvirt"}])
def test_a_lone_server_and_keys_of_old(extra: dict[str, Any]) -> None:
    assert read(server() | extra) == {"servers": {"testServer0": server()}}


def test_a_list_of_servers() -> None:
    assert read({"servers": [server(), server(7)]}) == NEWEST
    assert read({"servers": [server()]}) == {"servers": {"testServer0": server()}}
    with pytest.raises(ValueError, match=r"state\.servers: 2 servers, expected 1 at most"):
        read({"servers": [server(), server()]}, NAMES[:1])


def test_what_older_forms_do_not_have() -> None:
    old = without(
        server(), "next_client_id", "id", "auth_pending", "conn_time", "unlinkUNIX", "privateData"
    )
    del old["max_anonymous_clients"]
    (saved,) = servers_from_json(old, NAMES).values()
    assert (saved.max_anonymous_clients, saved.next_client_id) == (100, 1)
    assert [(one.id, one.auth_pending, one.connected) for one in saved.clients] == [
        (None, True, 0)
    ] * 2
    assert [one.unlink_unix for one in saved.sockets] == [True, True, False, False]
    assert "id" not in saved.clients[0].to_json()
    old["clients"][0]["auth"] = 0
    (saved,) = servers_from_json(old, NAMES).values()
    assert not saved.clients[0].auth_pending


PATHS = [
    ("max_clients", 99, r"state: max_anonymous_clients 100 exceeds max_clients 99"),
    ("max_clients", "many", r"state\.max_clients: expected an integer, got 'many'"),
    ("min_workers", True, r"state\.min_workers: expected an integer, got True"),
    ("min_workers", None, r"state\.min_workers: expected an integer, got None"),
    ("services", {}, r"state\.services: expected a list, got \{\}"),
    ("services", [7], r"state\.services\[0\]: expected an object, got 7"),
    ("clients", [{}], r"state\.clients\[0\]\.auth: missing"),
    ("servers", 7, r"state\.servers: expected an object, got 7"),
    ("servers", {"a": {}}, r"state\.servers\.a\.max_clients: missing"),
]


@pytest.mark.parametrize(("key", "value", "message"), PATHS)
def test_what_is_no_server_says_where(key: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        read(server() | {key: value})


def test_clients_that_contradict_themselves() -> None:
    broken = copy.deepcopy(server())
    broken["clients"][1] |= {"auth": 0, "auth_pending": True}
    with pytest.raises(ValueError, match=r"^state\.clients\[1\]: auth_pending, although it needs"):
        read(broken)
    broken["clients"][1] |= {"auth": 1, "nrequests_max": 0}
    with pytest.raises(ValueError, match=r"clients\[1\]: nrequests_max: expected 1 or more, got 0"):
        read(broken)
    broken["clients"][1] |= {"nrequests_max": 1, "id": 1}
    with pytest.raises(ValueError, match=r"^state: clients: two have the same id$"):
        read(broken)
    broken["clients"][1] |= {"id": 2, "sock": {"fd": 7, "isClient": 1}}
    with pytest.raises(ValueError, match=r"clients\[1\]\.sock\.isClient: expected true or false"):
        read(broken)


@pytest.mark.parametrize("value", [None, 7, [], "x"])
def test_what_is_no_object_at_all(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^state: expected an object, got "):
        read(value)


def test_closing_what_nobody_takes_over() -> None:
    saved = SavedServer(1, 1, 1, 1, 1, (5, 5))
    saved.close()
    assert saved.sockets == []
