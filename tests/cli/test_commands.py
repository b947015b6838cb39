"""The command as a whole: usage, exit codes, streams, and the commands that write no files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import Command, Process

from rpcgen import __version__
from rpcgen.errors import Location, SpecError, as_github

GOOD = "// A place.\nstruct point { int x; int fooBar; };\n"
BAD = "struct line { pont from; };\nstruct point { int x; };\nconst A = B;\n"


@pytest.fixture(autouse=True)
def definitions(folder: Path) -> None:
    (folder / "good.x").write_text(GOOD)
    (folder / "bad.x").write_text(BAD)


# Usage


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["compile"], "invalid choice: 'compile'"),
        (["generate"], "no FILE.x given, and no [tool.rpcgen] in a pyproject.toml here or above"),
        (["generate", "-o", "out"], "-o, --package and -I need a FILE.x"),
        (
            ["generate", "good.x", "--package", "a-b"],
            "expected the dotted name of a package, got 'a-b'",
        ),
        (["generate", "good.x", "-D", "2=3"], "expected NAME=VALUE, got '2=3'"),
        (["generate", "good.x", "--chec"], "unrecognized arguments: --chec"),
        (["generate", "good.x", "-q", "-v"], "not allowed with"),
        (["lint", "good.x", "--format", "xml"], "invalid choice: 'xml'"),
        (["dump"], "required: FILE.x"),
        (["dump", "good.x", "bad.x"], "unrecognized arguments: bad.x"),
    ],
)
def test_wrong_usage(rpcgen: Command, arguments: list[str], message: str) -> None:
    result = rpcgen(*arguments)
    assert (result.status, result.out) == (2, "")
    assert message in result.err


def test_version(rpcgen: Command) -> None:
    assert rpcgen("--version") == (0, f"rpcgen {__version__}\n", "")


def test_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rpcgen", "--version"], capture_output=True, check=True
    )
    assert done.stdout == f"rpcgen {__version__}\n".encode()


# lint


def test_lint_of_a_good_file_is_silent(rpcgen: Command) -> None:
    assert rpcgen("lint", "good.x") == (0, "", "")


def test_lint_tells_all_errors_in_order(rpcgen: Command) -> None:
    result = rpcgen("lint", "bad.x")
    assert (result.status, result.out) == (1, "")
    places = [
        line.partition(": error: ")[0] for line in result.err.splitlines() if ": error: " in line
    ]
    assert places == ["bad.x:1:15", "bad.x:3:11"]


def test_lint_for_programs(rpcgen: Command) -> None:
    result = rpcgen("lint", "bad.x", "good.x", "--format", "json")
    assert (result.status, result.err) == (1, "")
    first = json.loads(result.out)[0]
    assert (first["severity"], first["file"], first["line"], first["column"]) == (
        "error",
        "bad.x",
        1,
        15,
    )


def test_lint_for_github(rpcgen: Command) -> None:
    result = rpcgen("lint", "bad.x", "--format", "github")
    assert (result.status, result.err) == (1, "")
    assert result.out.startswith("::error file=bad.x,line=1,col=15::")


def test_a_github_command_is_not_ended_by_a_file_name() -> None:
    found = SpecError("50% off\nnow", Location("a,b:c%.x", 1, 2))
    assert as_github(found) == "::error file=a%2Cb%3Ac%25.x,line=1,col=2::50%25 off%0Anow"


def test_lint_json_of_nothing_wrong_is_an_empty_array(rpcgen: Command) -> None:
    assert json.loads(rpcgen("lint", "good.x", "--format", "json").out) == []


def test_pedantic_lint_warns_and_passes(rpcgen: Command) -> None:
    result = rpcgen("lint", "good.x", "--pedantic")
    assert result.status == 0
    assert result.err.startswith("good.x:1:1: warning: ")


def test_lint_sees_names_that_meet_in_python(rpcgen: Command, folder: Path) -> None:
    (folder / "meet.x").write_text("struct s { int fooBar; int foo_bar; };\n")
    assert "meet.x:1:28: error: " in rpcgen("lint", "meet.x").err
    (folder / "pyproject.toml").write_text('[tool.rpcgen.rename]\n"s.fooBar" = "other"\n')
    assert rpcgen("lint", "meet.x") == (0, "", "")


def test_lint_without_files_takes_those_of_the_project(rpcgen: Command, folder: Path) -> None:
    (folder / "pyproject.toml").write_text(
        '[[tool.rpcgen.output]]\ninputs = ["b*.x"]\ndirectory = "out"\n'
    )
    assert rpcgen("lint").err.startswith("bad.x:")


def test_lint_looks_where_the_project_does(rpcgen: Command, folder: Path) -> None:
    (folder / "shared").mkdir()
    (folder / "shared/size.x").write_text("const SIZE = 3;\n")
    (folder / "user.x").write_text('%#include "size.h"\ntypedef opaque three[SIZE];\n')
    assert rpcgen("lint", "user.x").status == 1
    (folder / "pyproject.toml").write_text(
        '[[tool.rpcgen.output]]\ninputs = ["user.x"]\ndirectory = "out"\ninclude = ["shared"]\n'
    )
    assert rpcgen("lint", "user.x") == (0, "", "")


def test_constants_file_that_is_wrong_is_an_error_among_others(rpcgen: Command) -> None:
    found = json.loads(rpcgen("lint", "good.x", "--constants", "none.h", "--format", "json").out)
    assert [one["message"] for one in found] == ["cannot read 'none.h': No such file or directory"]


# dump


def test_dump_shows_python_names_beside_those_of_the_file(rpcgen: Command) -> None:
    (point,) = json.loads(rpcgen("dump", "good.x").out)["types"]
    assert (point["name"], point["python"]) == ("point", "Point")
    assert [(one["name"], one["python"]) for one in point["fields"]] == [
        ("x", "x"),
        ("fooBar", "foo_bar"),
    ]


def test_dump_names_every_kind_of_thing(rpcgen: Command, folder: Path) -> None:
    (folder / "all.x").write_text(
        "const A = 1;\nenum e { E_A, E_B };\nunion u switch (e k) { case E_A: int v; default: void; };\n"
        "program P_PROG { version P_V { u GET(int a) = 1; } = 1; } = 9;\n"
    )
    model = json.loads(rpcgen("dump", "all.x").out)
    (program,) = model["programs"]
    assert [one["python"] for one in model["constants"] + model["types"]] == ["A", "E", "U"]
    assert [one["python"] for one in model["types"][0]["members"]] == ["E_A", "E_B"]
    assert (program["python"], program["procedures"][0]["python"]) == ("PV", "get")


def test_dump_of_the_tree_has_the_place_of_each_node(rpcgen: Command) -> None:
    tree = json.loads(rpcgen("dump", "--tree", "good.x").out)
    (point,) = tree["definitions"]
    assert (point["node"], point["name"]["text"], point["at"]) == (
        "StructDefinition",
        "point",
        "good.x:2:1",
    )
    assert [one["form"] for one in point["fields"]] == ["T x", "T x"]


@pytest.mark.parametrize("option", [[], ["--tree"]])
def test_dump_of_a_missing_file(rpcgen: Command, option: list[str]) -> None:
    result = rpcgen("dump", "none.x", *option)
    assert (result.status, result.out) == (1, "")
    assert "none.x" in result.err
    assert result.err.count("\n") == 1


def test_dump_of_a_bad_file(rpcgen: Command) -> None:
    result = rpcgen("dump", "bad.x")
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("bad.x:1:15: error: ")


# Streams


def test_a_reader_that_has_gone_is_no_traceback(folder: Path) -> None:
    (folder / "long.x").write_text("".join(f"const A{n} = {n};\n" for n in range(2000)))
    with subprocess.Popen(
        [sys.executable, "-m", "rpcgen", "dump", "long.x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 1


def test_output_that_cannot_be_written_is_one_line(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rpcgen", "dump", "good.x"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"rpcgen: error: No space left on device\n")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_closed_stream_is_no_reason_to_fail(process: Process, stream: str) -> None:
    closing = f"import os; os.close(sys.{stream}.fileno()); sys.{stream} = None"
    assert process("lint", "bad.x", before=closing).status == 1
    assert process("dump", "good.x", before=closing)[0] == 0


def test_names_that_the_terminal_cannot_show(process: Process, folder: Path) -> None:
    name = os.fsdecode(b"\xff.x")
    (folder / name).write_text(BAD)
    result = process("lint", name, "--format", "github", PYTHONIOENCODING="ascii")
    assert result.status == 1
    assert result.out.startswith("::error file=\\udcff.x,line=1")
