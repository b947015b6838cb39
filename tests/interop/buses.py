"""A private D-Bus daemon, and a polkitd on it: neither sees the machine's own."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from helpers import require
from interop.daemons import WAYS

DEADLINE = 30.0
"""Seconds for what takes well under one."""

POLKITD = "/usr/lib/polkit-1/polkitd"

RULES = """\
polkit.addRule(function(action, subject) {
    if (action.id == "org.libvirt.unix.manage")
        return subject.user == "nobody" ? polkit.Result.YES : polkit.Result.NO;
    if (action.id == "org.libvirt.unix.monitor")
        return polkit.Result.AUTH_ADMIN;
});
"""

POLICY = Path("/usr/share/polkit-1/actions/org.libvirt.unix.policy")
"""Debian's libvirt declares its actions there: polkitd refuses others."""

CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
</busconfig>
"""


@contextmanager
def private_bus(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of a bus, for as long as the block lasts, and its daemon."""
    require(shutil.which("dbus-daemon"), "not installed: dbus-daemon")
    configuration = folder / "bus.conf"
    configuration.write_text(CONFIGURATION.format(socket=folder / "bus"))
    command = ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile"]
    with started([*command, "--nosyslog", "--print-address=1"]) as daemon:
        wait_for_output(daemon, b"unix:path=")
        yield f"unix:path={folder / 'bus'}", daemon


@contextmanager
def polkitd(address: str, rules: str, folder: Path) -> Iterator[None]:
    """A polkitd with these rules, and no others, on the bus at that address."""
    require("system" in WAYS, "polkitd is root's, and needs a mount namespace for its rules")
    require(os.access(POLKITD, os.X_OK), "not installed: polkitd")
    folder.mkdir(mode=0o755)
    (folder / "10-test.rules").write_text(rules)
    (folder / "10-test.rules").chmod(0o644)
    bind = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" "$1" && exec "$2"']
    command = [*bind, str(folder), "/etc/polkit-1/rules.d", POLKITD]
    with started(command, DBUS_SYSTEM_BUS_ADDRESS=address) as daemon:
        wait_for_output(daemon, b"Acquired the name org.freedesktop.PolicyKit1")
        yield


@contextmanager
def authority_on_a_bus() -> Iterator[str]:
    """The address of a bus with a polkitd that goes by ``RULES``."""
    require(find_spec("dbus_fast"), "not installed: dbus-fast")
    require(os.geteuid() == 0, "polkitd is root's, and so are processes of other users")
    require(POLICY.exists(), f"not installed: {POLICY}")
    with TemporaryDirectory(prefix="rpcgen-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # polkitd gives up being root, and needs the bus and the rules in it
        with private_bus(folder) as (address, _), polkitd(address, RULES, folder / "rules"):
            yield address


@contextmanager
def started(command: Sequence[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output, all of it, is read from ``stdout``; ended with the block."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **environment},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_output(process: subprocess.Popen[bytes], words: bytes) -> None:
    """Read what a process says until it has said that."""
    said = b""
    while words not in said:
        more = _some(process.stdout)
        assert more, f"{process.args!r} has ended or is silent: {said!r}"
        said += more


def _some(pipe: IO[bytes] | None) -> bytes:
    assert pipe is not None
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    return os.read(pipe.fileno(), 4096) if poll.poll(DEADLINE * 1000) else b""
