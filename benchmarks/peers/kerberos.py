"""A Kerberos realm for GSSAPI: a KDC on loopback, a user with a ticket, and the key of ``libvirt/localhost``.

Everything that it writes is in one folder. Nothing is measured here.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benchmarks.processes import DEADLINE, Missing

_REALM: Final = "BENCH.REALM"
_PATH: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_TOOLS: Final = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit")

_CLIENT: Final = """\
[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_canonicalize_hostname = false
rdns = false
udp_preference_limit = 1
[realms]
{realm} = {{
  kdc = 127.0.0.1:{port}
}}
[domain_realm]
localhost = {realm}
"""

_SERVER: Final = """\
[kdcdefaults]
kdc_listen = 127.0.0.1:{port}
kdc_tcp_listen = 127.0.0.1:{port}
[realms]
{realm} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
}}
[logging]
kdc = STDERR
"""


@contextmanager
def realm(folder: Path) -> Iterator[list[str]]:
    """A realm in a new folder; gives the beginning of commands that run in it.

    Raises:
        Missing: what it takes is not installed.
    """
    lacking = [tool for tool in _TOOLS if not shutil.which(tool, path=_PATH)]
    lacking += [] if find_spec("gssapi") else ["package gssapi"]
    if lacking:
        raise Missing(f"GSSAPI: no {', '.join(lacking)}")
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        values = {"folder": folder, "port": free.getsockname()[1], "realm": _REALM}
    (folder / "krb5.conf").write_text(_CLIENT.format(**values))
    (folder / "kdc.conf").write_text(_SERVER.format(**values))
    ours = {
        "KRB5_CONFIG": f"{folder}/krb5.conf",
        "KRB5_KDC_PROFILE": f"{folder}/kdc.conf",
        "KRB5CCNAME": f"FILE:{folder}/cc",
        "KRB5_KTNAME": f"FILE:{folder}/keytab",
        "KRB5RCACHENAME": f"file2:{folder}/replays",
    }
    _run(ours, "kdb5_util", "create", "-r", _REALM, "-s", "-P", "master")
    for query in (
        "addprinc -pw secret fred",
        "addprinc -randkey libvirt/localhost",
        f"ktadd -k {folder}/keytab libvirt/localhost",
    ):
        _run(ours, "kadmin.local", "-q", query)
    with _kdc(ours):
        _run(ours, "kinit", "fred", text="secret\n")
        yield ["env", *(f"{name}={value}" for name, value in ours.items())]


@contextmanager
def _kdc(ours: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        ["krb5kdc", "-n"],  # noqa: S607  (where it is found is _PATH)
        env=_environment(ours),
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            assert process.stderr  # noqa: S101  (asked for above)
            for line in process.stderr:
                if b"commencing operation" in line:
                    break
            yield
        finally:
            process.terminate()
            process.communicate(timeout=DEADLINE)


def _environment(ours: dict[str, str]) -> dict[str, str]:
    return os.environ | ours | {"PATH": _PATH, "LC_ALL": "C"}


def _run(ours: dict[str, str], *command: str, text: str = "") -> None:
    done = subprocess.run(  # noqa: S603  (Kerberos's own tools)
        command,
        env=_environment(ours),
        input=text,
        text=True,
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr}")
