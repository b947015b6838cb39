"""The lock daemon's state as JSON: every form, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rpcgen.examples.lockd import saved
from rpcgen.examples.lockd.saved import SavedClient, SavedLockd

SERVER = {
    "min_workers": 0,
    "max_workers": 0,
    "priority_workers": 0,
    "max_clients": 10,
    "max_anonymous_clients": 10,
    "keepaliveInterval": 4294967295,
    "keepaliveCount": 0,
    "next_client_id": 3,
    "services": [],
    "clients": [],
}
LEASE = {
    "name": "r",
    "path": "/space/r",
    "fd": 9,
    "lockHeld": True,
    "flags": 3,
    "owners": [5, 6, 5],
}
STATE: dict[str, Any] = {
    "daemon": {"servers": {"admin": SERVER, "virtlockd": SERVER}},
    "defaultLockspace": {"resources": [{**LEASE, "name": "/disk", "path": "/disk", "flags": 0}]},
    "lockspaces": [{"directory": "/space", "resources": [LEASE]}],
    "magic": "17",
}
OLD = {key: value for key, value in STATE.items() if key != "daemon"}
CLIENT = {
    "restricted": True,
    "ownerPid": 4,
    "ownerId": 5,
    "ownerName": "é",
    "ownerUUID": "00010203-0405-0607-0809-0a0b0c0d0e0f",
}


def test_the_present_form_is_written_as_it_was_read() -> None:
    loaded = SavedLockd.load(json.dumps(STATE).encode())
    assert json.dumps(loaded.to_json()) == json.dumps(STATE)
    assert SavedLockd.load(loaded.dump()) == loaded


@pytest.mark.parametrize("servers", [SERVER, {"servers": [SERVER]}])
def test_older_forms_are_read(servers: dict[str, Any]) -> None:
    loaded = SavedLockd.from_json({**OLD, "server": servers})
    assert loaded.to_json() == {**STATE, "daemon": {"servers": {"virtlockd": SERVER}}}


def test_a_client_is_written_as_it_was_read() -> None:
    loaded = SavedClient.from_json(CLIENT)
    assert loaded.owner_uuid == bytes(range(16))
    assert json.dumps(loaded.to_json()) == json.dumps(CLIENT)


def test_a_client_without_an_owner_can_be_saved() -> None:
    assert SavedClient.from_json(SavedClient().to_json()) == SavedClient()


def broken(**changes: Any) -> dict[str, Any]:
    return {**STATE, "lockspaces": [{"directory": "/s", "resources": [{**LEASE, **changes}]}]}


LEASE_PLACE = r"state\.lockspaces\[0\]\.resources\[0\]"


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ([], "state: expected an object"),
        ({**STATE, "magic": 17}, r"state\.magic: expected a string, got 17"),
        ({**STATE, "magic": "x"}, r"state\.magic: expected a pid, got 'x'"),
        (OLD, r"state\.daemon: expected an object, got None"),
        ({**STATE, "lockspaces": {}}, r"state\.lockspaces: expected a list"),
        ({**STATE, "lockspaces": [{"resources": []}]}, r"\[0\]\.directory: missing"),
        ({**STATE, "defaultLockspace": None}, r"state\.defaultLockspace: expected an object"),
        (broken(fd=True), rf"{LEASE_PLACE}\.fd: expected an integer, got True"),
        (broken(lockHeld=1), rf"{LEASE_PLACE}\.lockHeld: expected true or false, got 1"),
        (broken(owners=[1, "2"]), rf"{LEASE_PLACE}\.owners\[1\]: expected an integer, got '2'"),
    ],
)
def test_what_is_wrong_is_told(state: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        SavedLockd.from_json(state)


def test_a_wrong_uuid_is_told() -> None:
    with pytest.raises(ValueError, match=r"privateData\.ownerUUID: expected a UUID, got 'x'"):
        SavedClient.from_json({**CLIENT, "ownerUUID": "x"})


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match="state: no JSON"):
        SavedLockd.load(data)


def test_too_much_is_not_read() -> None:
    with pytest.raises(ValueError, match="exceed"):
        SavedLockd.load(b" " * (saved.STATE_MAX + 1))
