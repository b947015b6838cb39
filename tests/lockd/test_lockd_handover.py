"""Leases in a process that executes another program: never free, and released by that program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from rpcgen.examples.lockd.lockspaces import Lockspaces
from rpcgen.runtime import RemoteError

FIRST = """
import json, sys
from rpcgen.examples.lockd.lockspaces import Lockspaces
from rpcgen.runtime.process import execute
folder, second = sys.argv[1:]
spaces = Lockspaces()
spaces.add(folder + "/space")
spaces.at(folder + "/space").acquire("alone", 1, 2)
spaces.at(folder + "/space").acquire("shared", 1, 3)
spaces.at("").acquire(folder + "/disk", 2, 0)
state = json.dumps(spaces.save().to_json())
execute([sys.executable, "-c", second, state], spaces.descriptors())
"""

SECOND = """
import json, sys
from rpcgen.examples.lockd.lockspaces import Lockspaces
from rpcgen.examples.lockd.saved import SavedLockspaces
state = json.loads(sys.argv[1])
spaces = Lockspaces.restore(SavedLockspaces.from_json(state))
assert spaces.save().to_json() == state
print("ready", flush=True)
sys.stdin.readline()
print(spaces.forget(1), spaces.forget(2), flush=True)
sys.stdin.readline()
"""


def test_leases_outlast_the_program(tmp_path: Path) -> None:
    (tmp_path / "disk").touch()
    ours = Lockspaces()
    ours.add(f"{tmp_path}/space")
    space, default = ours.at(f"{tmp_path}/space"), ours.at("")
    command = [sys.executable, "-c", FIRST, str(tmp_path), SECOND]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        for where, name in ((space, "alone"), (space, "shared"), (default, f"{tmp_path}/disk")):
            with pytest.raises(RemoteError) as caught:
                where.acquire(name, 9, 0)
            assert caught.value.code is VirErrorNumber.VIR_ERR_RESOURCE_BUSY
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "2 1\n"
        assert os.listdir(tmp_path / "space") == []
        default.acquire(f"{tmp_path}/disk", 9, 0)  # while the other process lives
        default.release(f"{tmp_path}/disk", 9)
    assert other.returncode == 0


def test_a_file_that_others_have_put_there_is_not_removed(tmp_path: Path) -> None:
    space = Lockspaces().at("")
    space.acquire(f"{tmp_path}/r", 1, 2)
    os.unlink(tmp_path / "r")
    (tmp_path / "r").write_text("another")
    space.release(f"{tmp_path}/r", 1)
    assert (tmp_path / "r").read_text() == "another"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RemoteError, match=r"Unable to open resource .*expected a regular file"):
        Lockspaces().at("").acquire(f"{tmp_path}/pipe", 1, 0)


def test_creating_a_resource_does_not_follow_a_link_to_nowhere(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "none")
    with pytest.raises(RemoteError, match=r"cannot create file .*No such file"):
        Lockspaces().at("").create(f"{tmp_path}/link")
    assert not (tmp_path / "none").exists()
