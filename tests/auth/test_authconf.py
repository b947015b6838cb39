"""``auth.conf``: libvirt's own lookups, where the file is searched, and every byte as GLib reads it."""

from __future__ import annotations

import ctypes
import ctypes.util
from pathlib import Path

import pytest
from helpers import require
from hypothesis import given
from hypothesis import strategies as st

from rpcgen.runtime.auth.authconf import AuthConfig, find_file, load
from rpcgen.runtime.auth.keyfile import KeyFileError, parse, unescape
from rpcgen.runtime.errors import AuthError

HOSTS = """\
# comment
[credentials-test]
username=fred
password=123456

[credentials-prod]
authname = bar
username=root
password = let=me in\\s
realm=EXAMPLE

[auth-libvirt-test1.example.com]
credentials=test
[auth-libvirt-prod1.example.com]
credentials=prod
[auth-vnc-prod1.example.com]
credentials=test
"""
LOOKUPS = [
    ("test1.example.com", "libvirt", "username", "fred"),
    ("test1.example.com", "vnc", "username", None),
    ("test1.example.com", "libvirt", "realm", None),
    ("test66.example.com", "libvirt", "username", None),
    ("prod1.example.com", "libvirt", "authname", "bar"),
    ("prod1.example.com", "libvirt", "password", "let=me in "),
    ("prod1.example.com", "vnc", "username", "fred"),
    ("TEST1.example.com", "libvirt", "username", None),
]


@pytest.mark.parametrize(("host", "service", "key", "value"), LOOKUPS)
def test_libvirts_lookups(host: str, service: str, key: str, value: str | None) -> None:
    assert AuthConfig(HOSTS).lookup(host, key, service) == value


def test_hosts_without_a_group_get_the_default() -> None:
    config = AuthConfig(HOSTS + "[auth-libvirt-default]\ncredentials=test\n")
    assert config.credentials("test66.example.com").user == "fred"
    assert config.credentials("prod1.example.com").user == "bar"
    assert config.lookup("test66.example.com", "username", "vnc") is None


def test_all_credentials_of_a_host() -> None:
    found = AuthConfig(HOSTS).credentials("prod1.example.com")
    assert (found.username, found.authname, found.realm) == ("root", "bar", "EXAMPLE")
    assert found.password is not None
    assert found.password.reveal() == "let=me in "
    assert "let=me" not in repr(found)
    nothing = AuthConfig(HOSTS).credentials()
    assert (nothing.user, nothing.password) == ("", None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "[auth-libvirt-h]\n",
            "a.conf: expected a key 'credentials' in the group .auth-libvirt-h.",
        ),
        ("[auth-libvirt-h]\ncredentials=x\n", "a.conf: expected a group .credentials-x."),
    ],
)
def test_groups_that_lead_nowhere(text: str, reason: str) -> None:
    with pytest.raises(AuthError, match=reason):
        AuthConfig(text, "a.conf").credentials("h")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[a]\npassword\n", "a.conf:2: expected a .group., a key=value or a # comment"),
        ("\npassword=secret\n", "a.conf:2: expected a .group. before"),
        ("[a\nb=secret\n", "a.conf:1: expected a .group., a key=value"),
        ("[]\n", "a.conf:1: expected a name of a group"),
        ("[a]\n=secret\n", "a.conf:2: expected a .group., a key"),
        ("[a]\nb]=secret\n", "a.conf:2: expected a key"),
        ("; secret\n", "a.conf:1: expected"),
    ],
)
def test_mistakes_are_told_with_their_line_and_no_secret(text: str, reason: str) -> None:
    with pytest.raises(AuthError, match=reason) as caught:
        AuthConfig(text, "a.conf")
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_the_file_is_searched_where_libvirt_searches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "system.conf"
    monkeypatch.setattr("rpcgen.runtime.auth.authconf.SYSTEM", str(system))
    home = {"HOME": f"{tmp_path}/home"}
    assert find_file(environ=home) is None
    system.write_text("")
    assert find_file(environ=home) == str(system)
    own = tmp_path / "home/.config/libvirt/auth.conf"
    own.parent.mkdir(parents=True)
    own.write_text("")
    assert find_file(environ=home) == str(own)
    assert find_file(environ=home | {"XDG_CONFIG_HOME": ""}) == str(own)
    xdg = tmp_path / "xdg/libvirt/auth.conf"
    xdg.parent.mkdir(parents=True)
    xdg.write_text("")
    assert find_file(environ=home | {"XDG_CONFIG_HOME": f"{tmp_path}/xdg"}) == str(xdg)
    assert find_file("/uri", environ=home) == "/uri"
    assert find_file("/uri", environ=home | {"LIBVIRT_AUTH_FILE": "/env"}) == "/env"
    assert find_file("/uri", environ={"LIBVIRT_AUTH_FILE": ""}) == ""


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "auth.conf"
    path.write_bytes(HOSTS.replace("\n", "\r\n").encode() + b"[auth-libvirt-x]\nother=\xff\n")
    assert load(str(path)).lookup("test1.example.com", "password") == "123456"
    path.write_text("oops\n")
    with pytest.raises(AuthError, match=r"auth.conf:1: expected"):
        load(str(path))


