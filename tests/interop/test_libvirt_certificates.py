"""libvirt's own cases of certificates, put to libvirtd and virsh: both judge them as we do."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from interop.daemons import Libvirtd, running, virsh
from tls.context_cases import CASES, CLIENT, SERVER, Case, files


class _Listening(Libvirtd):
    OPTIONS = (*Libvirtd.OPTIONS, "--listen")


SERVERS = [case for case in CASES if case.role is SERVER]
CLIENTS = [case for case in CASES if case.role is CLIENT]


@pytest.mark.parametrize("case", SERVERS, ids=lambda case: str(case.number))
def test_a_server(case: Case, tmp_path: Path) -> None:
    """Port 0 is any that is free: nobody connects. What libvirtd refuses is in its log."""
    made = files(case, tmp_path)
    settings: dict[str, Any] = {
        "listen_tls": 1,
        "listen_tcp": 0,
        "listen_addr": "127.0.0.1",
        "tls_port": "0",
        "ca_file": str(made.ca),
        "cert_file": str(made.certificate),
        "key_file": str(made.key),
    }
    try:
        with running(_Listening, **settings):
            why = None
    except pytest.fail.Exception as failure:
        why = str(failure)
    assert (why is None) is (case.why is None)
    assert why is None or f"ertificate {tmp_path}/" in why


@pytest.mark.parametrize("case", CLIENTS, ids=lambda case: str(case.number))
def test_a_client(case: Case, tmp_path: Path) -> None:
    """Where nobody listens, a client with good files is told so; one with bad files of those."""
    files(case, tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        done = virsh(f"test+tls://127.0.0.1:{port}/default?pkipath={tmp_path}", "list")
    assert done.returncode
    assert ("Connection refused" in done.stderr) is (case.why is None)
