"""A real systemd, as the first process of namespaces that see a throw-away copy of this machine's files.

It owns the namespaces, the copy and the cgroup. The units and what they run are the tests' part.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from helpers import require

import libvirt_rpc
import rpcgen

DEADLINE: Final = 30.0
"""Seconds for what takes systemd well under one."""

PROGRAM: Final = "/lib/systemd/systemd"
PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGES: Final = "/opt/packages"
"""Where the copy keeps our packages: everything that systemd starts there finds them."""

TARGETS: Final = ("sysinit", "basic", "multi-user", "sockets", "shutdown")
"""What a service that says nothing of it depends on. Nothing else of the machine's is started."""

OUTER: Final = """
cgroup=$1/cgroup/$2
mount -t tmpfs files "$1/copy"
mount -t cgroup2 cgroup "$1/cgroup"
mkdir "$cgroup"
echo $$ >"$cgroup/cgroup.procs"
folder=$1
inner=$3
shift 3
exec unshare --mount --pid --fork --kill-child --cgroup --ipc --uts --net sh -euc "$inner" sh "$folder" "$@"
"""
"""In a mount namespace of its own: a cgroup, which is to be the root of systemd's."""

INNER: Final = """
cd "$1/copy"
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work copy root
cd root
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup sys/fs/cgroup
mount -t tmpfs devices dev
for device in null zero full random urandom; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mount -t tmpfs temporary tmp
mount --bind "$1/run" run
mkdir -p ".$4"
cp -R "$1"/packages/. ".$4"
units=usr/lib/systemd/system
mkdir "$1/copy/units"
for target in $2; do cp "$units/$target.target" "$1/copy/units"; done
mount --bind "$1/copy/units" "$units"
mount -t tmpfs generators usr/lib/systemd/system-generators
mount -t tmpfs configuration etc/systemd
printf '[Manager]\\nDefaultEnvironment=PYTHONPATH=%s\\n' "$4" >etc/systemd/system.conf
pivot_root . .
umount -l .
cd /
exec env -i container=test NOTIFY_SOCKET=/run/notify PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    "$3" --system --unit=multi-user.target --log-target=null --show-status=no
"""
"""In all the namespaces: the copy, whose changes stay in memory; only /run is seen from outside.

systemd sets the kernel's own limits (``fs.file-max``), which have no namespace: it may only read them.
"""

CLEAN: Final = """
mount -t cgroup2 cgroup "$1/cgroup"
[ ! -d "$1/cgroup/$2" ] || find "$1/cgroup/$2" -depth -type d -exec rmdir {} +
"""


@dataclass(frozen=True)
class Systemd:
    """One that has started.

    Attributes:
        run: its ``/run``.
    """

    pid: int
    run: Path

    def do(
        self,
        *command: str,
        text: str = "",
        code: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command where systemd is, give it a text, and give what it prints."""
        enter = ["nsenter", "--all", "--root", "--wd", f"--target={self.pid}", "--"]
        done = subprocess.run(
            [*enter, *command],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE,
            env={"PATH": PATH, **(environment or {})},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout.rstrip("\n")

    def write(self, path: str, text: str) -> None:
        """Write a file into the copy."""
        self.do("install", "-D", "-m", "644", "/dev/stdin", path, text=text)

    def property(self, unit: str, name: str) -> str:
        """What systemd says of a unit."""
        return self.do("systemctl", "show", "--property", name, "--value", unit)


def version() -> int:
    """The version of the systemd that is installed."""
    first, *_ = subprocess.check_output([PROGRAM, "--version"], text=True).splitlines()
    return int(first.split()[1])


@contextmanager
def booted() -> Iterator[Systemd]:
    """Start systemd, give it once it has done so, and end it with everything that it has started.

    That takes root with all capabilities, as on a machine or in a privileged container. The test is skipped without.
    """
    require(shutil.which(PROGRAM), f"not installed: {PROGRAM}")
    trial = ["unshare", "--mount", "mount", "-t", "tmpfs", "trial", "/mnt"]
    if os.geteuid() or subprocess.run(trial, capture_output=True, check=False).returncode:
        pytest.skip("systemd takes root that may mount")  # no package can give that
    with TemporaryDirectory(prefix="rpc") as name:  # short: the path of a socket has 107 bytes
        folder = Path(name)
        for own in ("copy", "cgroup", "run", "packages"):
            (folder / own).mkdir(mode=0o755)
        for package in (rpcgen, libvirt_rpc):
            source = Path(str(package.__file__)).parent
            shutil.copytree(source, folder / "packages" / source.name)
        with _process(folder) as pid:
            yield Systemd(pid, folder / "run")


@contextmanager
def _process(folder: Path) -> Iterator[int]:
    script = ["sh", "-euc", OUTER, "sh", str(folder), folder.name, INNER]
    told = [" ".join(TARGETS), PROGRAM, PACKAGES]
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", *script, *told]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(folder / "run/notify"))
        notify.settimeout(DEADLINE)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )
        try:
            yield _ready(notify, process, folder)
        finally:
            _end(process, folder)


def _ready(notify: socket.socket, process: subprocess.Popen[bytes], folder: Path) -> int:
    """The pid of systemd, once it has started; a reason to skip the test as soon as it has ended."""
    while b"READY=1" not in _message(notify, process).splitlines():
        said = (folder / "log").read_text(errors="replace")
        if process.poll() is not None:
            pytest.skip(f"systemd does not start in these namespaces: {said}")
    (pid,) = _children(process)
    return pid


def _message(notify: socket.socket, process: subprocess.Popen[bytes]) -> bytes:
    """What systemd says next; nothing if it has ended."""
    end = os.pidfd_open(process.pid)
    try:
        came, _, _ = select.select([notify.fileno(), end], [], [], DEADLINE)
    finally:
        os.close(end)
    assert came, "systemd does not start"
    return notify.recv(4096) if notify.fileno() in came else b""


def _children(process: subprocess.Popen[bytes]) -> list[int]:
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in text.split()]


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End the first process; the kernel ends the others before ``unshare`` sees that."""
    if process.poll() is None:
        for pid in _children(process):
            os.kill(pid, signal.SIGKILL)
    process.wait(DEADLINE)
    clean = ["unshare", "--mount", "sh", "-euc", CLEAN, "sh", str(folder), folder.name]
    subprocess.run(clean, check=True, timeout=DEADLINE)
