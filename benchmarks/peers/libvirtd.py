"""Debian's libvirtd, apart from the machine's own, with 1,000 domains for its test driver and a volume.

Everything that it writes is in one folder. Only the authentication is off; all limits are its defaults. Nothing is
measured here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.processes import Missing, server

DOMAINS: Final = 1000

NAME: Final = "domain-0"
"""The domain that is asked for its state; the others are called alike."""

UUID: Final = uuid.uuid5(uuid.NAMESPACE_DNS, NAME).bytes
"""Its UUID."""

POOL, VOLUME = "pool", "volume"

_PATH: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"

_MOUNTS: Final = {
    "run": "/run",
    "lib": "/var/lib/libvirt",
    "cache": "/var/cache/libvirt",
    "etc": "/etc/libvirt",
}
"""Our folders, and where root's daemon sees them, in a mount namespace of its own."""

_SETTINGS: Final = """
auth_unix_rw = "none"
log_outputs = "3:stderr"
"""


@dataclass(frozen=True, slots=True)
class Libvirtd:
    """A running daemon.

    Attributes:
        socket: where it listens.
        test: what CONNECT_OPEN calls the test driver with the domains; every connection has its own.
        storage: what it calls the storage driver.
    """

    pid: int
    socket: Path
    test: str
    storage: str

    def uri(self, name: str) -> str:
        """By which libvirt's clients reach one of its drivers."""
        scheme, _, rest = name.partition(":")
        return f"{scheme}+unix:{rest}?socket={self.socket}"


@contextmanager
def running(folder: Path) -> Iterator[Libvirtd]:
    """Start it in an empty folder with a short path, and end it.

    Raises:
        Missing: it is not installed.
    """
    program = shutil.which("libvirtd", path=_PATH)
    if not program:
        raise Missing("libvirtd: not installed")
    _prepare(folder)
    environment = {
        "PATH": _PATH,
        "HOME": f"{folder}/home",
        "XDG_RUNTIME_DIR": f"{folder}/run",
        "LC_ALL": "C",
    }
    apart, way = _apart(folder)
    command = [*apart, program, "-f", folder / "conf", "-p", folder / "pid"]
    path = folder / "run/libvirt/libvirt-sock"
    with server(command, path, folder / "libvirtd.log", environment) as pid:
        yield Libvirtd(pid, path, f"test://{folder}/node.xml", f"storage:///{way}")


@contextmanager
def volume(daemon: Libvirtd, folder: Path, size: int) -> Iterator[str]:
    """A volume of zeros in a directory pool, by its key; both are gone at the end.

    Raises:
        Missing: there is no virsh to make it.
    """
    target = folder / POOL
    _virsh(daemon, "pool-create-as", POOL, "dir", "--target", target, "--build")
    try:
        _virsh(daemon, "vol-create-as", POOL, VOLUME, size, "--allocation", size, "--format", "raw")
        yield str(target / VOLUME)
    finally:
        _virsh(daemon, "pool-destroy", POOL)
        shutil.rmtree(target)


def _virsh(daemon: Libvirtd, *arguments: str | int | Path) -> None:
    program = shutil.which("virsh")
    if not program:
        raise Missing("virsh: not installed")
    command = [program, "-q", "-c", daemon.uri(daemon.storage), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  (Debian's)


def _prepare(folder: Path) -> None:
    for own in ("home", *_MOUNTS):
        (folder / own).mkdir(mode=0o700)
    (folder / "conf").write_text(_SETTINGS)
    (folder / "node.xml").write_text(f"<node>{''.join(map(_domain, range(DOMAINS)))}</node>")


def _domain(number: int) -> str:
    name = f"{NAME.partition('-')[0]}-{number}"
    return (
        f"<domain type='test'><name>{name}</name>"
        f"<uuid>{uuid.uuid5(uuid.NAMESPACE_DNS, name)}</uuid>"
        "<memory>4194304</memory><vcpu>2</vcpu><os><type>hvm</type></os></domain>"
    )


def _apart(folder: Path) -> tuple[list[str | Path], str]:
    """What stands before the command and keeps its pid, and what the daemon takes itself for."""
    command: list[str | Path] = ["setpriv", "--pdeathsig", "TERM"]
    if os.geteuid() != 0:
        return command, "session"
    mounts = (f"mount --bind {folder / own} {place}" for own, place in _MOUNTS.items())
    script = " && ".join((*mounts, 'exec "$@"'))
    return [*command, "unshare", "--mount", "sh", "-c", script, "sh"], "system"
