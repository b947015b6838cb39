"""What tests of both sessions start from: a server that answers from a script, and its path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_driver import Driver, serving

from rpcgen.runtime.server import Server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def server(driver: Driver, path: Path) -> Iterator[Server]:
    with serving(driver, path) as server:
        yield server
