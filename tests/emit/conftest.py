"""Generated packages that several tests of the templates use."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import bindings
import pytest

from rpcgen.model import load

SPECS = Path(__file__).parent / "stubs"
MODULES = ("types", "program", "client", "server")


@pytest.fixture(scope="session")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the package ``stubs``, generated from ``stubs/*.x``."""
    folder = tmp_path_factory.mktemp("stubs")
    bindings.generate(load([str(SPECS / "depot.x"), str(SPECS / "calc.x")]), folder, "stubs")
    return folder


@pytest.fixture
def depot(stubs: Path) -> Iterator[SimpleNamespace]:
    """All names of the modules generated from ``depot.x``."""
    yield from _names(stubs, "depot")


@pytest.fixture
def calc(stubs: Path) -> Iterator[SimpleNamespace]:
    """All names of the modules generated from ``calc.x``."""
    yield from _names(stubs, "calc")


def _names(folder: Path, stem: str) -> Iterator[SimpleNamespace]:
    with bindings.importable(folder, "stubs"):
        names = SimpleNamespace()
        for module in MODULES:
            vars(names).update(vars(importlib.import_module(f"stubs.{stem}.{module}")))
        yield names
