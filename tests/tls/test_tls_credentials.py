"""Where files of TLS are looked for: a directory of choice, a user's, the system's."""

from __future__ import annotations

import errno
import logging
import os
import pwd
import re
from pathlib import Path

import pytest

from rpcgen.runtime.errors import TlsError
from rpcgen.runtime.tls import credentials
from rpcgen.runtime.tls.certificates import Role
from rpcgen.runtime.tls.credentials import Credentials, find

SERVER, CLIENT = Role.SERVER, Role.CLIENT
USER_ID = 1_000


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's directory, complete for both roles, without a list of what is revoked."""
    pki = tmp_path / "pki"
    monkeypatch.setattr(credentials, "SYSTEM", pki)
    made(pki / "CA", "cacert.pem")
    made(pki / "libvirt", "servercert.pem", "clientcert.pem")
    made(pki / "libvirt/private", "serverkey.pem", "clientkey.pem")
    return pki


def made(directory: Path, *names: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).touch()
    return directory


def user(home: Path, role: Role = CLIENT) -> Credentials:
    """What a user finds who is not root."""
    return find(role, environ={"HOME": str(home)}, uid=USER_ID)


def same(one: Credentials, *paths: Path | None) -> bool:
    return (one.ca, one.crl, one.certificate, one.key) == paths


@pytest.mark.parametrize("role", Role)
def test_the_systems_files(system: Path, role: Role) -> None:
    own = system / "libvirt"
    expected = own / f"{role.value}cert.pem", own / "private" / f"{role.value}key.pem"
    found = find(role, environ={"HOME": "/nowhere"}, uid=0)
    assert same(found, system / "CA/cacert.pem", None, *expected)
    made(system / "CA", "cacrl.pem")
    found = find(role, environ={"HOME": "/nowhere"}, uid=0)
    assert same(found, system / "CA/cacert.pem", system / "CA/cacrl.pem", *expected)


def test_root_does_not_look_in_its_home(system: Path, tmp_path: Path) -> None:
    made(tmp_path / ".pki/libvirt", "cacert.pem", "clientcert.pem", "clientkey.pem")
    found = find(CLIENT, environ={"HOME": str(tmp_path)}, uid=0)
    assert found.ca == system / "CA/cacert.pem"


@pytest.mark.parametrize("role", Role)
def test_a_directory_of_choice_has_all(system: Path, tmp_path: Path, role: Role) -> None:
    names = ["cacert.pem", "cacrl.pem", f"{role.value}cert.pem", f"{role.value}key.pem"]
    chosen = made(tmp_path / "chosen", *names)
    assert same(find(role, str(chosen)), *(chosen / name for name in names))
    (chosen / "cacert.pem").unlink()
    with pytest.raises(
        TlsError, match=r"^\S+chosen/cacert\.pem: no such file, so that there is no CA"
    ):
        find(role, str(chosen))
    assert system.exists()  # but nothing is taken from there


@pytest.mark.parametrize("missing", ["servercert.pem", "serverkey.pem"])
def test_a_server_needs_its_own(tmp_path: Path, missing: str) -> None:
    made(tmp_path, "cacert.pem", "servercert.pem", "serverkey.pem")
    (tmp_path / missing).unlink()
    with pytest.raises(TlsError, match=f"a server needs .* missing: {tmp_path}/{missing}$"):
        find(SERVER, str(tmp_path))


