"""Our lock daemon beside the real virtlockd: the same answers, and the same locks on the same files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import require
from interop.daemons import Virtlockd
from lockd.actors import Connected, Outcome
from lockd.script import AUTOCREATE, SCRIPT, SHARED, Stage

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from rpcgen.examples.lockd.daemon import server_of
from rpcgen.examples.lockd.service import LockService

BUSY = VirErrorNumber.VIR_ERR_RESOURCE_BUSY
INTERNAL = VirErrorNumber.VIR_ERR_INTERNAL_ERROR


@pytest.fixture
def theirs(virtlockd: Virtlockd) -> str:
    """Where virtlockd listens, which talks to its own user only."""
    require(
        virtlockd.way == "system" or os.geteuid(), "root that may not mount starts it as nobody"
    )
    return f"unix://{virtlockd.socket}"


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[str]:
    """Where ours does."""
    with server_of(LockService(), [f"unix://{tmp_path}/s"]) as server:
        yield server.addresses[0]


def folder(tmp_path: Path, name: str) -> Path:
    made = tmp_path / name
    made.mkdir()
    return made


def test_the_same_session_has_the_same_answers(theirs: str, ours: str, tmp_path: Path) -> None:
    with Stage(theirs, folder(tmp_path, "a")) as real, Stage(ours, folder(tmp_path, "b")) as stage:
        for scene, steps in SCRIPT.items():
            for step in steps:
                expected = real.act(step)
                assert stage.act(step) == expected, (scene, step)


def test_they_keep_each_other_out(theirs: str, ours: str, tmp_path: Path) -> None:
    space = str(tmp_path / "space")
    with Connected(theirs) as one, Connected(ours) as two:
        enter(space, one, two)
        for first, second in ((one, two), (two, one)):
            for flags in (AUTOCREATE, SHARED | AUTOCREATE):
                assert first.do("acquire_resource", space, "r", flags) is None
                assert code(second.do("acquire_resource", space, "r", AUTOCREATE)) == BUSY
                assert first.do("release_resource", space, "r") is None
                assert second.do("acquire_resource", space, "r", flags) is None
                assert second.do("release_resource", space, "r") is None
                assert os.listdir(space) == []


def test_they_share_and_the_last_removes_the_file(theirs: str, ours: str, tmp_path: Path) -> None:
    space = str(tmp_path / "space")
    with Connected(theirs) as one, Connected(ours) as two:
        enter(space, one, two)
        for first, second in ((one, two), (two, one)):
            for which in (first, second):
                assert which.do("acquire_resource", space, "r", SHARED | AUTOCREATE) is None
            assert first.do("release_resource", space, "r") is None
            assert os.listdir(space) == ["r"]
            assert second.do("release_resource", space, "r") is None
            assert os.listdir(space) == []


def enter(space: str, *clients: Connected) -> None:
    """Clients of different daemons that use one folder."""
    for one in clients:
        assert one.do("register", "owner", 1, 1) is None
        assert one.do("create_lockspace", space) is None


def code(outcome: Outcome) -> VirErrorNumber | None:
    return None if outcome is None else outcome["code"]


# Where ours is right, and virtlockd is not


def test_new_tells_that_there_is_no_lock_space(theirs: str, ours: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answers = []
    for address in (theirs, ours):
        with Connected(address) as locks:
            assert locks.do("register", "owner", 1, 1) is None
            answers.append(code(locks.do("new", str(tmp_path / "file"))))
            used = locks.do("acquire_resource", str(tmp_path / "file"), "r")
            assert code(used) == INTERNAL
    assert answers == [None, INTERNAL]


def test_a_file_with_two_names_is_one_file(theirs: str, ours: str, tmp_path: Path) -> None:
    disk, link = tmp_path / "disk", tmp_path / "link"
    disk.touch()
    os.link(disk, link)
    answers = []
    for address in (theirs, ours):
        with Connected(address) as locks:
            assert locks.do("register", "owner", 1, 1) is None
            assert locks.do("acquire_resource", "", str(disk)) is None
            answers.append(code(locks.do("acquire_resource", "", str(link))))
            for name in (link, disk):
                locks.do("release_resource", "", str(name))
    assert answers == [None, BUSY]
