"""libvirt URIs: what they say, what the server gets of them, and where they lead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcgen.libvirt.sockets import address
from rpcgen.libvirt.uri import LibvirtUri, Transport, UriError, parse


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("qemu+tls://h/system?pkipath=/x&foo=1", "qemu:///system?foo=1"),
        ("test+unix:///default?socket=/s", "test:///default"),
        ("test:///default", "test:///default"),
        ("test:/default", "test:///default"),
        ("qemu+tcp://me@host:1/system?NAME=lxc:///", "lxc:///"),
        ("qemu:///system?name=", ""),
        ("remote:///", ""),
        ("remote+tcp://host/?name=qemu%3A///system", "qemu:///system"),
        (
            "esx+tcp://h/dc/c1?no_verify=1;auto_answer=1;x&&y=%20",
            "esx:///dc/c1?auto_answer=1&x&y=%20",
        ),
        ("QEMU+TCP://h/System?a#frag", "qemu:///System?a#frag"),
        ("lxc+tcp://h", "lxc://"),
        ("", ""),
    ],
)
def test_the_name_is_what_only_the_server_needs(text: str, name: str) -> None:
    assert parse(text).name == name


def test_every_part_is_told_apart() -> None:
    uri = parse("qemu+tcp://j%C3%B6@[fe80::1%25lo]:7/a/b?Mode=legacy&socket=%2Fx%3f&x=1")
    assert uri == LibvirtUri(
        driver="qemu",
        transport=Transport.TCP,
        user="jö",
        host="fe80::1%lo",
        port=7,
        path="/a/b",
        parameters={"mode": "legacy", "socket": "/x?"},
        name="qemu:///a/b?x=1",
    )


@pytest.mark.parametrize("transport", Transport)
def test_every_transport_of_libvirt_is_known(transport: Transport) -> None:
    assert parse(f"qemu+{transport.value}:///system?command=x").transport is transport


@pytest.mark.parametrize(
    ("text", "transport"),
    [("qemu:///system", Transport.UNIX), ("qemu://h/system", Transport.TLS)],
)
def test_a_host_implies_the_transport(text: str, transport: Transport) -> None:
    assert parse(text).transport is transport


@pytest.mark.parametrize(
    ("text", "part", "reason"),
    [
        ("qemu", "scheme", "expected driver:... or driver+transport:..., got 'qemu'"),
        ("/system", "scheme", "expected driver:... or driver+transport:..., got '/system'"),
        ("://host", "scheme", "expected driver or driver+transport, got ''"),
        ("1:///", "scheme", "expected driver or driver+transport, got '1'"),
        (
            "qemu+udp://h/",
            "transport",
            "expected one of unix, ssh, libssh, libssh2, tls, tcp, ext, got 'udp'",
        ),
        ("qemu+tcp://h:0/", "port", "expected 1 to 65535, got '0'"),
        ("qemu+tcp://h:65536/", "port", "expected 1 to 65535, got '65536'"),
        ("qemu+tcp://h:٣/", "port", "expected 1 to 65535, got '٣'"),
        ("qemu+tcp://a@b@c/", "host", "expected [user@]host[:port], got 'a@b@c'"),
        ("qemu+tcp://[::1/", "host", "expected [user@]host[:port], got '[::1'"),
        ("qemu+unix://h/", "host", "a UNIX socket is on this machine, not on 'h'"),
        ("qemu:system", "path", "expected a slash in front, got 'system'"),
        ("qemu:///?mode=x", "parameter mode", "expected auto, legacy, direct, got 'x'"),
        ("qemu:///?proxy=", "parameter proxy", "expected auto, netcat, native, got ''"),
        ("qemu:///?no_tty", "parameter no_tty", "expected a number, got ''"),
        ("qemu+ext:///", "parameter command", "the transport ext needs it: which program to run"),
        ("qemu:///?socket=a%00b", "parameter socket", "a NUL cannot be passed on: 'a%00b'"),
        (
            "qemu:///?socket=%ff",
            "parameter socket",
            "expected UTF-8 behind the %XX, got '%ff'",
        ),
        (
            "qemu:/// ",
            "text",
            "spaces and control characters must be written as %XX: 'qemu:/// '",
        ),
    ],
)
def test_an_error_names_the_part(text: str, part: str, reason: str) -> None:
    with pytest.raises(UriError) as caught:
        parse(text)
    assert (caught.value.part, caught.value.reason) == (part, reason)
    assert str(caught.value) == f"{part} of the libvirt URI: {reason}"


FRAGMENTS = st.sampled_from(
    [
        *"+:/@[]?&;=#%1٣İ \n\0\udc80",
        "//",
        "::1",
        "qemu",
        "tcp",
        "unix",
        "%00",
        "%ff",
        "mode",
        "socket",
    ]
)


@given(st.text() | st.lists(FRAGMENTS).map("".join))
def test_any_text_is_a_uri_or_its_own_error(text: str) -> None:
    try:
        uri = parse(text)
        assert address(uri, environ={}, uid=1000, exists=lambda _: False)
    except UriError:
        return
    assert parse(uri.name).name == uri.name or "name" in uri.parameters or uri.driver == "remote"


WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8)


@given(
    WORD, st.sampled_from(Transport), WORD, st.integers(1, 65535), WORD, st.dictionaries(WORD, WORD)
)
def test_what_was_put_together_is_taken_apart(
    driver: str, transport: Transport, host: str, port: int, path: str, query: dict[str, str]
) -> None:
    place = "" if transport is Transport.UNIX else f"{host}:{port}"
    rest = "&".join(f"x{name}={value}" for name, value in query.items())
    uri = parse(f"d{driver}+{transport.value}://{place}/{path}?command=c&{rest}")
    assert (uri.driver, uri.transport, uri.path) == (f"d{driver}", transport, f"/{path}")
    assert (uri.host, uri.port) == ((host, port) if place else (None, None))
    assert uri.name == f"d{driver}:///{path}" + (f"?{rest}" if rest else "")


USER = {"XDG_RUNTIME_DIR": "/run/user/7"}


@pytest.mark.parametrize(
    ("text", "uid", "readonly", "there", "expected"),
    [
        ("", 0, False, "", "unix:///var/run/libvirt/libvirt-sock"),
        ("", 0, True, "", "unix:///var/run/libvirt/libvirt-sock-ro"),
        ("", 7, True, "", "unix:///run/user/7/libvirt/libvirt-sock"),
        ("qemu:///system", 7, False, "", "unix:///var/run/libvirt/libvirt-sock"),
        ("qemu:///session", 7, True, "", "unix:///run/user/7/libvirt/libvirt-sock"),
        ("qemu:///session", 0, False, "", "unix:///var/run/libvirt/libvirt-sock"),
        ("test:///default", 7, False, "", "unix:///run/user/7/libvirt/libvirt-sock"),
        ("qemu:///system", 0, True, "virtqemud-sock-ro", "unix:///var/run/libvirt/virtqemud-sock-ro"),
        ("qemu:///system", 0, False, "virtqemud-sock-ro", "unix:///var/run/libvirt/libvirt-sock"),
        ("qemu:///system?mode=legacy", 0, False, "virtqemud-sock", "unix:///var/run/libvirt/libvirt-sock"),
        ("xen:///?mode=direct", 0, False, "", "unix:///var/run/libvirt/virtxend-sock"),
        ("qemu:///system?socket=/s", 0, True, "", "unix:///s"),
        ("qemu:///system?socket=@s", 0, True, "", "unix://@s"),
        ("qemu+tcp://h/system", 0, False, "", "tcp://h:16509"),
        ("qemu+tcp://[::1]:9/system", 0, False, "", "tcp://[::1]:9"),
        ("qemu+tcp:///system", 0, False, "", "tcp://localhost:16509"),
    ],
)  # fmt: skip
def test_where_a_daemon_listens(
    text: str, uid: int, readonly: bool, there: str, expected: str
) -> None:
    found = address(
        parse(text),
        readonly=readonly,
        environ=USER,
        uid=uid,
        exists=lambda path: path.rpartition("/")[2] == there,
    )
    assert found == expected


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/c"),
        ({"XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache"),
    ],
)
def test_without_a_runtime_folder_the_cache_stands_in(environ: dict[str, str], folder: str) -> None:
    assert address(parse(""), environ=environ, uid=7) == f"unix://{folder}/libvirt/libvirt-sock"


def test_a_command_is_one_program_whatever_its_name() -> None:
    uri = parse("qemu+ext:///system?command=/opt/my%20tunnel")
    assert address(uri) == "command:'/opt/my tunnel'"


def test_direct_needs_a_driver() -> None:
    with pytest.raises(UriError, match="parameter mode of the libvirt URI: direct needs a driver"):
        address(parse("remote:///?mode=direct"))
