"""Names of stubs that meet, and names that give way."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from rpcgen.emit.render import render_module
from rpcgen.errors import SpecErrors
from rpcgen.model import load


def _rendered(tmp_path: Path, text: str, **rename: str) -> dict[str, str]:
    path = tmp_path / "given.x"
    path.write_text(text)
    (module,) = load([str(path)])
    return render_module(module, package="stubs", rename=rename)


@pytest.mark.parametrize(
    ("procedures", "message"),
    [
        (
            "void on_tick(void) = 1;\n/* @event */ void tick(void) = 2;",
            "'tick' and 'on_tick' both become 'on_tick' in Python",
        ),
        (
            "void send_tick(void) = 1;\n/* @event */ void tick(void) = 2;",
            "'tick' and 'send_tick' both become 'send_tick' in Python",
        ),
        (
            "void fooBar(void) = 1; void foo_bar(void) = 2;",
            "'foo_bar' and 'fooBar' both become 'foo_bar' in Python",
        ),
        (
            "void GO(int call, int call_) = 1;",
            "'GO_args.call_' and 'GO_args.call' both become 'call_' in Python",
        ),
        (
            "/* @event */ void GO(int to, int to_) = 1;",
            "'GO_args.to_' and 'GO_args.to' both become 'to_' in Python",
        ),
    ],
)
def test_names_that_meet_are_an_error(tmp_path: Path, procedures: str, message: str) -> None:
    with pytest.raises(SpecErrors) as caught:
        _rendered(tmp_path, f"program P {{ version V {{ {procedures} }} = 1; }} = 1;")
    assert [one.message for one in caught.value.errors] == [message]


def test_programs_whose_classes_meet_are_an_error(tmp_path: Path) -> None:
    versions = "program P { version X { void A(void) = 1; } = 1; version ASYNC_X { void A(void) = 1; } = 2; } = 1;"
    with pytest.raises(SpecErrors, match="both become 'AsyncXClient' in Python"):
        _rendered(tmp_path, versions)


def test_a_rename_resolves_what_meets(tmp_path: Path) -> None:
    text = "program P { version V { void fooBar(void) = 1; void foo_bar(void) = 2; } = 1; } = 1;"
    assert "def other(self" in _rendered(tmp_path, text, fooBar="other")["client.py"]


def test_types_called_as_something_of_ours_give_way(calc: SimpleNamespace, stubs: Path) -> None:
    assert calc.CalcV1Client.next.__annotations__["value"] == "_Call | None"
    assert "import Call as _Call" in (stubs / "stubs" / "calc" / "server.py").read_text()


def test_output_is_the_same_every_time(tmp_path: Path) -> None:
    text = (Path(__file__).parent / "stubs" / "calc.x").read_text()
    assert _rendered(tmp_path, text) == _rendered(tmp_path, text)
