"""Real daemons: each test process has its own, so that parallel ones do not meet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from interop.daemons import Libvirtd, Pool, Virtlockd, Virtlogd, directory_pool, running
from interop.sshd import Sshd, sshd_running


@pytest.fixture(scope="session")
def libvirtd() -> Iterator[Libvirtd]:
    """A libvirtd, with its test driver and its storage driver."""
    with running(Libvirtd) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def virtlockd() -> Iterator[Virtlockd]:
    """A lock daemon."""
    with running(Virtlockd) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def virtlogd() -> Iterator[Virtlogd]:
    """A log daemon."""
    with running(Virtlogd) as daemon:
        yield daemon


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A real one, with keys of its own."""
    with sshd_running(tmp_path) as server:
        yield server


@pytest.fixture
def storage_pool(libvirtd: Libvirtd) -> Iterator[Pool]:
    """An empty directory pool of the libvirtd."""
    with directory_pool(libvirtd) as pool:
        yield pool
