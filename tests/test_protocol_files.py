"""What the files in ``protocols/`` promise: numbers without holes, marks where they belong, every procedure explained.

Names, numbers and types themselves are held by ``wire.lock``; here stands what makes the files right as a whole.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from rpcgen.errors import Diagnostics, as_text
from rpcgen.model import load
from rpcgen.model import types as t

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "protocols").glob("*.x"))
FILER = ROOT / "rpcgen/examples/filer/filer.x"

PROGRAMS = {
    "admin_protocol": ("ADMIN_PROGRAM", 0x06900690, 20),
    "lock_protocol": ("VIR_LOCK_SPACE_PROTOCOL_PROGRAM", 0x0EA7BEEF, 8),
    "log_protocol": ("VIR_LOG_MANAGER_PROTOCOL_PROGRAM", 0x87539319, 4),
    "lxc_monitor_protocol": ("VIR_LXC_MONITOR_PROGRAM", 0x12341234, 2),
    "lxc_protocol": ("LXC_PROGRAM", 0x00068000, 1),
    "qemu_protocol": ("QEMU_PROGRAM", 0x20008087, 7),
    "remote_protocol": ("REMOTE_PROGRAM", 0x20008086, 453),
    "virkeepaliveprotocol": ("KEEPALIVE_PROGRAM", 0x6B656570, 2),
}
"""File to program, its number, and how many procedures it has."""

DESCRIPTORS = {
    ("lxc_protocol", 1): "out",
    ("log_protocol", 1): "out",
    ("qemu_protocol", 7): "both",
    ("remote_protocol", 249): "in",
    ("remote_protocol", 309): "in",
    ("remote_protocol", 310): "in",
    ("remote_protocol", 343): "out",
    ("remote_protocol", 443): "in",
}

STREAMS = {
    "read": {201, 209, 211, 296},
    "write": {148, 208, 215, 304},
}
"""Procedures of the remote program that open a stream."""

CLOSED_ENUMS = {
    "virLXCMonitorExitStatus",
    "virLogManagerProtocolDomainOpenLogFileFlags",
    "virTypedParameterType",
}
"""Besides the procedure enums: those to which no peer can add, because a union or nothing depends on them."""

ACCESS_OBJECTS = {
    *("connect", "domain", "interface", "network", "network_port", "node_device"),
    *("nwfilter", "nwfilter_binding", "secret", "storage_pool", "storage_vol"),
}


@pytest.fixture(scope="module")
def modules() -> dict[str, t.Module]:
    """All files, by stem."""
    return {module.stem: module for module in load([str(path) for path in FILES])}


def procedures(module: t.Module) -> list[t.Procedure]:
    return [procedure for program in module.programs for procedure in program.procedures]


def enum(module: t.Module, name: str) -> t.Enum:
    (found,) = (one for one in module.types if one.name == name)
    assert isinstance(found, t.Enum)
    return found


def constants(module: t.Module) -> dict[str, int]:
    """Constants and enum members."""
    enums = [one for one in module.types if isinstance(one, t.Enum)]
    members = {member.name: member.value for one in enums for member in one.members}
    return {c.name: c.value for c in module.constants if isinstance(c.value, int)} | members


def shape(type_: t.Type) -> object:
    """What a type puts on the wire, without the names of types."""
    match t.resolve(type_):
        case t.Named(definition=t.Struct(fields=fields)):
            return [(field.name, shape(field.type)) for field in fields]
        case t.Named(definition=t.Union(discriminant=discriminant, arms=arms)):
            return (
                shape(discriminant.type),
                [(arm.labels, arm.field and shape(arm.field.type)) for arm in arms],
            )
        case t.Optional(element=element):
            return ("optional", shape(element))
        case plain:
            return plain


def structure(module: t.Module, name: str) -> object:
    (found,) = (one for one in module.types if one.name == name)
    return shape(t.Named(found))


def test_no_error_and_no_warning() -> None:
    diagnostics = Diagnostics(pedantic=True)
    load([*map(str, FILES), str(FILER)], diagnostics=diagnostics)
    assert not list(map(as_text, diagnostics))


def test_ten_files_eight_programs(modules: dict[str, t.Module]) -> None:
    assert set(modules) == {*PROGRAMS, "libvirt_common", "virnetprotocol"}
    found = {
        stem: (program.name, program.number, len(program.procedures))
        for stem, module in modules.items()
        for program in module.programs
    }
    assert found == PROGRAMS


@pytest.mark.parametrize("stem", PROGRAMS)
def test_procedures_are_numbered_without_holes(modules: dict[str, t.Module], stem: str) -> None:
    numbers = sorted(procedure.number for procedure in procedures(modules[stem]))
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("stem", PROGRAMS)
def test_every_procedure_begins_with_a_sentence_of_one_line(
    modules: dict[str, t.Module], stem: str
) -> None:
    sentence = re.compile(r"[A-Z][^.]*(\.\.\.[^.]*)?\.")
    for procedure in procedures(modules[stem]):
        first, _, rest = procedure.doc.partition("\n")
        assert sentence.match(first), (procedure.name, first)
        assert len(first) <= 88, (procedure.name, first)
        assert not rest or rest.startswith("\n"), (procedure.name, rest)


@pytest.mark.parametrize("stem", PROGRAMS)
def test_files_and_programs_are_explained(modules: dict[str, t.Module], stem: str) -> None:
    module = modules[stem]
    assert module.doc
    assert all(program.doc for program in module.programs)


def test_events_are_marked_and_only_they(modules: dict[str, t.Module]) -> None:
    for stem, module in modules.items():
        for procedure in procedures(module):
            marked = ("event", "") in procedure.annotations.pairs
            told = stem == "virkeepaliveprotocol" or _is_message(procedure.argument)
            assert procedure.annotations.event == marked == told, procedure.name


def _is_message(argument: t.Type | None) -> bool:
    return isinstance(argument, t.Named) and argument.definition.name.lower().endswith("msg")


def test_only_authentication_comes_before_authentication(modules: dict[str, t.Module]) -> None:
    found = {
        (stem, procedure.number)
        for stem, module in modules.items()
        for procedure in procedures(module)
        if procedure.annotations.auth_none
    }
    assert found == {("remote_protocol", number) for number in range(66, 71)}


def test_descriptors(modules: dict[str, t.Module]) -> None:
    found = {
        (stem, procedure.number): value
        for stem, module in modules.items()
        for procedure in procedures(module)
        for key, value in procedure.annotations.pairs
        if key == "fds"
    }
    assert found == DESCRIPTORS


def test_streams(modules: dict[str, t.Module]) -> None:
    found: dict[str, set[int]] = {}
    for stem, module in modules.items():
        for procedure in procedures(module):
            if procedure.annotations.stream:
                assert stem == "remote_protocol"
                found.setdefault(procedure.annotations.stream, set()).add(procedure.number)
    assert found == STREAMS


def test_only_volumes_have_sparse_streams(modules: dict[str, t.Module]) -> None:
    remote = procedures(modules["remote_protocol"])
    sparse = {one.number: one.annotations.sparse_flag for one in remote}
    assert {number: flag for number, flag in sparse.items() if flag is not None} == {208: 1, 209: 1}


def test_access_rules_name_what_exists(modules: dict[str, t.Module]) -> None:
    known = constants(modules["libvirt_common"])
    for module in (modules["remote_protocol"], modules["qemu_protocol"], modules["lxc_protocol"]):
        for procedure in procedures(module):
            rules = procedure.annotations.acl
            assert rules, procedure.name
            assert len({rule.object for rule in rules}) == 1, procedure.name
            for rule in (*rules, *procedure.annotations.acl_filter):
                _check_rule(rule, procedure, known)


def _check_rule(rule: t.Access, procedure: t.Procedure, known: dict[str, int]) -> None:
    assert rule.object in ACCESS_OBJECTS | {"none"}, procedure.name
    for name in filter(None, re.split(r"[!|]", rule.flags) + rule.value.split("!")):
        assert name in known, (procedure.name, name)
    if rule.parameter:
        assert isinstance(procedure.argument, t.Named)
        assert isinstance(procedure.argument.definition, t.Struct)
        fields = {field.name for field in procedure.argument.definition.fields}
        assert rule.parameter in fields, procedure.name


def test_header_is_24_bytes(modules: dict[str, t.Module]) -> None:
    limits = constants(modules["virnetprotocol"])
    fields = structure(modules["virnetprotocol"], "virNetMessageHeader")
    assert isinstance(fields, list)
    assert [name for name, _ in fields] == ["prog", "vers", "proc", "type", "serial", "status"]
    assert limits["VIR_NET_MESSAGE_HEADER_XDR_LEN"] * len(fields) == 24
    assert limits["VIR_NET_MESSAGE_HEADER_MAX"] == 24


def test_limits_fit_together(modules: dict[str, t.Module]) -> None:
    limits = constants(modules["virnetprotocol"])
    header = limits["VIR_NET_MESSAGE_HEADER_MAX"]
    assert limits["VIR_NET_MESSAGE_MAX"] == 32 * 2**20
    assert limits["VIR_NET_MESSAGE_PAYLOAD_MAX"] == limits["VIR_NET_MESSAGE_MAX"] - header
    assert limits["VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX"] == 256 * 2**10 - header


def test_packets_in_comments_are_whole(modules: dict[str, t.Module]) -> None:
    programs = {program.number for module in modules.values() for program in module.programs}
    packets = [
        bytes.fromhex(line)
        for stem in ("virnetprotocol", "virkeepaliveprotocol")
        for line in re.findall(
            r"^ \* +((?:[0-9a-f]{8} ?){7,})",
            (ROOT / f"protocols/{stem}.x").read_text(),
            re.MULTILINE,
        )
    ]
    assert len(packets) == 5
    for packet in packets:
        length, program, version, procedure, kind, serial, status = struct.unpack_from(
            ">7I", packet
        )
        assert (length, version, serial, status) == (len(packet), 1, 0, 0)
        assert program in programs
        assert (procedure, kind) in {(66, 0), (66, 1), (1, 2), (2, 2)}


def test_numbers_of_errors_have_no_holes(modules: dict[str, t.Module]) -> None:
    common = modules["libvirt_common"]
    codes = [member.value for member in enum(common, "virErrorNumber").members]
    domains = [member.value for member in enum(common, "virErrorDomain").members]
    assert codes == list(range(114))
    assert domains == list(range(73))


def test_enums_that_a_newer_peer_may_extend_are_open(modules: dict[str, t.Module]) -> None:
    enums = [one for module in modules.values() for one in module.types if isinstance(one, t.Enum)]
    closed = {
        one.name for one in enums if not one.open and not one.name.lower().endswith("procedure")
    }
    assert closed == CLOSED_ENUMS


def test_remote_error_is_the_error_of_the_protocol(modules: dict[str, t.Module]) -> None:
    ours = structure(modules["virnetprotocol"], "virNetMessageError")
    assert structure(modules["remote_protocol"], "remote_error") == ours


def test_typed_parameters_of_both_programs_are_the_same(modules: dict[str, t.Module]) -> None:
    admin = structure(modules["admin_protocol"], "admin_typed_param")
    assert structure(modules["remote_protocol"], "remote_typed_param") == admin


def test_groups_of_procedures_and_of_their_structs_are_the_same() -> None:
    text = (ROOT / "protocols/remote_protocol.x").read_text()
    calls, structs = text.split("enum remote_procedure {")[1].split("\n};\n", 1)
    heading = re.compile(r"^ */\*\n +\* (.+)\n(?: +\*(?!/).*\n)* +\*/\n\n", re.MULTILINE)
    titles = [match[1] for match in heading.finditer(calls)]
    assert len(titles) > 30
    assert [match[1] for match in heading.finditer(structs)][1:] == titles


def test_structs_stand_in_the_order_of_their_procedures(modules: dict[str, t.Module]) -> None:
    remote = modules["remote_protocol"]
    order = {one.name.lower(): place for place, one in enumerate(remote.types)}
    names = [
        member.name[len("REMOTE_PROC_") :].lower()
        for member in enum(remote, "remote_procedure").members
    ]
    places = [
        order[f"remote_{name}_{role}"]
        for name in names
        for role in ("args", "ret", "msg")
        if f"remote_{name}_{role}" in order
    ]
    assert places == sorted(places)


def test_filer_shows_every_kind_of_procedure() -> None:
    (module,) = load([str(FILER)])
    (program,) = module.programs
    found = {
        "call": any(one.result for one in program.procedures),
        "upload": any(one.annotations.stream == "write" for one in program.procedures),
        "download": any(one.annotations.stream == "read" for one in program.procedures),
        "event": any(one.annotations.event for one in program.procedures),
    }
    assert all(found.values()), found
    written = [one for one in module.types if not (isinstance(one, t.Struct) and one.implicit)]
    assert all(one.doc for one in (*program.procedures, *written, module, program))
