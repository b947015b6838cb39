"""Debian's libvirt daemons as peers: started apart from the machine's own, up when they answer, ended by their pid.

It owns their processes and folders, and virsh. What they are asked is the tests' part.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, Literal, TypeAlias, TypeVar

import pytest
from helpers import require
from wire_cases import PING, PONG, Reply, header_of
from wire_replay import exchange

DEADLINE = 30.0
"""Seconds for what takes a daemon or virsh well under one, on machines with much else to do."""

PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
"""An ordinary user may start daemons, too, but need not have them in PATH."""

NOBODY = 65534
"""The user of a session's daemon that root starts."""

Way: TypeAlias = Literal["system", "session"]
"""What a daemon takes itself for.

The system's daemon is root's. It has a mount namespace of its own, where every folder that it writes to is bound
to one of ours. A session's daemon, of any other user, finds its folders through its environment. Only libvirtd
then talks to anybody; the others, and all admin sockets, talk to their own user.
"""

BOUND = {
    "run": "/run",
    "lib": "/var/lib/libvirt",
    "cache": "/var/cache/libvirt",
    "etc": "/etc/libvirt",
}
"""Our folders, and where the system's daemon sees them."""

Setting: TypeAlias = str | int | list[str]


def _ways() -> Sequence[Way]:
    """What can be started here, the usual one first: not every root may mount, in a container say."""
    trial = ["unshare", "--mount", "mount", "--bind", "/run", "/run"]
    if os.geteuid() == 0 and not subprocess.run(trial, capture_output=True, check=False).returncode:
        return ("system", "session")
    return ("session",)


WAYS = _ways()


@dataclass(frozen=True)
class Daemon:
    """A daemon that answers.

    Attributes:
        folder: everything that it writes; removed when it has ended.
    """

    PROGRAM: ClassVar[str]
    SOCKETS: ClassVar[str]
    """How the names of its sockets begin."""
    OPTIONS: ClassVar[Sequence[str]] = ()
    """On its command line."""
    SETTINGS: ClassVar[Mapping[str, Setting]] = {"log_outputs": "3:stderr"}
    """Its configuration: warnings go into the log."""

    way: Way
    folder: Path
    pid: int

    @property
    def socket(self) -> Path:
        """Where its programs are."""
        return self.folder / f"run/libvirt/{self.SOCKETS}-sock"

    @property
    def admin_socket(self) -> Path:
        """Where the admin program is."""
        return self.folder / f"run/libvirt/{self.SOCKETS}-admin-sock"

    def log(self) -> str:
        """What it has said so far."""
        return (self.folder / "log").read_text(errors="replace")


class Virtlockd(Daemon):
    """The lock daemon."""

    PROGRAM = SOCKETS = "virtlockd"


class Virtlogd(Daemon):
    """The log daemon."""

    PROGRAM = SOCKETS = "virtlogd"


