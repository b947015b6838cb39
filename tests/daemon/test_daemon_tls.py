"""A daemon with TLS: its configuration, SIGHUP, and what the administrator is told and does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography", reason="not installed: cryptography")

from daemon.served import PLUS
from daemon.starting import DEADLINE, SERVED, Started, daemon, numbers, process
from tls.authority import Authority, dn, write_pki

from libvirt_rpc.admin_protocol.types import AdminNonnullClient
from libvirt_rpc.libvirt_common.types import VirClientTransport
from rpcgen.runtime import connect
from rpcgen.runtime.daemon import Configuration, ConfigurationError
from rpcgen.runtime.daemon.settings import DaemonSettings
from rpcgen.runtime.daemon.tlskeys import TlsKeys
from rpcgen.runtime.errors import TlsError
from rpcgen.runtime.message import RemoteError
from rpcgen.runtime.process.daemonize import ExitCode
from rpcgen.runtime.server import Server
from rpcgen.runtime.tls.certificates import Role
from rpcgen.runtime.tls.context import ClientTls, ServerTls


class Pki:
    """Files of both sides, and how to make others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority()
        client = self.authority.issue(dn(C="UK", CN="me"), Role.CLIENT)
        write_pki(folder, self.authority, client, Role.CLIENT)
        self.serve_as("first")

    def serve_as(self, unit: str, folder: Path | None = None) -> None:
        """Give the server another certificate."""
        leaf = self.authority.issue(dn(OU=unit, CN="localhost"), Role.SERVER, san=["127.0.0.1"])
        write_pki(folder or self.folder, self.authority, leaf, Role.SERVER)


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


@pytest.fixture
def address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"tls://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def started(tmp_path: Path, pki: Pki, address: str) -> Iterator[Started]:
    listen = [f"unix://{tmp_path}/s", address]
    with daemon(tmp_path, configuration="", pki=str(pki.folder), listen=listen) as started:
        yield started


def server_name(address: str, pki: Pki) -> str | None:
    with connect(address, tls=ClientTls(pkipath=str(pki.folder)), timeout=DEADLINE) as connection:
        assert connection.call(PLUS, 1, DEADLINE) == 2
        return connection.identity.distinguished_name


def test_a_reload_reads_the_files_again(started: Started, pki: Pki, address: str) -> None:
    with connect(address, tls=ClientTls(pkipath=str(pki.folder))) as before:
        assert before.call(PLUS, 1, DEADLINE) == 2
        pki.serve_as("second")
        assert server_name(address, pki) == "OU=first,CN=localhost"
        started.reload()
        assert server_name(address, pki) == "OU=second,CN=localhost"
        (pki.folder / "servercert.pem").write_text("broken")
        started.reload()
        assert "servercert.pem" in started.log.read_text()
        assert server_name(address, pki) == "OU=second,CN=localhost"
        assert before.call(PLUS, 2, DEADLINE) == 3


