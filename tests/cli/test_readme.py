"""The README's Python is run, and what it shows is what comes out."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import sys
from pathlib import Path

import pytest
from command import Command

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def test_first_command_shows_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "generated")
    (code,) = re.findall(r"python -c '\n(.*)'", blocks("sh")[0], re.DOTALL)
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        exec(code, {})  # noqa: S102
    assert shown.getvalue() == blocks("")[0]


def test_example_does_what_it_says(
    rpcgen: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rpcgen("generate", str(ROOT / "rpcgen/examples/filer/filer.x"))
    monkeypatch.syspath_prepend(folder)
    (code,) = blocks("python")
    message = code.rpartition("# XdrEncodeError: ")[2].strip()
    errors = importlib.import_module("rpcgen.runtime.errors")
    try:
        with pytest.raises(errors.XdrEncodeError) as caught:
            exec(code, {})  # noqa: S102
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "filer"]:
            del sys.modules[name]
    assert str(caught.value) == message


def test_part_of_the_example_is_part_of_it() -> None:
    text = (ROOT / "rpcgen/examples/filer/filer.x").read_text()
    assert blocks("c")[0] in text
