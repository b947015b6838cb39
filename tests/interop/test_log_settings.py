"""Log filters and outputs as virtlockd takes and shows them, through virt-admin, beside ours."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from helpers import require
from interop.daemons import DEADLINE, NOBODY, PATH, Daemon, Virtlockd, running

from rpcgen.runtime.errors import ProcessError
from rpcgen.runtime.process.logs import Logs

REFUSED = "refused"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    require(shutil.which("virt-admin"), "not installed: virt-admin")
    with running(Virtlockd) as one:
        yield one


@pytest.fixture
def logs() -> Iterator[Logs]:
    with Logs("x", logger=logging.getLogger("interop.logs")) as one:
        yield one


def theirs(daemon: Daemon, command: str, text: str) -> str:
    """What virtlockd shows after a setting, or that it refuses it."""
    if virt_admin(daemon, command, text).returncode:
        return REFUSED
    done = virt_admin(daemon, command)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition(":")[2].strip()


def virt_admin(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    before = []
    if daemon.way == "session" and os.geteuid() == 0:  # only its own user may talk to it
        before = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    uri = f"virtlockd+unix:///{daemon.way}?socket={daemon.admin_socket}"
    return subprocess.run(
        [*before, "virt-admin", "-c", uri, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
        env={"PATH": PATH, "HOME": str(daemon.folder / "home"), "LC_ALL": "C"},
    )


@pytest.mark.parametrize(
    "text",
    [
        "1:rpc 3:server",
        "1:rpc   4:rpc",
        "1:?pc 02:a.b",
        "1:+rpc",
        "",
        " ",
        "3:",
        "0:rpc",
        "5:rpc",
        "-1:rpc",
        "x:rpc",
        "1rpc",
        ":rpc",
        "1:rpc 0:x 3:y",
    ],
)
def test_filters(text: str, daemon: Daemon, logs: Logs) -> None:
    try:
        logs.configure(filters=text)
        ours = logs.filters
    except ProcessError:
        ours = REFUSED
    assert ours == theirs(daemon, "daemon-log-filters", text)


@pytest.mark.parametrize(
    "text",
    [
        "1:file:{0}/a",
        "1:file:{0}/a 3:stderr 2:file:{0}/b",
        "1:file:{0}/a 2:file:{0}/a",
        "1:stderr 3:stderr",
        "3:syslog:ident",
        "3:journald",
        "",
        "1:file:",
        "1:file",
        "1:file:/nowhere/x",
        "1:stderr 1:file:/nowhere/x",
        "1:stderr:",
        "1:stderr:x",
        "3:syslog",
        "3:journald:x",
        "3:what:x",
        "3:",
        "0:stderr",
        "5:stderr",
    ],
)
def test_outputs(text: str, daemon: Daemon, logs: Logs) -> None:
    text = text.format(daemon.folder / "run")
    shown = theirs(daemon, "daemon-log-outputs", text)
    try:
        logs.configure(outputs=text)
        ours = logs.outputs
    except ProcessError:
        ours = REFUSED
    assert ours == shown
