"""What tests of locks and pidfiles start from: another process, and a path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from process.kit import IMPORT, Other, another


@pytest.fixture
def other() -> Iterator[Other]:
    """Another process, with everything imported."""
    with another(IMPORT) as one:
        yield one


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A path at which there is nothing."""
    return tmp_path / "x.pid"
