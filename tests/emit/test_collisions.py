"""Two .x names that become one Python name are an error that names both; a rename resolves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rpcgen.emit.render import render_module
from rpcgen.errors import SpecErrors, as_text
from rpcgen.model import load

CASES = {
    "types": ("struct fooBar { int a; };\nstruct foo_bar { int a; };\n", "foo_bar", "2:8"),
    "fields": ("struct s {\n  int aB;\n  int a_b;\n};\n", "s.a_b", "3:7"),
    "constants": ("const None = 1;\nconst None_ = 2;\n", "None_", "2:7"),
    "members": ("enum e {\n  None = 1,\n  None_ = 2\n};\n", "e.None_", "3:3"),
    "arms": (
        "union u switch (int k) {\ncase 1: void;\ndefault: void;\n};\nstruct u1 { int a; };\n",
        "u1",
        "5:8",
    ),
    "procedures": (
        "program P {\n  version V {\n    void getIt(void) = 1;\n    void GET_IT(void) = 2;\n"
        "  } = 1;\n} = 7;\n",
        "GET_IT",
        "4:10",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_two_names_that_meet_are_an_error_at_the_second(case: str, tmp_path: Path) -> None:
    text, _, place = CASES[case]
    with pytest.raises(SpecErrors) as found:
        render(tmp_path, text, {})
    (error,) = found.value.errors
    assert f"{error.at}".endswith(place)
    assert "both become" in error.message
    assert "is here" in as_text(error)


@pytest.mark.parametrize("case", CASES)
def test_a_rename_resolves_it(case: str, tmp_path: Path) -> None:
    text, renamed, _ = CASES[case]
    files = render(tmp_path, text, {renamed: "another_name"})
    assert any("another_name" in text.lower() or "AnotherName" in text for text in files.values())


def render(folder: Path, text: str, rename: dict[str, str]) -> dict[str, str]:
    file = folder / "spec.x"
    file.write_text(text)
    (module,) = load([str(file)])
    return render_module(module, package="", rename=rename)
