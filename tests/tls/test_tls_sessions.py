"""Handshakes between our own two sides: which peers are accepted, and what each side is told."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("cryptography", reason="not installed: cryptography")

from tls.authority import Authority, Leaf, dn, write_pki
from tls.pair import connected, shaken

from rpcgen.runtime.errors import ConnectionClosed, TlsError
from rpcgen.runtime.tls.certificates import Role
from rpcgen.runtime.tls.context import ClientTls, ServerTls
from rpcgen.runtime.tls.stream import TlsStream
from rpcgen.runtime.transport.dial import pair

HOST = "libvirt.example"
CLIENT = dn(C="UK", CN="client.example")


class Case(NamedTuple):
    """One row: what is shown, what is asked for, and whether each side accepts the other."""

    name: str
    san: Sequence[str] = ()
    host: str = HOST
    allowed: Sequence[str] | None = None
    other_ca: bool = False
    chains: bool = False
    server: bool = True
    client: bool = True


CASES = [
    Case("the host is the CN"),
    Case("different authorities", other_ca=True, server=False, client=False),
    Case("the first name of the SAN, which is the CN", san=[HOST, "other.example"]),
    Case("the second name of the SAN", san=[HOST, "other.example"], host="other.example"),
    Case("no name of the SAN", san=[HOST, "other.example"], host="wrong.example", client=False),
    Case("the CN but no name of the SAN", san=["a.example", "b.example"], client=False),
    Case("another SAN, first name", san=["a.example", "b.example"], host="a.example"),
    Case("another SAN, second name", san=["a.example", "b.example"], host="b.example"),
    Case("one other DN", allowed=["C=UK,CN=other.example"], server=False),
    Case("the DN", allowed=["C=UK,CN=client.example"]),
    Case("another DN and the DN", allowed=["C=UK,CN=other.example", "C=UK,CN=client.example"]),
    Case("a longer DN", allowed=["C=UK,CN=client.example.com"], server=False),
    Case("the DN begins so", allowed=["C=UK,CN=client*"]),
    Case("the DN contains it", allowed=["*CN=client*"]),
    Case("chains of authorities", chains=True),
]
"""libvirt's own fifteen (virnettlssessiontest)."""


