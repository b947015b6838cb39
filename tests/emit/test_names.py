"""The one place where a .x name becomes a Python name: a table of the odd cases, and every keyword."""

from __future__ import annotations

import builtins
import enum
import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcgen.emit import names


@pytest.mark.parametrize(
    ("x", "python"),
    [
        ("remote_nonnull_domain", "RemoteNonnullDomain"),
        ("virNetMessageHeader", "VirNetMessageHeader"),
        ("NFS_FH3", "NfsFh3"),
        ("usageID", "UsageID"),
        ("x", "X"),
        ("A", "A"),
        ("a__b", "AB"),
        ("_hidden", "Hidden_"),
        ("__", "X__"),
        ("_1", "X1_"),
        ("error", "Error"),
        ("none", "None_"),
        ("final", "Final_"),
        ("exception", "Exception_"),
        ("xdr_struct", "XdrStruct_"),
        ("type_alias", "TypeAlias_"),
    ],
)
def test_types_are_cap_words(x: str, python: str) -> None:
    assert names.type_name(x) == python


@pytest.mark.parametrize(
    ("x", "python"),
    [
        ("entryIds", "entry_ids"),
        ("libVer", "lib_ver"),
        ("usageID", "usage_id"),
        ("callbackID", "callback_id"),
        ("HTTPServer", "http_server"),
        ("nrVirtCpu", "nr_virt_cpu"),
        ("cpu_time", "cpu_time"),
        ("REMOTE", "remote"),
        ("from", "from_"),
        ("lambda", "lambda_"),
        ("id", "id"),
        ("type", "type"),
        ("list", "list_"),
        ("bytes", "bytes_"),
        ("_id", "id_"),
        ("__", "__"),
        ("__2nd", "x2nd__"),
        ("x1Y", "x1_y"),
        ("self", "self_"),
    ],
)
def test_values_are_snake_case(x: str, python: str) -> None:
    assert names.value_name(x) == python


@pytest.mark.parametrize("x", ["call", "timeout", "fds"])
def test_a_parameter_gives_way_to_those_that_every_stub_has(x: str) -> None:
    assert names.value_name(x) == x
    assert names.parameter_name(x) == x + "_"


@pytest.mark.parametrize("x", ["TYPE_CHECKING", "annotations", "__doc__", "__name__"])
def test_constants_and_rows_leave_to_a_module_what_it_has(x: str) -> None:
    assert names.constant_name(x) == names.row_name(x) == x + "_"


@pytest.mark.parametrize("x", ["_1", "__2"])
def test_no_digit_is_left_to_begin_a_name(x: str) -> None:
    check_usable(x)


@pytest.mark.parametrize(
    ("label", "suffix"),
    [("20", "20"), ("-1", "Minus1"), ("NFS_OK", "NfsOk"), ("TRUE", "True"), ("a", "A")],
)
def test_an_arm_is_named_after_its_first_label(label: str, suffix: str) -> None:
    assert names.arm_suffix(label) == suffix


@pytest.mark.parametrize(
    ("x", "python"),
    [
        ("REMOTE_PROGRAM", "Remote"),
        ("VIR_LOCK_SPACE_PROTOCOL_PROGRAM", "VirLockSpaceProtocol"),
        ("FILER_PROG", "Filer"),
        ("FILER_V1", "FilerV1"),
        ("PROGRAM", "Program"),
    ],
)
def test_a_program_loses_its_suffix(x: str, python: str) -> None:
    assert names.program_name(x) == python


@pytest.mark.parametrize(
    ("stem", "module"),
    [("my-proto", "my_proto"), ("2nd", "_2nd"), ("class", "class_"), ("a.b", "a_b"), ("", "_")],
)
def test_a_module_is_an_identifier(stem: str, module: str) -> None:
    assert names.module_name(stem) == module


IDENTIFIERS = sorted(
    {*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *dir(enum.IntEnum), *names.CLASSES}
)


@pytest.mark.parametrize("x", IDENTIFIERS)
def test_every_name_that_python_knows_becomes_a_usable_one(x: str) -> None:
    check_usable(x)


@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True))
def test_every_identifier_becomes_a_usable_one(x: str) -> None:
    check_usable(x)


def check_usable(x: str) -> None:
    made = {
        names.type_name(x),
        names.value_name(x),
        names.parameter_name(x),
        names.constant_name(x),
        names.member_name(x),
        names.module_name(x),
    }
    assert all(name.isidentifier() and not keyword.iskeyword(name) for name in made)
    assert names.type_name(x) not in names.CLASSES
    assert names.value_name(x) not in names.USED_IN_ANNOTATIONS
    enum.IntEnum("Probe", {names.member_name(x): 1})
