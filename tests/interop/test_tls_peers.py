"""TLS with others: our session and libvirtd, virsh and our server, OpenSSL and GnuTLS as clients of it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers import require
from interop.daemons import DEADLINE, PATH, ListeningLibvirtd, free_port, running, virsh
from tls.authority import Authority, dn, write_pki

from rpcgen import libvirt
from rpcgen.examples.hypervisor.hypervisor import Hypervisor
from rpcgen.runtime import Server
from rpcgen.runtime.errors import TlsError
from rpcgen.runtime.tls.certificates import Role
from rpcgen.runtime.tls.context import ServerTls

ACTIVE = 1
CLIENT = "O=Example,CN=client.example"


class Pki:
    """One authority, and what both sides need of it, in a directory that both may read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority()
        names = ["localhost", "127.0.0.1"]
        server = self.authority.issue("localhost", Role.SERVER, san=names)
        write_pki(folder, self.authority, server, Role.SERVER)
        self.issue(dn(O="Example", CN="client.example"))

    def issue(self, name: object) -> None:
        """Another certificate for the client."""
        client = self.authority.issue(name, Role.CLIENT)  # type: ignore[arg-type]
        write_pki(self.folder, self.authority, client, Role.CLIENT)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@contextmanager
def libvirtd_with(pki: Pki, *allowed: str) -> Iterator[int]:
    """The port of a libvirtd that takes TLS."""
    port = free_port()
    folder = pki.folder
    lists = {"tls_allowed_dn_list": list(allowed)} if allowed else {}
    with running(
        ListeningLibvirtd,
        "system",
        listen_tls=1,
        listen_tcp=0,
        listen_addr="127.0.0.1",
        tls_port=str(port),
        auth_tls="none",
        ca_file=f"{folder}/cacert.pem",
        cert_file=f"{folder}/servercert.pem",
        key_file=f"{folder}/serverkey.pem",
        **lists,
    ):
        yield port


@pytest.fixture(scope="module")
def port(pki: Pki) -> Iterator[int]:
    with libvirtd_with(pki, "O=Example,CN=client.*") as port:
        yield port


def uri(port: int, pki: Pki, more: str = "", host: str = "localhost") -> str:
    return f"test+tls://{host}:{port}/default?pkipath={pki.folder}{more}"


@pytest.mark.parametrize("more", ["", "&tls_priority=NORMAL:-VERS-TLS1.3"])
def test_our_session_and_libvirtd(port: int, pki: Pki, more: str) -> None:
    with libvirt.open(uri(port, pki, more), timeout=DEADLINE) as session:
        domains = session.remote.connect_list_all_domains(1, ACTIVE).domains
        assert [one.name for one in domains] == ["test"]

    async def main() -> None:
        async with libvirt.open_async(uri(port, pki, more, "127.0.0.1")) as session:
            domains = (await session.remote.connect_list_all_domains(1, ACTIVE)).domains
            assert [one.name for one in domains] == ["test"]

    asyncio.run(asyncio.wait_for(main(), DEADLINE))


def test_libvirtd_under_another_name(port: int, pki: Pki) -> None:
    with pytest.raises(TlsError, match="::ffff:127"):
        libvirt.open(uri(port, pki, host="[::ffff:127.0.0.1]"), timeout=DEADLINE)
    with libvirt.open(uri(port, pki, "&no_verify=1", "[::ffff:127.0.0.1]")) as session:
        assert session.remote.connect_get_type() == "TEST"


def test_libvirtd_of_another_authority(port: int, pki: Pki, tmp_path: Path) -> None:
    other = Pki(tmp_path)
    with pytest.raises(TlsError, match="certificate"):
        libvirt.open(uri(port, other), timeout=DEADLINE)
    with pytest.raises(TlsError, match="TLS: "):  # now libvirtd refuses
        libvirt.open(uri(port, other, "&no_verify=1"), timeout=DEADLINE)


def test_libvirtd_and_a_name_that_is_not_on_its_list(port: int, pki: Pki, tmp_path: Path) -> None:
    shutil.copytree(pki.folder, tmp_path / "pki")
    client = pki.authority.issue(dn(CN="client.example", O="Example"), Role.CLIENT)
    write_pki(tmp_path / "pki", pki.authority, client, Role.CLIENT)
    with pytest.raises(TlsError, match="confirmation"):
        libvirt.open(f"test+tls://localhost:{port}/default?pkipath={tmp_path}/pki")