@pytest.mark.parametrize("name", ["none", "", "a\0b"])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    path = f"{tmp_path}/{name}"
    with pytest.raises(AuthError, match=str(tmp_path)):
        load(path)


PIECES = [
    *("[", "]", "=", "#", ";", "\n", "\r", "\r\n", " ", "\t", "\v", "\f", "\\", "\\s", "\\n"),
    *(
        "a",
        "auth-x",
        "[g]\n",
        "[h]\n",
        "k=v\n",
        "k =v\n",
        "ä",
        "\udcff",
        "_",
        "\x01",
        "\x7f",
        "\ufeff",
    ),
]


@pytest.fixture(scope="module")
def glib() -> ctypes.CDLL:
    name = ctypes.util.find_library("glib-2.0")
    require(name, "not installed: GLib")
    library = ctypes.CDLL(name)
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    library.g_key_file_new.restype = pointer
    library.g_key_file_free.argtypes = [pointer]
    library.g_key_file_load_from_data.argtypes = [
        pointer,
        text,
        ctypes.c_size_t,
        ctypes.c_int,
        pointer,
    ]
    library.g_key_file_get_groups.argtypes = [pointer, pointer]
    library.g_key_file_get_keys.argtypes = [pointer, text, pointer, pointer]
    library.g_key_file_get_string.argtypes = [pointer, text, text, pointer]
    library.g_key_file_get_string.restype = text
    for function in (library.g_key_file_get_groups, library.g_key_file_get_keys):
        function.restype = ctypes.POINTER(text)
    return library


def texts(array: ctypes.Array[ctypes.c_char_p]) -> list[bytes]:
    found: list[bytes] = []
    while (one := array[len(found)]) is not None:
        found.append(one)
    return found


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=10), start=st.sampled_from(["", "[g]\n"]))
def test_files_are_read_as_glib_reads_them(
    glib: ctypes.CDLL, pieces: list[str], start: str
) -> None:
    text = start + "".join(pieces)
    data = text.encode("utf-8", "surrogateescape")
    file = glib.g_key_file_new()
    try:
        taken = glib.g_key_file_load_from_data(file, data, len(data), 0, None)
        try:
            groups = parse(text)
        except KeyFileError:
            assert not taken
            return
        assert taken
        for name in texts(glib.g_key_file_get_groups(file, None)):
            group = groups.pop(name.decode("utf-8", "surrogateescape"))
            for key in set(texts(glib.g_key_file_get_keys(file, name, None, None))):
                value = unescape(group.pop(key.decode("utf-8", "surrogateescape")))
                expected = glib.g_key_file_get_string(file, name, key, None)
                assert expected == (None if value is None else value.encode())
            assert all(key.endswith("]") for key in group)
        assert groups == {}
    finally:
        glib.g_key_file_free(file)
