"""The public names of the runtime: all there, and none imported before it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import rpcgen.runtime

ROOT = Path(__file__).parents[2]
OURS = {"rpcgen.runtime", "rpcgen.runtime.exports"}


@pytest.mark.parametrize("name", rpcgen.runtime.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(rpcgen.runtime, name) is not None
    assert name in dir(rpcgen.runtime)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(
        AttributeError, match=r"module 'rpcgen\.runtime' has no attribute 'Nothing'"
    ):
        _ = rpcgen.runtime.Nothing  # type: ignore[attr-defined]


def test_the_package_alone_imports_nothing_more() -> None:
    code = f"import sys; sys.path.append({str(ROOT)!r}); import rpcgen.runtime; print(*sys.modules)"
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    brought = set(done.stdout.split())
    assert {name for name in brought if "rpcgen." in name} == OURS
    assert "typing" not in brought
