"""Daemons in processes of their own, which tell when they serve; and their administrators."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from libvirt_rpc.admin_protocol.client import AdminClient
from libvirt_rpc.admin_protocol.types import AdminNonnullServer, AdminTypedParam
from rpcgen.runtime import connect
from rpcgen.runtime.process.signals import STOP

DEADLINE: Final = 30.0
"""Seconds for what takes far less than one."""

SCRIPT: Final = Path(__file__).with_name("served.py")
SERVED: Final = AdminNonnullServer("served")


class Notified:
    """What a daemon tells the service manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(DEADLINE)

    def next(self) -> str:
        """The names of the fields of its next message."""
        lines = self.socket.recv(1000).decode().splitlines()
        return " ".join(line.partition("=")[0] for line in lines)

    def drain(self) -> None:
        """Forget what has come."""
        while select.select([self.socket], [], [], 0)[0]:
            self.next()

    def close(self) -> None:
        """Hear nothing more."""
        self.socket.close()


class Started:
    """A daemon that was started, and the test's view of it."""

    def __init__(self, folder: Path, process: subprocess.Popen[str], notified: Notified) -> None:
        self.folder = folder
        self.process = process
        self.notified = notified
        self.is_stopped = False  # whether it has been told to end
        self.address = f"unix://{folder}/s"
        self.admin_address = f"unix://{folder}/a"

    @property
    def configuration(self) -> Path:
        """Its file."""
        return self.folder / "c.toml"

    @property
    def log(self) -> Path:
        """Where it logs to."""
        return self.folder / "log"

    @contextmanager
    def administrator(self) -> Iterator[AdminClient]:
        """A client of its admin program."""
        with connect(self.admin_address) as connection:
            yield AdminClient(connection)

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.is_stopped |= number in STOP
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(DEADLINE)

    def reload(self, text: str | None = None) -> None:
        """Have it reload, and wait until it has."""
        if text is not None:
            self.configuration.write_text(text)
        self.signal(signal.SIGHUP)
        assert self.notified.next() == "RELOADING MONOTONIC_USEC"
        assert self.notified.next() == "READY"


def options(folder: Path, **more: Any) -> str:
    """The script's argument: everything in one folder."""
    given = {
        "listen": [f"unix://{folder}/s"],
        "admin": f"unix://{folder}/a",
        "pidfile": f"{folder}/pid",
        "log_outputs": f"1:file:{folder}/log",
    }
    return json.dumps({**given, **more})


@contextmanager
def process(
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    script: Path = SCRIPT,
    **more: Any,
) -> Iterator[Started]:
    """Start the script, whatever comes of it."""
    notified = Notified(folder / "n")
    command = [sys.executable, "-W", "error", str(script), options(folder, **more)]
    with subprocess.Popen(
        command,
        env={**os.environ, "NOTIFY_SOCKET": str(notified.path), **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            yield Started(folder, started, notified)
        finally:
            started.kill()
            notified.close()


@contextmanager
def daemon(folder: Path, *, configuration: str | None = None, **more: Any) -> Iterator[Started]:
    """A daemon that serves, and has to end well.

    Args:
        configuration: the content of its file; None for no file.
        more: arguments of ``process`` and ``Daemon``.
    """
    if configuration is not None:
        (folder / "c.toml").write_text(configuration)
        more["configuration"] = f"{folder}/c.toml"
    with process(folder, **more) as started:
        wait_ready(started)
        yield started
        # One that comes when it has given its handlers back would kill it.
        if not started.is_stopped and started.process.poll() is None:
            started.signal()
        assert started.ended() == 0
        assert started.process.stderr
        assert started.process.stderr.read() == ""


def wait_ready(started: Started) -> None:
    """Wait for its word; fail at once with what it says if it ends instead."""
    assert started.process.stderr
    notify = started.notified.socket
    fds = [notify.fileno(), started.process.stderr.fileno()]
    if fds[0] not in select.select(fds, [], [], DEADLINE)[0]:
        raise AssertionError(started.process.stderr.read())
    assert started.notified.next() == "READY"


def numbers(parameters: list[AdminTypedParam]) -> dict[str, Any]:
    """Typed parameters as a dict."""
    return {one.field: getattr(one.value, one.value.__slots__[0]) for one in parameters}