def test_the_configuration_names_files(
    started: Started, pki: Pki, address: str, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    pki.serve_as("other", other)
    text = (
        "[servers.served]\n"
        f'cert_file = "{other}/servercert.pem"\n'
        f'key_file = "{other}/serverkey.pem"\n'
    )
    started.reload(text)
    assert server_name(address, pki) == "OU=other,CN=localhost"
    started.reload(text + 'tls_allowed_dn_list = ["C=UK,CN=you"]\n')
    with pytest.raises(TlsError, match="confirmation"):
        server_name(address, pki)
    started.reload(text + 'tls_allowed_dn_list = ["C=UK,CN=m?"]\n')
    assert server_name(address, pki) == "OU=other,CN=localhost"
    for wrong, reason in (
        ('tls_priority = "NORMAL:+VERS-TLS1.0"', "TLS1.0"),
        ('cert_file = "relative"', "expected an absolute path"),
        ('tls_allowed_dn_list = "CN=me"', "expected a list of strings"),
        ('key_file = "/nonexistent"', "/nonexistent"),
    ):
        started.reload(f'[servers.served]\nca_file = "{pki.folder}/cacert.pem"\n{wrong}')
        (line,) = [one for one in started.log.read_text().splitlines() if reason in one]
        assert f"c.toml: 3: servers.served.{wrong.partition(' ')[0]}: " in line
        assert server_name(address, pki) == "OU=other,CN=localhost"
    started.reload("")
    assert server_name(address, pki) == "OU=first,CN=localhost"


def test_without_a_configuration_the_files_are_read_again_all_the_same(
    tmp_path: Path, pki: Pki, address: str
) -> None:
    with daemon(tmp_path, pki=str(pki.folder), listen=[f"unix://{tmp_path}/s", address]) as started:
        assert server_name(address, pki) == "OU=first,CN=localhost"
        pki.serve_as("second")
        started.reload()
        assert server_name(address, pki) == "OU=second,CN=localhost"


def test_the_administrator(started: Started, pki: Pki, address: str) -> None:
    with (
        started.administrator() as admin,
        connect(address, tls=ClientTls(pkipath=str(pki.folder))) as client,
    ):
        assert client.call(PLUS, 1, DEADLINE) == 2
        (shown,) = admin.server_list_clients(SERVED, 1).clients
        assert shown.transport == VirClientTransport.VIR_CLIENT_TRANS_TLS
        facts = numbers(admin.client_get_info(AdminNonnullClient(SERVED, shown.id, 0, 2)))
        assert facts["tls_x509_dname"] == "C=UK,CN=me"
        pki.serve_as("third")
        admin.server_update_tls_files(SERVED)
        assert server_name(address, pki) == "OU=third,CN=localhost"
        (pki.folder / "serverkey.pem").unlink()
        with pytest.raises(RemoteError, match=r"serverkey\.pem"):
            admin.server_update_tls_files(SERVED)
        assert server_name(address, pki) == "OU=third,CN=localhost"


def test_the_configuration_alone_may_name_the_files(tmp_path: Path, pki: Pki, address: str) -> None:
    text = "[servers.served]\n"
    for key, name in (("ca", "cacert"), ("cert", "servercert"), ("key", "serverkey")):
        text += f'{key}_file = "{pki.folder}/{name}.pem"\n'
    with daemon(
        tmp_path,
        configuration=text,
        pki="/nonexistent",
        listen=[f"unix://{tmp_path}/s", address],
    ) as one:
        assert server_name(address, pki) == "OU=first,CN=localhost"
        one.reload("")
        assert "/nonexistent" in one.log.read_text()
        assert server_name(address, pki) == "OU=first,CN=localhost"


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        ({"a": ["CN=me"]}, ("CN=me",)),
        ({"b": ["CN=me"]}, ("CN=me",)),
        ({"a": ["CN=me"], "b": ["CN=me"]}, ("CN=me",)),
    ],
)
def test_servers_with_the_same_certificates(
    pki: Pki, said: dict[str, list[str]], allowed: tuple[str, ...]
) -> None:
    tls = ServerTls(pkipath=str(pki.folder))
    keys = TlsKeys(["servers.a.", "servers.b."], tls)
    for values, expected in ((said, allowed), ({}, None)):
        keys.check(Configuration(named(values)))
        keys.apply()
        assert tls.allowed_dn == expected


def test_servers_with_the_same_certificates_do_not_contradict_each_other(pki: Pki) -> None:
    keys = TlsKeys(["servers.a.", "servers.b."], ServerTls(pkipath=str(pki.folder)))
    for file, key in (
        (named({"a": ["CN=me"], "b": []}), "a.tls_allowed_dn_list"),
        ({**named({"b": []}), "servers.a.tls_priority": "NORMAL"}, "a.tls_priority"),
        ({**named({"a": [], "b": []}), "servers.b.tls_priority": "NORMAL"}, "b.tls_priority"),
    ):
        with pytest.raises(ConfigurationError, match="has the same certificates") as caught:
            keys.check(Configuration(file))
        assert caught.value.key == f"servers.{key}"


def test_a_daemon_knows_which_servers_have_the_same_certificates(pki: Pki, tmp_path: Path) -> None:
    tls, other = (ServerTls(pkipath=str(pki.folder)) for _ in range(2))
    servers = {"a": Server([], tls=tls), "b": Server([], tls=tls), "c": Server([], tls=other)}
    file = tmp_path / "c.toml"
    settings = DaemonSettings(servers, str(file), {}, keys={}, configured=None, logins={})
    file.write_text("[servers]\na.tls_allowed_dn_list = []\nc.tls_priority = 'NORMAL'\n")
    assert len(settings.read()) == 2
    file.write_text("[servers]\na.tls_allowed_dn_list = []\nb.tls_priority = 'NORMAL'\n")
    with pytest.raises(ConfigurationError, match=r"2: .*: servers\.b has the same certificates"):
        settings.read()


def named(lists: dict[str, list[str]]) -> dict[str, Any]:
    """Who may come, by server."""
    return {f"servers.{name}.tls_allowed_dn_list": names for name, names in lists.items()}


def test_wrong_files_keep_it_from_starting(tmp_path: Path, pki: Pki, address: str) -> None:
    (pki.folder / "servercert.pem").write_text("broken")
    with process(tmp_path, pki=str(pki.folder), listen=[address]) as started:
        assert started.ended() == ExitCode.CONFIG
        assert started.process.stderr
        assert "servercert.pem" in started.process.stderr.read()