class Libvirtd(Daemon):
    """The daemon with the drivers; nobody has to prove who they are."""

    PROGRAM, SOCKETS = "libvirtd", "libvirt"
    SETTINGS: ClassVar = {**Daemon.SETTINGS, "auth_unix_rw": "none", "auth_unix_ro": "none"}

    @property
    def storage(self) -> str:
        """What CONNECT_OPEN calls its storage driver."""
        return f"storage:///{self.way}"

    @property
    def uri(self) -> str:
        """Its test driver, for libvirt's clients. What that simulates starts anew when the last client leaves."""
        return self.through("test:///default")

    @property
    def storage_uri(self) -> str:
        """Its storage driver, for libvirt's clients."""
        return self.through(self.storage)

    def through(self, name: str) -> str:
        """The URI by which libvirt's clients reach a driver over its socket."""
        scheme, rest = name.split(":", 1)
        return f"{scheme}+unix:{rest}?socket={self.socket}"

    def virsh(
        self, *arguments: str | Path, uri: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run virsh on the test driver, or on another URI."""
        return virsh(uri or self.uri, *arguments)


class ListeningLibvirtd(Libvirtd):
    """The same, which also listens on the network where its settings say so."""

    OPTIONS = ("--listen",)


D = TypeVar("D", bound=Daemon)


def free_port() -> int:
    """A port of loopback that nobody has: not every peer can let the system choose."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def virsh(
    uri: str, *arguments: str | Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Debian's virsh without input, in English, and without the user's configuration."""
    require(shutil.which("virsh"), "not installed: virsh")
    return subprocess.run(
        ["virsh", "-c", uri, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
        env={"PATH": PATH, "HOME": os.devnull, "LC_ALL": "C.UTF-8", **(environment or {})},
    )


@dataclass(frozen=True)
class Pool:
    """A directory pool, for libvirt's clients."""

    name: str
    folder: Path
    uri: str


@contextmanager
def directory_pool(daemon: Libvirtd, name: str = "pool") -> Iterator[Pool]:
    """An empty pool in a folder that the daemon makes; both are removed at the end, whatever is in them."""
    pool = Pool(name, daemon.folder / "home" / name, daemon.storage_uri)
    create = ("pool-create-as", name, "dir", "--target", pool.folder, "--build")
    done = daemon.virsh(*create, uri=pool.uri)
    assert done.returncode == 0, done.stderr
    try:
        yield pool
    finally:
        done = daemon.virsh("pool-destroy", name, uri=pool.uri)
        shutil.rmtree(pool.folder)
    assert done.returncode == 0, done.stderr


# Starting and ending


@contextmanager
def running(kind: type[D], way: Way = WAYS[0], **settings: Setting) -> Iterator[D]:
    """Start a daemon, give it once it answers, and end it.

    The test is skipped where the daemon is not installed, and fails with its log where it does not start.

    Args:
        settings: of its configuration file, over those of its kind.
    """
    require(shutil.which(kind.PROGRAM, path=PATH), f"not installed: {kind.PROGRAM}")
    with TemporaryDirectory(prefix="rpc") as name:  # short: the path of a socket has 107 bytes
        folder = Path(name)
        _prepare(folder, way, {**kind.SETTINGS, **settings})
        with _notified(folder, way) as notify, _process(kind, folder, way) as process:
            daemon = kind(way, folder, process.pid)
            if not _answers(daemon, notify):
                pytest.fail(f"{kind.PROGRAM} does not start:\n{daemon.log()}", pytrace=False)
            yield daemon


def _prepare(folder: Path, way: Way, settings: Mapping[str, Setting]) -> None:
    lines = (f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    (folder / "conf").write_text("".join(lines))
    for own in ("home", *BOUND):
        (folder / own).mkdir(mode=0o700)
    for path in (folder, *folder.iterdir()):
        _give(path, way)


def _give(path: Path, way: Way) -> None:
    """Make a path the daemon's."""
    if way == "session" and os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)


@contextmanager
def _notified(folder: Path, way: Way) -> Iterator[socket.socket]:
    """Where a daemon tells systemd that it is ready: nobody has to look for its socket time and again."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(folder / "notify"))
        _give(folder / "notify", way)
        yield notify


@contextmanager
def _process(kind: type[Daemon], folder: Path, way: Way) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon's process, with nothing of our environment."""
    environment = {
        "PATH": PATH,
        "HOME": f"{folder}/home",
        "XDG_RUNTIME_DIR": f"{folder}/run",
        "LC_ALL": "C",
        "NOTIFY_SOCKET": f"{folder}/notify",
    }
    command = [*_apart(folder, way), kind.PROGRAM, "-f", f"{folder}/conf", "-p", f"{folder}/pid"]
    command += kind.OPTIONS
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        _end(process)


def _apart(folder: Path, way: Way) -> list[str]:
    """What stands before a daemon's command. Each part replaces itself by the next, so the pid stays.

    The first part ends the daemon with the thread that started it: no killed test leaves one behind.
    """
    command = ["setpriv", "--pdeathsig", "TERM"]
    if way == "system":
        mounts = [
            shlex.join(["mount", "--bind", str(folder / own), place])
            for own, place in BOUND.items()
        ]
        script = " && ".join([*mounts, 'exec "$@"'])
        return [*command, "unshare", "--mount", "sh", "-c", script, "sh"]
    if os.geteuid() == 0:
        command += [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return command


def _answers(daemon: Daemon, notify: socket.socket) -> bool:
    """Whether it says that it is ready, and then answers; false as soon as it has ended."""
    end = os.pidfd_open(daemon.pid)
    try:
        poll = select.poll()
        for fd in (notify.fileno(), end):
            poll.register(fd, select.POLLIN)
        came = [fd for fd, _ in poll.poll(DEADLINE * 1000)]
    finally:
        os.close(end)
    return notify.fileno() in came and _pongs(daemon.socket)


def _pongs(path: Path) -> bool:
    """Whether a ping is answered, which takes a server of any program that has started all its drivers."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(DEADLINE)
            connection.connect(str(path))
            exchange(connection, PING, Reply(header_of(PONG)))
    except (OSError, EOFError):
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
