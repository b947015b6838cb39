"""A Kerberos realm of a test's own: a KDC on loopback, a user with a ticket, and a server's keytab."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from interop.daemons import DEADLINE, PATH, free_port

REALM = "TEST.REALM"
USER = "fred"
TOOLS = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit")

CLIENT = """\
[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
ignore_acceptor_hostname = true
udp_preference_limit = 1
default_ccache_name = FILE:{folder}/cc
default_keytab_name = FILE:{folder}/keytab
[realms]
{realm} = {{
  kdc = 127.0.0.1:{port}
}}
[domain_realm]
localhost = {realm}
"""

SERVER = """\
[kdcdefaults]
kdc_listen = 127.0.0.1:{port}
kdc_tcp_listen = 127.0.0.1:{port}
[realms]
{realm} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  acl_file = {folder}/kadm5.acl
}}
[logging]
kdc = STDERR
"""


@dataclass(frozen=True)
class Realm:
    """A realm whose KDC answers, and whose user ``fred`` has a ticket.

    Attributes:
        folder: everything of it.
        keytab: the key of ``libvirt/localhost``.
        environment: what a process needs to be in the realm.
    """

    folder: Path
    keytab: Path
    environment: dict[str, str]


def missing() -> str:
    """What keeps us from having a realm; empty if nothing does."""
    lacking = [tool for tool in TOOLS if not shutil.which(tool, path=PATH)]
    if find_spec("gssapi") is None:
        lacking.append("gssapi for Python")
    return f"not installed: {', '.join(lacking)}" if lacking else ""


@contextmanager
def realm(folder: Path) -> Iterator[Realm]:
    """A realm in an empty folder, until the end of the block."""
    values = {"folder": str(folder), "port": str(free_port()), "realm": REALM}
    (folder / "krb5.conf").write_text(CLIENT.format(**values))
    (folder / "kdc.conf").write_text(SERVER.format(**values))
    ours = {
        "KRB5_CONFIG": f"{folder}/krb5.conf",
        "KRB5_KDC_PROFILE": f"{folder}/kdc.conf",
        "KRB5CCNAME": f"FILE:{folder}/cc",
        "KRB5_KTNAME": f"FILE:{folder}/keytab",
        "KRB5RCACHENAME": f"file2:{folder}/replays",
    }
    environment = os.environ | ours | {"PATH": PATH, "LC_ALL": "C"}
    _run(environment, "kdb5_util", "create", "-r", REALM, "-s", "-P", "master")
    for query in (
        f"addprinc -pw secret {USER}",
        "addprinc -randkey libvirt/localhost",
        f"ktadd -k {folder}/keytab libvirt/localhost",
    ):
        _run(environment, "kadmin.local", "-q", query)
    with _kdc(environment):
        _run(environment, "kinit", USER, text="secret\n")
        yield Realm(folder, folder / "keytab", ours)


@contextmanager
def _kdc(environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(["krb5kdc", "-n"], env=environment, stderr=subprocess.PIPE)
    with process:
        try:
            _wait_for(process, b"commencing operation")
            yield
        finally:
            process.terminate()
            process.communicate(timeout=DEADLINE)


def _wait_for(process: subprocess.Popen[bytes], word: bytes) -> None:
    said = b""
    assert process.stderr
    while word not in said:
        ready, _, _ = select.select([process.stderr], [], [], DEADLINE)
        part = os.read(process.stderr.fileno(), 4096) if ready else b""
        assert part, f"krb5kdc did not come up: {said.decode()}"
        said += part


def _run(environment: dict[str, str], *argv: str, text: str = "") -> None:
    done = subprocess.run(
        argv,
        env=environment,
        input=text,
        text=True,
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, f"{argv}: {done.stderr}"