def files(folder: Path, case: Case) -> tuple[ServerTls, ClientTls]:
    """Both sides with what a case wants, looked at by the peer only."""
    root = Authority("root")
    other = Authority("other root") if case.other_ca else root
    over_server = over_client = root
    if case.other_ca:
        over_client = other
    if case.chains:
        one = root.intermediate("level 1")
        over_server = one.intermediate("level 2 of servers")
        over_client = one.intermediate("level 2 of clients")
    server = over_server.issue(HOST, Role.SERVER, san=case.san)
    client = over_client.issue(CLIENT, Role.CLIENT)
    return (
        ServerTls(
            write_pki(folder / "server", root, server, Role.SERVER),
            sanity=False,
            allowed_dn=case.allowed,
        ),
        ClientTls(write_pki(folder / "client", other, client, Role.CLIENT), sanity=False),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_who_accepts_whom(case: Case, tmp_path: Path) -> None:
    with shaken(*files(tmp_path, case), case.host) as outcome:
        accepts = [isinstance(one, TlsStream) for one in outcome]
        # A client that has accepted still needs the server's word to go on.
        assert accepts == [case.server and case.client, case.server and case.client]
        if not case.client:
            assert isinstance(outcome.client, TlsError)
            assert "certificate" in str(outcome.client) or "match" in str(outcome.client)
        elif not case.server:
            assert isinstance(outcome.client, TlsError)
            assert "confirmation" in str(outcome.client)


def pki(folder: Path, *, client: Leaf | None, authority: Authority) -> tuple[Path, Path]:
    """One directory for each side."""
    server = authority.issue("localhost", Role.SERVER, san=["localhost", "127.0.0.1", "::1"])
    write_pki(folder / "server", authority, server, Role.SERVER)
    write_pki(folder / "client", authority, client, Role.CLIENT)
    return folder / "server", folder / "client"


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def ordinary(tmp_path: Path, authority: Authority) -> tuple[str, str]:
    client = authority.issue(CLIENT, Role.CLIENT)
    server, other = pki(tmp_path, client=client, authority=authority)
    return str(server), str(other)


def test_each_side_knows_whom_it_speaks_to(ordinary: tuple[str, str]) -> None:
    with connected(ServerTls(pkipath=ordinary[0]), ClientTls(pkipath=ordinary[1])) as (us, them):
        assert us.identity.distinguished_name == "C=UK,CN=client.example"
        assert them.identity.distinguished_name == "CN=localhost"
        assert us.identity.secure
        assert them.identity.secure
        assert "client.example" in repr(us.identity)
        assert us.version == them.version == "TLSv1.3"
        assert us.cipher[1] >= 128


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_hosts_are_names_and_addresses(host: str, ordinary: tuple[str, str]) -> None:
    sides = ServerTls(pkipath=ordinary[0]), ClientTls(pkipath=ordinary[1])
    with shaken(*sides, host) as outcome:
        assert isinstance(outcome.client, TlsStream)
    with shaken(*sides, "127.0.0.2") as outcome:
        assert isinstance(outcome.client, TlsError)
        assert "127.0.0.2" in str(outcome.client)


def test_an_empty_list_lets_nobody_in(ordinary: tuple[str, str]) -> None:
    server = ServerTls(pkipath=ordinary[0], allowed_dn=[])
    with shaken(server, ClientTls(pkipath=ordinary[1])) as outcome:
        assert isinstance(outcome.server, TlsError)
        assert "C=UK,CN=client.example" in str(outcome.server)


def test_who_shows_nothing_is_refused(tmp_path: Path, authority: Authority) -> None:
    server, client = pki(tmp_path, client=None, authority=authority)
    with shaken(ServerTls(pkipath=str(server)), ClientTls(pkipath=str(client))) as outcome:
        assert isinstance(outcome.server, TlsError)
        assert "the client shows no certificate" in str(outcome.server)
        assert isinstance(outcome.client, TlsError)
    anybody = ServerTls(pkipath=str(server), verify=False)
    with connected(anybody, ClientTls(pkipath=str(client))) as (us, _):
        assert us.identity.distinguished_name is None
    nobody = ServerTls(pkipath=str(server), verify=False, allowed_dn=["*"])
    with shaken(nobody, ClientTls(pkipath=str(client))) as outcome:
        assert isinstance(outcome.server, TlsError)  # nobody named is nobody on the list


def test_whoever_does_not_verify_takes_any_server(
    tmp_path: Path, ordinary: tuple[str, str]
) -> None:
    stranger = Authority("stranger")
    leaf = stranger.issue("elsewhere.example", Role.SERVER, days=(-2, -1))
    write_pki(tmp_path / "stranger", stranger, leaf, Role.SERVER)
    server = ServerTls(pkipath=str(tmp_path / "stranger"), verify=False, sanity=False)
    with shaken(server, ClientTls(pkipath=ordinary[1])) as outcome:
        assert isinstance(outcome.client, TlsError)
    with connected(server, ClientTls(pkipath=ordinary[1], verify=False)) as (_, them):
        assert them.identity.distinguished_name == "CN=elsewhere.example"


@pytest.mark.parametrize(("role", "victim"), [(Role.CLIENT, "server"), (Role.SERVER, "client")])
def test_a_certificate_for_the_other_side_is_refused(
    role: Role, victim: str, tmp_path: Path, ordinary: tuple[str, str], authority: Authority
) -> None:
    other = Role.SERVER if role is Role.CLIENT else Role.CLIENT
    leaf = authority.issue("localhost", other)
    write_pki(tmp_path / "wrong", authority, leaf, role)
    path = str(tmp_path / "wrong")
    server = ServerTls(pkipath=path if role is Role.SERVER else ordinary[0], sanity=False)
    client = ClientTls(pkipath=path if role is Role.CLIENT else ordinary[1], sanity=False)
    with shaken(server, client) as outcome:
        refused = getattr(outcome, victim)
        assert isinstance(refused, TlsError)
        assert f"certificate is not for a {role.value}" in str(refused)


@pytest.mark.parametrize("is_expired", [True, False])
def test_certificates_out_of_their_time_are_refused(
    is_expired: bool, tmp_path: Path, ordinary: tuple[str, str], authority: Authority
) -> None:
    leaf = authority.issue("c", Role.CLIENT, days=(-2, -1) if is_expired else (1, 2))
    write_pki(tmp_path / "old", authority, leaf, Role.CLIENT)
    client = ClientTls(pkipath=str(tmp_path / "old"), sanity=False)
    with shaken(ServerTls(pkipath=ordinary[0]), client) as outcome:
        assert isinstance(outcome.server, TlsError)
        assert ("expired" if is_expired else "not yet valid") in str(outcome.server)


def test_what_is_revoked_is_refused(tmp_path: Path, authority: Authority) -> None:
    good, bad = (authority.issue(name, Role.CLIENT) for name in ("good", "bad"))
    server = authority.issue("localhost", Role.SERVER)
    crl = authority.crl(bad)
    tls = ServerTls(write_pki(tmp_path / "s", authority, server, Role.SERVER, crl=crl))
    for leaf, is_good in ((good, True), (bad, False)):
        folder = tmp_path / f"client {is_good}"
        write_pki(folder, authority, leaf, Role.CLIENT)
        with shaken(tls, ClientTls(pkipath=str(folder))) as outcome:
            assert isinstance(outcome.server, TlsStream) is is_good
            assert is_good or "revoked" in str(outcome.server)


def test_files_are_read_again(
    tmp_path: Path, ordinary: tuple[str, str], authority: Authority
) -> None:
    tls, client = ServerTls(pkipath=ordinary[0]), ClientTls(pkipath=ordinary[1])
    with connected(tls, client) as (us, them):
        renewed = authority.issue(dn(O="renewed", CN="localhost"), Role.SERVER)
        write_pki(Path(ordinary[0]), authority, renewed, Role.SERVER)
        tls.reload()
        with connected(tls, client) as (_, other):
            assert other.identity.distinguished_name == "O=renewed,CN=localhost"
        # who was there before stays
        assert us.send([b"still here"]) == 10
        space = memoryview(bytearray(them.room))
        assert them.receive(space) == 10
        Path(ordinary[0], "servercert.pem").write_text("broken")
        with pytest.raises(TlsError, match=r"servercert\.pem"):
            tls.reload()
        with connected(tls, client) as (_, other):
            assert other.identity.distinguished_name == "O=renewed,CN=localhost"


def test_versions_are_chosen_by_priority(ordinary: tuple[str, str]) -> None:
    server = ServerTls(pkipath=ordinary[0])
    old = ClientTls(pkipath=ordinary[1], priority="NORMAL:-VERS-TLS1.3")
    with connected(server, old) as (us, _):
        assert us.version == "TLSv1.2"
    new = ServerTls(pkipath=ordinary[0], priority="NORMAL:-VERS-ALL:+VERS-TLS1.3")
    with shaken(new, old) as outcome:
        assert isinstance(outcome.server, TlsError)
        assert isinstance(outcome.client, TlsError)


def test_warnings_are_logged(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    from tls.authority import purpose

    leaf = authority.issue("c", Role.CLIENT, purpose=purpose("server"))
    write_pki(tmp_path, authority, leaf, Role.CLIENT)
    with caplog.at_level(logging.WARNING):
        ClientTls(pkipath=str(tmp_path))
    assert "clientcert.pem" in caplog.text


@pytest.mark.parametrize("names", ["C=UK,*", b"*", [7], [None], 7])
def test_a_list_is_a_list(names: Any, ordinary: tuple[str, str]) -> None:
    """A text is a sequence of texts, one of which may be a star."""
    with pytest.raises(TypeError, match="allowed_dn: expected"):
        ServerTls(pkipath=ordinary[0], allowed_dn=names)


def test_files_may_be_read_later(tmp_path: Path, ordinary: tuple[str, str]) -> None:
    folder = tmp_path / "later"
    tls = ServerTls(pkipath=str(folder), lazy=True)
    with pytest.raises(TlsError, match="later"):
        tls.load()
    shutil.copytree(ordinary[0], folder)
    with connected(tls, ClientTls(pkipath=ordinary[1])) as (us, _):
        assert us.identity.distinguished_name == "C=UK,CN=client.example"
    with pytest.raises(TlsError, match="priority"):
        ServerTls(pkipath=str(folder), priority="SHOUT", lazy=True)


def test_what_has_failed_stays_so(tmp_path: Path, ordinary: tuple[str, str]) -> None:
    ours, theirs = pair()
    side = ServerTls(pkipath=ordinary[0]).handshake(ours)
    theirs.send([b"GET / HTTP/1.1\r\n\r\n"])
    with pytest.raises((TlsError, ConnectionClosed)):
        side.step()
    for _ in range(3):
        with pytest.raises(TlsError, match="has failed before"):
            side.step()
    for one in (ours, theirs):
        one.close()


def test_both_places_at_once_are_a_mistake(ordinary: tuple[str, str]) -> None:
    tls = ServerTls(pkipath=ordinary[0])
    with pytest.raises(TypeError, match="not both"):
        ServerTls(tls.credentials, pkipath=ordinary[0])