# Others as clients of our server


@contextmanager
def hypervisor(pki: Pki, **settings: object) -> Iterator[int]:
    tls = ServerTls(pkipath=str(pki.folder), **settings)  # type: ignore[arg-type]
    with Server([Hypervisor()], listen=["tls://127.0.0.1:0"], tls=tls) as server:
        yield int(server.addresses[0].rpartition(":")[2])


def test_virsh_and_our_server(pki: Pki) -> None:
    with hypervisor(pki, allowed_dn=[CLIENT]) as port:
        done = virsh(uri(port, pki), "list", "--all", "--name")
        assert (done.returncode, done.stdout.split()) == (0, ["test"]), done.stderr
        done = virsh(uri(port, pki, host="127.0.0.1"), "screenshot", "test", "/dev/null")
        assert done.returncode == 0, done.stderr


def test_virsh_that_our_server_does_not_want(pki: Pki, tmp_path: Path) -> None:
    with hypervisor(pki, allowed_dn=["CN=other"]) as port:
        done = virsh(uri(port, pki), "list")
        assert done.returncode == 1
        assert "Unable to read TLS confirmation" in done.stderr
    with hypervisor(pki) as port:
        nobody = tmp_path / "nobody"
        write_pki(nobody, pki.authority, None, Role.CLIENT)
        done = virsh(f"test+tls://localhost:{port}/default?pkipath={nobody}", "list")
        assert done.returncode == 1
        assert "Unable to read TLS confirmation" in done.stderr


def test_virsh_does_not_take_our_server_for_another(pki: Pki) -> None:
    with hypervisor(pki) as port:
        done = virsh(uri(port, pki, host="[::ffff:127.0.0.1]"), "list")
        assert done.returncode == 1
        assert "ertificate" in done.stderr
        done = virsh(uri(port, pki, "&no_verify=1", "[::ffff:127.0.0.1]"), "list")
        assert done.returncode == 0, done.stderr


def attempt(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a client of TLS that has nothing to say, in English."""
    require(shutil.which(command[0], path=PATH), f"not installed: {command[0]}")
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=DEADLINE,
        env={"PATH": PATH, "LC_ALL": "C"},
    )


VERSIONS = {"-tls1": False, "-tls1_1": False, "-tls1_2": True, "-tls1_3": True}


@pytest.mark.parametrize("version", VERSIONS)
def test_openssl_with_each_version(version: str, pki: Pki) -> None:
    files = pki.folder
    with hypervisor(pki) as port:
        done = attempt(
            *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", version),
            *("-cipher", "ALL:@SECLEVEL=0") * (version != "-tls1_3"),
            *("-CAfile", files / "cacert.pem", "-verify_return_error"),
            *("-cert", files / "clientcert.pem", "-key", files / "clientkey.pem"),
        )
    said = done.stdout + done.stderr
    assert ("Cipher is (NONE)" not in done.stdout) is VERSIONS[version], said
    assert ("alert protocol version" in said) is not VERSIONS[version], said


PRIORITIES = {
    "NORMAL": True,
    "SECURE128": True,
    "NORMAL:-VERS-ALL:+VERS-TLS1.3": True,
    "NORMAL:-VERS-ALL:+VERS-TLS1.2": True,
    "NORMAL:-VERS-ALL:+VERS-TLS1.1": False,
    "NORMAL:-VERS-ALL:+VERS-TLS1.0": False,
    "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+3DES-CBC": False,
    "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+ARCFOUR-128": False,
    "NONE:+VERS-TLS1.2:+NULL:+MAC-ALL:+RSA:+COMP-NULL:+SIGN-ALL": False,
}


@pytest.mark.parametrize("priority", PRIORITIES)
def test_gnutls_with_each_priority(priority: str, pki: Pki) -> None:
    files = pki.folder
    with hypervisor(pki) as port:
        done = attempt(
            *("gnutls-cli", "--port", str(port), "--priority", priority, "localhost"),
            *("--x509cafile", files / "cacert.pem", "--x509certfile"),
            *(files / "clientcert.pem", "--x509keyfile", files / "clientkey.pem"),
        )
    assert ("Handshake was completed" in done.stdout) is PRIORITIES[priority], done
