"""The real sshd as a peer: on loopback, with a configuration and keys of its own, ended by its pid.

What is reached through it is the tests' part.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from helpers import require
from interop.daemons import DEADLINE, free_port


class Sshd(NamedTuple):
    """A server that lets this user in with a key.

    Attributes:
        uri: a session's, but for its path and further parameters.
        known_hosts: a file that has its host key; it may be written.
        parameters: of the transport ``ssh``.
        port: on 127.0.0.1.
        key: the user's.
        pid: of its main process.
    """

    uri: str
    known_hosts: Path
    parameters: str
    port: int
    key: Path
    pid: int


def make_key(path: Path, passphrase: str = "") -> None:
    """A pair of keys, the public one in a file with ``.pub`` behind its name."""
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)]
    subprocess.run(words, check=True)


@contextmanager
def sshd_running(folder: Path, settings: str = "") -> Iterator[Sshd]:
    """A server, with its files in a folder, and with further lines of its configuration."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    require(program and shutil.which("nc"), "not installed: sshd, nc")
    assert program
    for key in (folder / "hostkey", folder / "id"):
        if not key.exists():
            make_key(key)
    shutil.copy(folder / "id.pub", folder / "authorized_keys")
    os.makedirs("/run/sshd", exist_ok=True)  # a folder that sshd insists on
    port = free_port()
    (folder / "config").write_text(f"""
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/hostkey
PidFile none
SetEnv PATH={folder}/bin:/usr/bin:/bin XDG_CONFIG_HOME={folder}
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
{settings}
""")
    known = folder / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {(folder / 'hostkey.pub').read_text()}")
    wrapper = folder / "ssh"
    wrapper.write_text(
        "#!/bin/sh\nexec ssh -F none -o LogLevel=ERROR -o GlobalKnownHostsFile=/dev/null"
        f' -o UserKnownHostsFile={known} "$@"\n'
    )
    wrapper.chmod(0o700)
    running = subprocess.Popen(
        [program, "-D", "-e", "-f", folder / "config"], stderr=subprocess.PIPE, text=True
    )
    assert running.stderr
    for line in running.stderr:
        if "Server listening" in line:
            break
    parameters = f"command={wrapper}&keyfile={folder}/id&no_tty=1&proxy=netcat"
    uri = f"test+ssh://root@127.0.0.1:{port}"
    try:
        yield Sshd(uri, known, parameters, port, folder / "id", running.pid)
    finally:
        running.terminate()
        running.communicate(timeout=DEADLINE)
