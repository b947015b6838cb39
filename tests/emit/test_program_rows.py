"""The ``program`` module: rows and codecs."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import bindings
import pytest
import scripted

from rpcgen.model import load
from rpcgen.runtime.errors import XdrEncodeError
from rpcgen.runtime.program import VOID


def test_a_row_holds_everything_that_the_file_says(depot: SimpleNamespace) -> None:
    row = depot.DEPOT_PROC_OPEN
    assert row is depot.DEPOT_PROGRAM.procedures[1]
    assert (row.program.number, row.program.version, row.number) == (0x20001234, 3, 1)
    assert (row.name, row.method) == ("DEPOT_PROC_OPEN", "open")
    assert row.encode_argument(depot.DepotOpenArgs("/", 7)) == b"\0\0\0\1/\0\0\0\0\0\0\7"
    assert row.read_argument(b"\0\0\0\1/\0\0\0\0\0\0\7tail", 0) == (depot.DepotOpenArgs("/", 7), 12)
    assert (row.encode_result, row.read_result) == VOID
    assert (row.parameters, row.wrap) == (("root", "flags"), None)
    assert (row.generate, row.priority, row.auth_none) == ("none", "high", True)
    assert row.acl == ("depot:open:!FORCE", "depot:read")
    assert row.acl_filter == ("depot:see",)
    assert not any((row.event, row.stream, row.fds_in, row.fds_out, row.nonblocking))
    assert repr(row) == "<Procedure DEPOT_PROC_OPEN (1)>"
    assert repr(row.program) == "<Program DEPOT_PROGRAM (0x20001234), version 3>"


def test_rows_hold_the_annotations_of_streams_events_and_descriptors(
    depot: SimpleNamespace,
) -> None:
    read, write = depot.DEPOT_PROC_READ, depot.DEPOT_PROC_WRITE
    assert (read.stream, read.sparse_flag, write.stream, write.sparse_flag) == (
        "read",
        4,
        "write",
        0,
    )
    assert depot.DEPOT_PROC_LIST.nonblocking
    assert depot.DEPOT_PROC_CHANGED.event
    assert (depot.DEPOT_PROC_ATTACH.fds_in, depot.DEPOT_PROC_ATTACH.fds_out) == (True, False)
    assert (depot.DEPOT_PROC_TAKE.fds_in, depot.DEPOT_PROC_TAKE.fds_out) == (False, True)
    assert (depot.DEPOT_PROC_SWAP.fds_in, depot.DEPOT_PROC_SWAP.fds_out) == (True, True)
    assert sorted(depot.DEPOT_PROGRAM.procedures) == list(range(1, 15))


def test_versions_of_a_program_have_rows_of_their_own(calc: SimpleNamespace) -> None:
    assert (calc.CALC_V1.number, calc.CALC_V1.version) == (100999, 1)
    assert (calc.CALC_V2.number, calc.CALC_V2.version) == (100999, 2)
    assert calc.CALC_V1_ADD.encode_result(3) == b"\0\0\0\3"
    assert calc.CALC_V2_ADD.encode_result(3) == b"\0\0\0\0\0\0\0\3"


def test_payloads_without_a_type_of_their_own_have_codecs(calc: SimpleNamespace) -> None:
    assert calc.CALC_V1_ECHO.encode_argument("hi") == b"\0\0\0\2hi\0\0"
    assert calc.CALC_V1_ECHO.read_argument(b"\0\0\0\2hi\0\0more", 0) == ("hi", 8)
    assert calc.CALC_V1_FIND.encode_result(None) == b"\0\0\0\0"
    assert calc.CALC_V1_FIND.read_result(b"\0\0\0\1" + b"\0\0\0\2" * 2, 0) == (calc.Pair(2, 2), 12)
    with pytest.raises(XdrEncodeError, match="int"):
        calc.CALC_V1_ADD.encode_result("3")


def test_void_takes_nothing_but_none() -> None:
    encode, read = VOID
    assert encode(None) == b""
    assert read(b"newer", 2) == (None, 2)
    with pytest.raises(XdrEncodeError, match="expected None for void, got int"):
        encode(0)  # type: ignore[arg-type]


def test_payloads_may_be_of_a_type_from_another_file(tmp_path: Path) -> None:
    (tmp_path / "shared.x").write_text("struct pair { int a; int b; }; struct one { pair p; };")
    (tmp_path / "user.x").write_text(
        '%#include "shared.h"\n'
        "program P { version V { one SWAP(pair) = 1; pair *FIND(pair *) = 2; } = 1; } = 1;"
    )
    bindings.generate(load([str(tmp_path / "user.x")]), tmp_path, "foreign")
    with bindings.importable(tmp_path, "foreign"):
        program = importlib.import_module("foreign.user.program")
        types = importlib.import_module("foreign.shared.types")
        client = importlib.import_module("foreign.user.client")
    caller = scripted.Caller([types.One(types.Pair(2, 1)), types.Pair(3, 4)])
    assert program.V_SWAP.wrap is types.One
    assert client.VClient(caller).swap(1, 2) == types.Pair(2, 1)
    assert client.VClient(caller).find() == types.Pair(3, 4)
    assert [one.payload for one in caller.sent] == [b"\0\0\0\1\0\0\0\2", b"\0\0\0\0"]


def test_codecs_of_bare_payloads_have_names_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "bare.x").write_text(
        "struct x { x kids<5>; }; struct deeper_x { int i; };"
        "program P { version V { x *A(deeper_x *) = 1; } = 1; } = 1;"
    )
    bindings.generate(load([str(tmp_path / "bare.x")]), tmp_path, "bare")
    with bindings.importable(tmp_path, "bare"):
        row = importlib.import_module("bare.bare.program").V_A
        types = importlib.import_module("bare.bare.types")
    assert row.encode_argument(types.DeeperX(3)) == b"\0\0\0\1\0\0\0\3"
    assert row.encode_result(types.X([])) == b"\0\0\0\1\0\0\0\0"
