"""The real virsh logs in at our server, by SCRAM with auth.conf and by GSSAPI; and what is on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from helpers import require
from interop import kdc
from interop.daemons import DEADLINE, virsh
from libvirt_session.guarded import PASSWORD, Guarded
from pki import write_both
from wiretap import Wiretap

from rpcgen import libvirt
from rpcgen.libvirt.authentication import Authentication
from rpcgen.runtime import Server, ServerTls
from rpcgen.runtime.auth.mechanism import Secret
from rpcgen.runtime.auth.users import UserStore

MECHANISMS = ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="rpc") as name:  # short: the path of a socket has 107 bytes
        folder = Path(name)
        store = UserStore(folder / "users")
        store.add("fred", Secret(PASSWORD), ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"])
        write_both(folder / "pki")
        yield folder


@contextmanager
def guarded(folder: Path, **settings: object) -> Iterator[dict[str, str]]:
    """A hypervisor, and a URI for each way to it."""
    authentication = Authentication(
        unix="sasl", tls="sasl", users=UserStore(folder / "users"), **settings  # type: ignore[arg-type]
    )
    with Server(
        [Guarded(authentication)],
        listen=[f"unix://{folder}/s", "tls://127.0.0.1:0", "tcp://127.0.0.1:0"],
        tls=ServerTls(pkipath=str(folder / "pki")),
    ) as server:
        _, tls, tcp = (one.rpartition(":")[2] for one in server.addresses)
        yield {
            "unix": f"test+unix:///default?socket={folder}/s",
            "tls": f"test+tls://localhost:{tls}/default?pkipath={folder}/pki",
            "tcp": tcp,
        }


def auth_conf(folder: Path, password: str = PASSWORD) -> str:
    path = folder / "auth.conf"
    path.write_text(
        f"[credentials-t]\nauthname=fred\npassword={password}\n"
        "[auth-libvirt-localhost]\ncredentials=t\n"
    )
    return f"&authfile={path}"


@pytest.mark.parametrize("way", ["unix", "tls"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_virsh_gets_in(mechanism: str, way: str, folder: Path) -> None:
    with guarded(folder, mechanisms=[mechanism]) as uris:
        done = virsh(uris[way] + auth_conf(folder), "list", "--all", "--name")
        assert (done.returncode, done.stdout.split()) == (0, ["test"]), done.stderr


@pytest.mark.parametrize(("password", "allowed"), [("wrong", None), (PASSWORD, ["jane"])])
def test_virsh_is_refused(password: str, allowed: list[str] | None, folder: Path) -> None:
    with guarded(folder, mechanisms=["SCRAM-SHA-256"], allowed_users=allowed) as uris:
        done = virsh(uris["unix"] + auth_conf(folder, password), "list")
        assert done.returncode == 1
        assert "authentication failed" in done.stderr


def test_virsh_asks_for_what_is_not_offered(folder: Path) -> None:
    with guarded(folder, mechanisms=["SCRAM-SHA-256"]) as uris:
        done = virsh(uris["unix"] + auth_conf(folder) + "&auth=sasl.PLAIN", "list")
        assert done.returncode == 1
        assert "SASL mechanism PLAIN not supported by server" in done.stderr


@pytest.fixture(scope="module")
def realm() -> Iterator[kdc.Realm]:
    lacking = kdc.missing()
    require(not lacking, lacking)
    with TemporaryDirectory() as name, kdc.realm(Path(name)) as realm:
        yield realm


def test_virsh_and_we_with_a_ticket(
    realm: kdc.Realm, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in realm.environment.items():
        monkeypatch.setenv(name, value)
    with (
        guarded(folder, mechanisms=["GSSAPI"], allowed_users=["fred", "fred@*"]) as uris,
        Wiretap(int(uris["tcp"])) as tap,
    ):
        uri = f"test+tcp://localhost:{tap.port}/default"
        done = virsh(uri, "list", "--all", "--name", environment=realm.environment)
        assert (done.returncode, done.stdout.split()) == (0, ["test"]), done.stderr
        check_protected(tap)
        tap.notes.clear()
        with libvirt.open(uri, timeout=DEADLINE) as session:
            assert [one.name for one in session.remote.connect_list_all_domains(1, 0).domains]
        check_protected(tap)


def check_protected(tap: Wiretap) -> None:
    """In clear are the packets of procedures 66 to 69, both ways, and nothing else."""
    assert b"test:///default" not in tap.sent
    for data in (tap.sent, tap.received):
        clear, rest = [], data
        while int.from_bytes(rest[4:8], "big") == 0x20008086:
            size = int.from_bytes(rest[:4], "big")
            clear.append(int.from_bytes(rest[12:16], "big"))
            rest = rest[size:]
        assert clear[:3] == [66, 67, 68]
        assert set(clear[3:]) == {69}
        assert len(rest) > 100
        while rest:  # tokens with their lengths, to the last byte
            size = int.from_bytes(rest[:4], "big")
            assert 0 < size <= 65536
            assert b"\x20\x00\x80\x86" not in rest[4 : 4 + size]
            rest = rest[4 + size :]
