"""``[tool.rpcgen]``: found from anywhere below, and every mistake in it told with its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from rpcgen.config import Config, Output, find_config
from rpcgen.errors import SpecErrors, as_text

FULL = """
[tool.rpcgen]
constants-files = ["limits.h"]

[[tool.rpcgen.output]]
inputs = ["proto/*.x", "more/**/*.x"]
directory = "src/acme"
package = "acme"
include = ["shared"]
wire-lock = "proto/wire.lock"

[tool.rpcgen.constants]
MAX = 64

[tool.rpcgen.rename]
"list.class" = "kind"
"""


def project(folder: Path, text: str) -> Path:
    for name in ("proto/b.x", "proto/a.x", "more/deep/c.x"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "pyproject.toml").write_text(text)
    return folder


def test_reads_all_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project(tmp_path, FULL))
    inputs = ("more/deep/c.x", "proto/a.x", "proto/b.x")
    output = Output(inputs, "src/acme", "acme", ("shared",), "proto/wire.lock")
    assert find_config() == Config((output,), {"MAX": 64}, ("limits.h",), {"list.class": "kind"})


def test_is_found_from_below_and_its_paths_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project(tmp_path, FULL) / "more" / "deep")
    (output,) = find_config().output
    assert output.inputs == ("c.x", "../../proto/a.x", "../../proto/b.x")
    assert output.directory == "../../src/acme"


def test_a_nearer_file_without_the_table_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = project(tmp_path, FULL) / "more"
    (below / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    monkeypatch.chdir(below)
    assert find_config().constants == {"MAX": 64}


def test_none_is_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config() == Config()


TABLE = '[[tool.rpcgen.output]]\ninputs = ["proto/*.x"]\ndirectory = "out"\n'


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("[tool.rpcgen", ["pyproject.toml: Expected ']'"]),
        ("[tool]\nrpcgen = 3", ["tool.rpcgen: expected a table, found 3"]),
        ("[tool.rpcgen.output]\ninputs = []", ["tool.rpcgen.output: expected an array of tables"]),
        ("[[tool.rpcgen.output]]", ["output[0].inputs: missing", "output[0].directory: missing"]),
        (TABLE.replace("proto", "none"), ["output[0].inputs: no file matches 'none/*.x'"]),
        (
            TABLE.replace('["proto/*.x"]', '"a.x"'),
            ["inputs: expected an array of strings, found 'a.x'"],
        ),
        (TABLE.replace('"proto/*.x"', "7"), ["inputs[0]: expected a string, found 7"]),
        (
            TABLE + "package = 'no-name'",
            ["package: expected the name of a package, found 'no-name'"],
        ),
        (
            TABLE + "package = 'a.class'",
            ["package: expected the name of a package, found 'a.class'"],
        ),
        (
            TABLE + "wire-lok = 'x'",
            ["output[0].wire-lok: unknown key\n    hint: did you mean 'wire-lock'?"],
        ),
        (TABLE + "zzz = 1", ["output[0].zzz: unknown key"]),
        (
            "[tool.rpcgen.constants]\nA = '1'\nB = true",
            ["constants.A: expected an integer", "constants.B"],
        ),
        ("[tool.rpcgen]\nconstants = []", ["tool.rpcgen.constants: expected a table, found []"]),
        ("[tool.rpcgen.rename]\na = 'b-c'", ["rename.a: expected a Python name, found 'b-c'"]),
        ("[tool.rpcgen.rename]\na = 1", ["rename.a: expected a Python name, found 1"]),
    ],
)
def test_says_what_is_wrong_and_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, messages: list[str]
) -> None:
    monkeypatch.chdir(project(tmp_path, text))
    with pytest.raises(SpecErrors) as caught:
        find_config()
    told = [as_text(error) for error in caught.value.errors]
    assert len(told) == len(messages)
    for line, message in zip(told, messages, strict=True):
        assert "pyproject.toml: " in line
        assert message in line
