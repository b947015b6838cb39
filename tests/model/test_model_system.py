"""Debian's ``.x`` files mean what their C means."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import require
from interop.sources import CONSTANTS, system

from rpcgen.errors import Diagnostics
from rpcgen.model import load
from rpcgen.model import types as t


@pytest.fixture(scope="module")
def modules() -> dict[str, t.Module]:
    """All of them by stem, loaded in one run."""
    absent = [path.name for path in system() if not path.exists()]
    require(not absent, f"not installed: {', '.join(absent)}")
    found = Diagnostics()
    loaded = load([str(path) for path in system()], constants=CONSTANTS, diagnostics=found)
    assert [str(one) for one in found] == []
    return {one.stem: one for one in loaded}


def test_lists_are_chains(modules: dict[str, t.Module]) -> None:
    types = [one for module in modules.values() for one in module.types]
    chains = {one.name for one in types if isinstance(one, t.Struct) and one.chain}
    assert chains == {"entry", "exportnode", "groupnode", "mountbody", "ypmaplist"}


def test_a_header_is_an_import_and_an_include_is_not(modules: dict[str, t.Module]) -> None:
    assert modules["nis_callback"].imports == [modules["nis"]]
    assert modules["nis"].imports == []
    assert [Path(file).name for file in modules["nis"].inputs] == ["nis.x", "nis_object.x"]


@pytest.mark.parametrize(
    ("stem", "programs"),
    [
        ("key_prot", [(100029, 1, 5), (100029, 2, 10)]),
        ("nfs_prot", [(100003, 2, 18)]),
        ("rstat", [(100001, 3, 2), (100001, 2, 2), (100001, 1, 2)]),
        ("yp", [(100004, 2, 12), (0x40000000, 1, 2), (100007, 2, 3)]),
    ],
)
def test_programs(
    modules: dict[str, t.Module], stem: str, programs: list[tuple[int, int, int]]
) -> None:
    found = modules[stem].programs
    assert [(one.number, one.version, len(one.procedures)) for one in found] == programs


def test_a_text_constant(modules: dict[str, t.Module]) -> None:
    values = {one.name: one.value for one in modules["key_prot"].constants}
    assert values["HEXMODULUS"] == "d4a0ba0250b6fd2ec626e7efd637df76c716e22d0944b88b"
    assert values["PROOT"] == 3
