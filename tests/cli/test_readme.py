"""The README's code is run, and what it shows is what comes out."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import Command

from rpcgen.runtime import Server

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


@pytest.fixture
def address(rpcgen: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the tutorial's server listens, started as the tutorial says."""
    Path("greeter.x").write_text(blocks("c")[0])
    assert rpcgen("generate", "greeter.x").status == 0
    monkeypatch.syspath_prepend(folder)
    names: dict[str, Any] = {"__name__": "serve"}
    exec(blocks("python")[0], names)  # noqa: S102
    address = f"unix://{folder}/s"
    with Server([names["Greeter"]()], listen=[address]):
        yield address
    for name in [name for name in sys.modules if name.partition(".")[0] == "greeter"]:
        del sys.modules[name]


def shown(code: str, address: str) -> str:
    """What a client of the tutorial prints."""
    assert code.count("unix:///tmp/greeter.sock") == 1
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(code.replace("unix:///tmp/greeter.sock", address), {})  # noqa: S102
    return output.getvalue()


def test_what_the_first_command_shows_comes_out(rpcgen: Command) -> None:
    result = rpcgen("demo")
    assert result.status == 0
    assert blocks("")[0] in result.out


def test_the_tutorials_client_is_greeted_and_refused(address: str) -> None:
    assert shown(blocks("python")[1], address) == "Hello, Ada!\nrefused: whom?\n"


def test_the_tutorials_asyncio_client_sees_events(address: str) -> None:
    first, *greeted = shown(blocks("python")[2], address).splitlines()
    assert first == "['Hello, Ada!', 'Hello, Grace!', 'Hello, Barbara!']"
    assert sorted(greeted) == ["greeted: Ada", "greeted: Barbara", "greeted: Grace"]


def test_the_tutorials_definition_has_ten_lines() -> None:
    assert len(blocks("c")[0].splitlines()) == 10
