"""The guard: who is let through, what the peer is told, and what the log says."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.runtime.access import Guard, Permission
from rpcgen.runtime.interfaces import Identity
from rpcgen.runtime.message import RemoteError
from rpcgen.runtime.program import VOID, Procedure, Program

THINGS = Program("THINGS", 1, 1)
FREE: Procedure[Any, Any] = Procedure(THINGS, 1, "FREE", "free", VOID, VOID, acl=("none",))
WRITE: Procedure[Any, Any] = Procedure(
    THINGS,
    2,
    "WRITE",
    "write",
    VOID,
    VOID,
    acl=("thing:write", "thing:save:ONE"),
    parameters=("flags",),
)
BARE: Procedure[Any, Any] = Procedure(THINGS, 3, "BARE", "bare", VOID, VOID)

PEER = Identity(uid=5, gid=6, pid=7)
CALL = SimpleNamespace(session=SimpleNamespace(identity=PEER))


class Allowing:
    """A policy that allows some, and remembers what it was asked."""

    def __init__(self, *permissions: str) -> None:
        self.permissions = permissions
        self.asked: list[tuple[Identity, str]] = []

    def is_allowed(self, identity: Identity, permission: Permission) -> bool:
        self.asked.append((identity, str(permission)))
        return str(permission) in self.permissions


def handler(_call: object, flags: int = -1) -> str:
    return f"handled {flags}"


def test_who_has_all_permissions_gets_through() -> None:
    policy = Allowing("thing:write", "thing:save")
    guarded = Guard(policy).protect(WRITE, handler, {"ONE": 1})
    assert guarded(CALL, 1) == "handled 1"
    assert policy.asked == [(PEER, "thing:write"), (PEER, "thing:save")]


def test_who_lacks_one_does_not() -> None:
    guarded = Guard(Allowing("thing:write")).protect(WRITE, handler, {"ONE": 1})
    assert guarded(CALL, 0) == "handled 0"
    with pytest.raises(RemoteError) as caught:
        guarded(CALL, 1)
    assert caught.value.code == VirErrorNumber.VIR_ERR_ACCESS_DENIED
    assert caught.value.domain == VirErrorDomain.VIR_FROM_ACCESS
    assert caught.value.message == "access denied: 'THINGS' denied access"
    assert (caught.value.str1, caught.value.str2) == ("access denied: %s", "'THINGS' denied access")


def test_nothing_stands_before_what_anybody_may_call() -> None:
    assert Guard(Allowing()).protect(FREE, handler, {}) is handler


def test_a_procedure_that_says_nothing_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="BARE: expected '@acl"):
        Guard(Allowing()).protect(BARE, handler, {})


def test_another_policy_counts_from_the_next_call_on() -> None:
    guard = Guard(Allowing("thing:write"))
    guarded = guard.protect(WRITE, handler, {"ONE": 1})
    assert guarded(CALL, 0) == "handled 0"
    guard.policy = Allowing()
    with pytest.raises(RemoteError):
        guarded(CALL, 0)


def test_a_policy_that_fails_lets_nobody_through() -> None:
    class Failing:
        def is_allowed(self, identity: Identity, permission: Permission) -> bool:
            raise OSError(f"no answer to {permission} of {identity}")

    with pytest.raises(OSError, match="no answer"):
        Guard(Failing()).protect(WRITE, handler, {"ONE": 1})(CALL, 0)


def test_only_true_allows() -> None:
    class Unsure:
        def is_allowed(self, identity: Identity, permission: Permission) -> Any:
            return f"{permission} of {identity}, well"

    guard = Guard(Unsure())
    with pytest.raises(RemoteError):
        guard.protect(WRITE, handler, {"ONE": 1})(CALL, 0)
    assert not guard.may(PEER, "thing:write", WRITE)


@pytest.mark.parametrize(
    ("identity", "who"),
    [
        (PEER, "uid=5, gid=6, pid=7, address='127.0.0.1:0'"),
        (
            Identity(address="[::1]:5", distinguished_name="C=UK\nroot: allowed\x00\u2028\u202e"),
            r"address='[::1]:5', certificate='C=UK\nroot: allowed\x00\u2028\u202e'",
        ),
    ],
)
def test_a_denied_call_is_one_line_in_the_log(
    caplog: pytest.LogCaptureFixture, identity: Identity, who: str
) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(RemoteError):
        Guard(Allowing("thing:write")).check(
            identity, [Permission("thing", name, WRITE) for name in ("write", "save", "drop")]
        )
    (record,) = caplog.records
    assert record.getMessage() == f"access denied: WRITE needs thing:save: {who}"
    assert record.levelno == logging.WARNING


def test_a_handler_may_ask(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard(Allowing("thing:getattr"))
    assert guard.may(PEER, "thing:getattr", WRITE)
    assert not guard.may(PEER, "thing:drop", WRITE)
    assert caplog.records == []
    for wrong in ("thing", "thing:", ":drop", "thing:drop:ONE"):
        with pytest.raises(ValueError, match=f"expected 'object:permission', got '{wrong}'"):
            guard.may(PEER, wrong, WRITE)
