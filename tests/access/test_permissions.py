"""What calls need: ``@acl`` annotations evaluated against arguments."""

from __future__ import annotations

from typing import Any

import pytest

from libvirt_rpc.lxc_protocol.program import LXC_PROGRAM
from libvirt_rpc.qemu_protocol.program import QEMU_PROGRAM
from libvirt_rpc.remote_protocol.program import REMOTE_PROGRAM
from rpcgen.runtime.access.policy import Needs, constants_beside
from rpcgen.runtime.program import VOID, Procedure, Program

CONSTANTS = {"ONE": 1, "TWO": 2, "FOUR": 4, "TEXT": "x"}
LIBVIRT = constants_beside("libvirt_rpc.remote_protocol.server")

ROWS = {
    row.name.partition("_PROC_")[2]: row
    for program in (REMOTE_PROGRAM, QEMU_PROGRAM, LXC_PROGRAM)
    for row in program.procedures.values()
    if not row.event
}


def row(*acl: str, parameters: tuple[str, ...] | None = ("name", "flags")) -> Procedure[Any, Any]:
    program = Program("THINGS", 1, 1)
    return Procedure(program, 1, "PROC", "proc", VOID, VOID, acl=acl, parameters=parameters)


def needed(procedure: Procedure[Any, Any], *arguments: Any) -> list[str]:
    return [str(one) for one in Needs(procedure, CONSTANTS).of(arguments)]


@pytest.mark.parametrize(
    ("entry", "needing", "free"),
    [
        ("thing:write", [0, 1, 7], []),
        ("thing:write:ONE", [1, 3], [0, 2, 6]),
        ("thing:write:ONE|TWO", [3, 7], [0, 1, 2, 4]),
        ("thing:write:!ONE", [0, 2], [1, 3]),
        ("thing:write:!ONE|TWO", [0, 4], [1, 2, 3, 5]),
        ("thing:write:4", [4, 5], [0, 3]),
        ("thing:write::name:TWO", [], [0, 2]),
        ("thing:write::name:ONE", [0, 2], []),
        ("thing:write::name:!TWO", [0, 2], []),
        ("thing:write:TWO:name:ONE", [2, 3], [0, 1]),
        ("thing:write:TWO:name:!ONE", [], [2, 3]),
    ],
)
def test_an_entry_applies_as_gendispatch_says(
    entry: str, needing: list[int], free: list[int]
) -> None:
    """The argument ``name`` is 1 throughout."""
    procedure = row(entry)
    assert {flags: needed(procedure, 1, flags) for flags in needing + free} == {
        **{flags: ["thing:write"] for flags in needing},
        **{flags: [] for flags in free},
    }


def test_all_entries_that_apply_are_needed() -> None:
    procedure = row("thing:read", "thing:read_secure:ONE", "thing:write:!ONE")
    assert needed(procedure, "n", 1) == ["thing:read", "thing:read_secure"]
    assert needed(procedure, "n", 0) == ["thing:read", "thing:write"]


def test_none_needs_nothing() -> None:
    assert not Needs(row("none"), {})
    assert needed(row("none"), "n", 0) == []


@pytest.mark.parametrize(
    ("acl", "reason"),
    [
        ((), "expected '@acl: object:permission' or '@acl: none', got nothing"),
        (("thing:write", "none"), "got 'none'"),
        (("none", "thing:write"), "got 'none'"),
        (("thing",), "got 'thing'"),
        (("thing:",), "got 'thing:'"),
        (("a:b:ONE:name",), "got 'a:b:ONE:name'"),
        (("a:b::name:ONE:x",), "got 'a:b::name:ONE:x'"),
        (("a:b:THREE",), "'THREE', which is no constant"),
        (("a:b:!ONE|TEXT",), "'TEXT', which is no constant"),
        (("a:b::other:ONE",), r"'other', but the parameters are \['name', 'flags'\]"),
    ],
)
def test_what_cannot_be_understood_is_refused(acl: tuple[str, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=f"^PROC: .*{reason}"):
        Needs(row(*acl), CONSTANTS)


def test_flags_of_an_argument_that_has_no_parameters() -> None:
    with pytest.raises(ValueError, match=r"'flags', but the parameters are \[\]"):
        Needs(row("a:b:ONE", parameters=None), CONSTANTS)


@pytest.mark.parametrize("procedure", ROWS.values(), ids=ROWS)
def test_all_of_libvirt_is_understood(procedure: Procedure[Any, Any]) -> None:
    assert bool(Needs(procedure, LIBVIRT)) is (procedure.acl != ("none",))


@pytest.mark.parametrize(
    ("name", "arguments", "permissions"),
    [
        ("CONNECT_OPEN", ("test:///default", 0), ["connect:getattr"]),
        ("AUTH_LIST", (), []),
        ("DOMAIN_GET_XML_DESC", ("d", 0), ["domain:read"]),
        ("DOMAIN_GET_XML_DESC", ("d", 1), ["domain:read", "domain:read_secure"]),
        ("DOMAIN_GET_XML_DESC", ("d", 8), ["domain:read", "domain:read_secure"]),
        ("DOMAIN_ATTACH_DEVICE_FLAGS", ("d", "<x/>", 0), ["domain:write", "domain:save"]),
        ("DOMAIN_ATTACH_DEVICE_FLAGS", ("d", "<x/>", 1), ["domain:write"]),
        ("DOMAIN_ATTACH_DEVICE_FLAGS", ("d", "<x/>", 2), ["domain:write", "domain:save"]),
        ("DOMAIN_INTERFACE_ADDRESSES", ("d", 0, 0), ["domain:read"]),
        ("DOMAIN_INTERFACE_ADDRESSES", ("d", 1, 0), ["domain:read", "domain:write"]),
    ],
)
def test_what_libvirt_needs(name: str, arguments: tuple[Any, ...], permissions: list[str]) -> None:
    assert [str(one) for one in Needs(ROWS[name], LIBVIRT).of(arguments)] == permissions


def test_constants_are_those_of_the_package_and_of_libvirt() -> None:
    assert LIBVIRT["REMOTE_STRING_MAX"] == 4_194_304
    assert LIBVIRT["VIR_DOMAIN_AFFECT_CONFIG"] == 2
    for module in ("server", "access.nowhere", "rpcgen.runtime.access.policy"):
        assert "REMOTE_STRING_MAX" not in constants_beside(module)


def test_a_permission_says_what_it_is() -> None:
    (permission,) = Needs(row("thing:write"), {}).of(())
    assert repr(permission) == "<Permission thing:write, for PROC>"
