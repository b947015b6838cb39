"""Whoever knows a name from a .x file finds it, verbatim, in the generated package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rpcgen.model import load
from rpcgen.model import types as t

ROOT = Path(__file__).parents[1]
PACKAGES = {
    **{
        path: ROOT / "generated/libvirt_rpc" / path.stem
        for path in (ROOT / "protocols").glob("*.x")
    },
    ROOT / "rpcgen/examples/filer/filer.x": ROOT / "rpcgen/examples/filer/bindings/filer",
}


@pytest.mark.parametrize("spec", sorted(PACKAGES), ids=lambda path: path.stem)
def test_every_name_of_the_file_is_in_the_output(spec: Path) -> None:
    (module,) = load([str(spec)])
    text = "\n".join(path.read_text() for path in sorted(PACKAGES[spec].glob("*.py")))
    words = set(re.findall(r"\w+", text))
    assert set(spelled(module)) - words == set()


def spelled(module: t.Module) -> list[str]:
    """Every identifier that the file defines."""
    names = [one.name for one in module.constants]
    for definition in module.types:
        names.append(definition.name)
        match definition:
            case t.Enum(members=members):
                names += [one.name for one in members]
            case t.Struct(fields=fields):
                names += [one.name for one in fields]
            case t.Union(discriminant=discriminant, arms=arms):
                names += [discriminant.name, *(arm.field.name for arm in arms if arm.field)]
    for program in module.programs:
        names += [program.name, program.version_name, *(one.name for one in program.procedures)]
    return names
