"""docs/security.md: its examples work, and the tests that it names for its promises are there."""

from __future__ import annotations

import re
from inspect import signature
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="not installed: cryptography")
pytest.importorskip("scramp", reason="not installed: scramp")

from pki import write_both

from rpcgen.examples.hypervisor.hypervisor import Hypervisor
from rpcgen.libvirt.authentication import ATTEMPTS_MAX
from rpcgen.runtime import ClientTls, Server, ServerTls
from rpcgen.runtime.auth.mechanism import Secret
from rpcgen.runtime.auth.users import UserStore

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text()
PROMISES = PAGE.partition("## What is promised")[2].partition("## What is not")[0]
_, SERVER, CLIENT = re.findall(r"```py\n(.*?)```", PAGE, re.DOTALL)


def test_each_promise_has_its_tests() -> None:
    rows = [line for line in PROMISES.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`((?:tests/|test_)[\w/.]*)`", row.rpartition("|")[0])
        assert named or "openssl" in row, row
        for name in named:
            found = ROOT / name if name.startswith("tests/") else ROOT / "tests/interop" / name
            assert found.exists(), name


def test_its_server_and_its_client(tmp_path: Path) -> None:
    store = UserStore(tmp_path / "users")
    store.add("fred", Secret("secret"))
    write_both(tmp_path / "pki")
    given = {
        "MyHypervisor": Hypervisor,
        "Server": lambda programs, **settings: Server(
            programs, **{**settings, "listen": ["tls://127.0.0.1:0"]}
        ),
        "ServerTls": lambda: ServerTls(pkipath=str(tmp_path / "pki")),
    }
    code = SERVER.replace("/etc/my/users", str(store.path))
    exec(code.replace("\nServer(", "\nserver = Server("), given)  # noqa: S102  (our own page)
    with given["server"] as server:  # type: ignore[attr-defined]
        port = server.addresses[0].rpartition(":")[2]
        where = f"test+tls://localhost:{port}/default?pkipath={tmp_path}/pki"
        client = CLIENT.replace("qemu+tls://host.example/system", where)
        client = client.replace("from getpass import getpass, getuser\n", "")
        answers = {"getpass": lambda _: "secret", "getuser": lambda: "fred"}
        exec(client, answers)  # noqa: S102  (our own page)
        with answers["session"] as session:  # type: ignore[attr-defined]
            assert session.remote.connect_get_type() == "TEST"


def test_its_numbers() -> None:
    from rpcgen.runtime import limits

    assert "A handshake has ten seconds, and there are 256" in PAGE
    assert (limits.HANDSHAKE_TIMEOUT, limits.HANDSHAKES_MAX) == (10.0, 256)
    assert "After five attempts" in PAGE.replace("\n", " ")
    assert ATTEMPTS_MAX == 5
    assert signature(ClientTls).parameters["priority"].default == "PFS:-SHA1"