@pytest.mark.parametrize("names", [[], ["clientcert.pem"], ["clientkey.pem"]])
def test_a_client_may_do_without(
    tmp_path: Path, names: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    made(tmp_path, "cacert.pem", *names)
    with caplog.at_level(logging.WARNING):
        assert same(find(CLIENT, str(tmp_path)), tmp_path / "cacert.pem", None, None, None)
    other = {"clientcert.pem": "clientkey.pem", "clientkey.pem": "clientcert.pem"}
    said = [one.getMessage().partition(":")[0] for one in caplog.records]
    assert said == [str(tmp_path / other[name]) for name in names]


def test_a_link_to_nowhere_is_there(tmp_path: Path) -> None:
    """Or else a list of what is revoked would go unread, and nobody would know."""
    made(tmp_path, "cacert.pem")
    (tmp_path / "cacrl.pem").symlink_to(tmp_path / "nowhere")
    assert find(CLIENT, str(tmp_path)).crl == tmp_path / "cacrl.pem"


def test_where_nobody_may_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """root may look anywhere, so the system's refusal is played."""
    made(tmp_path, "cacert.pem", "clientcert.pem", "servercert.pem")
    lstat = os.lstat

    def refused(path: Path) -> os.stat_result:
        if path.name in hidden:
            raise PermissionError(errno.EACCES, "Permission denied")
        return lstat(path)

    monkeypatch.setattr(os, "lstat", refused)
    hidden = {"clientkey.pem", "serverkey.pem"}
    with pytest.raises(TlsError, match=r"/serverkey\.pem: Permission denied$"):
        find(SERVER, str(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert find(CLIENT, str(tmp_path)).certificate is None
    assert "clientkey.pem: Permission denied" in caplog.text
    for name in ("cacert.pem", "cacrl.pem"):
        hidden = {name}
        with pytest.raises(TlsError, match=rf"/{name}: Permission denied$"):
            find(CLIENT, str(tmp_path))


def test_a_directory_that_is_no_path() -> None:
    with pytest.raises(TlsError, match="null"):
        find(CLIENT, "nul\0")


def test_a_user_takes_each_item_from_where_it_is(system: Path, tmp_path: Path) -> None:
    own = system / "libvirt/clientcert.pem", system / "libvirt/private/clientkey.pem"
    home = made(tmp_path / "home/.pki/libvirt")
    at = tmp_path / "home"
    assert same(user(at), system / "CA/cacert.pem", None, *own)
    made(home, "cacrl.pem")
    assert same(user(at), system / "CA/cacert.pem", home / "cacrl.pem", *own)
    made(home, "cacert.pem", "clientcert.pem")  # half a pair is none
    assert same(user(at), home / "cacert.pem", home / "cacrl.pem", *own)
    made(home, "clientkey.pem")
    pair = home / "clientcert.pem", home / "clientkey.pem"
    assert same(user(at), home / "cacert.pem", home / "cacrl.pem", *pair)


def test_a_user_is_told_of_both_places(system: Path, tmp_path: Path) -> None:
    (system / "CA/cacert.pem").unlink()
    with pytest.raises(
        TlsError, match=r"^neither .*\.pki/libvirt/cacert\.pem nor .*/pki/CA/cacert\.pem: "
    ):
        user(tmp_path)
    made(system / "CA", "cacert.pem")
    (system / "libvirt/private/serverkey.pem").unlink()
    with pytest.raises(
        TlsError, match=r"/servercert\.pem and .*/serverkey\.pem; or else .*/private/serverkey"
    ):
        user(tmp_path, SERVER)


def test_a_home_that_is_not_in_the_environment(system: Path) -> None:
    assert find(CLIENT, environ={}, uid=2**31 - 7).ca == system / "CA/cacert.pem"  # nobody's
    one = next(one for one in pwd.getpwall() if one.pw_uid and one.pw_dir)
    (system / "CA/cacert.pem").unlink()
    with pytest.raises(
        TlsError, match=f"^neither {re.escape(one.pw_dir)}/.pki/libvirt/cacert.pem nor "
    ):
        find(CLIENT, environ={}, uid=one.pw_uid)


def test_a_certificate_and_its_key_come_together() -> None:
    for pair in (("cert", None), (None, "key")):
        with pytest.raises(TlsError, match="come together"):
            Credentials("ca", *pair)


def test_paths_may_be_text() -> None:
    given = Credentials("ca", os.fspath("cert"), Path("key"), "crl")
    assert same(given, Path("ca"), Path("crl"), Path("cert"), Path("key"))
    assert repr(given) == "Credentials(ca=ca, certificate=cert, crl=crl, key=key)"
