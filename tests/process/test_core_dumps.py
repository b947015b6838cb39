"""Whether the kernel writes a core of a process that crashes, with a password in it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from daemon.starting import daemon

PATTERN = Path("/proc/sys/kernel/core_pattern").read_text().strip()

CRASH = """
import os, resource, sys
_, hard = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
password = "open " + "sesame"
if sys.argv[1] == "forbidden":
    from rpcgen.runtime.process import forbid_core_dumps
    forbid_core_dumps()
os.abort()
"""


def crashed(folder: Path, how: str) -> bool:
    """Whether the kernel says that it has dumped the core of a process that aborts."""
    words = [sys.executable, "-c", CRASH, how]
    with subprocess.Popen(words, cwd=folder, stderr=subprocess.DEVNULL) as process:
        _, status = os.waitpid(process.pid, 0)
        process.returncode = 0  # it has been waited for
    assert os.WIFSIGNALED(status)
    return os.WCOREDUMP(status)


def test_none_is_written_where_that_is_forbidden(tmp_path: Path) -> None:
    assert not crashed(tmp_path, "forbidden")
    assert list(tmp_path.iterdir()) == []


def test_one_would_be_written_otherwise_and_have_the_password_in_it(tmp_path: Path) -> None:
    if "/" in PATTERN or resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        pytest.skip("cores of this machine go elsewhere, or are not allowed")
    assert crashed(tmp_path, "allowed")
    (core,) = tmp_path.iterdir()
    assert b"open sesame" in core.read_bytes()


def test_a_daemon_forbids_it(tmp_path: Path) -> None:
    with daemon(tmp_path, core_dumps=False) as started:
        limits = Path(f"/proc/{started.process.pid}/limits").read_text()
    (line,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert set(line.split()[4:6]) <= {"0", "1"}
