"""Addresses as text: what is one, and what is said of what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcgen.runtime.errors import ConnectError
from rpcgen.runtime.transport.address import UNIX_PATH_MAX, parse, unix_name


@pytest.mark.parametrize(
    ("text", "kind", "path", "host", "port"),
    [
        ("unix:///run/x.sock", "unix", "/run/x.sock", "", 0),
        ("unix://@name", "unix", "@name", "", 0),
        ("unix:///not-utf8-\udcff", "unix", "/not-utf8-\udcff", "", 0),
        ("tcp://127.0.0.1:16509", "tcp", "", "127.0.0.1", 16509),
        ("tcp://[::1]:0", "tcp", "", "::1", 0),
        ("tcp://:16509", "tcp", "", "", 16509),
    ],
)
def test_an_address_is_read_and_written(
    text: str, kind: str, path: str, host: str, port: int
) -> None:
    one = parse(text)
    assert (one.kind, one.path, one.host, one.port) == (kind, path, host, port)
    assert str(one) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected unix:///path, tcp://host:port, tls://host:port or command:program"),
        ("127.0.0.1:1", "expected unix:///path, tcp://host:port, tls://host:port or command:"),
        ("http://host:1", "no transport is called 'http'"),
        ("unix://relative", "expected an absolute path"),
        ("unix:///", "expected an absolute path"),
        ("unix:///" + "x" * 107, "a path of 108 bytes is no socket's, 107 fit"),
        ("unix:///a\0b", "is no socket's"),
        ("unix:///\ud800", "a path that no file can have"),
        ("command:", "expected a program"),
        ("command:''", "expected a program"),
        ("command:nc '", "no words as a shell quotes them"),
        ("command:nc a\0b", "words that no program can be given"),
        ("command:nc \ud800", "words that no program can be given"),
        ("tcp://host", "expected a port from 0 to 65535"),
        ("tcp://host:65536", "expected a port from 0 to 65535"),
        ("tcp://host:-1", "expected a port from 0 to 65535"),
        ("tcp://host:²", "expected a port from 0 to 65535"),
        ("tcp://::1:5", "expected brackets around an IPv6 address"),
    ],
)
def test_what_is_no_address_is_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(ConnectError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert repr(text) in str(caught.value)


@given(st.one_of(st.text(), st.text().map("unix://".__add__), st.text().map("tcp://".__add__)))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        one = parse(text)
    except ConnectError:
        return
    assert parse(str(one)).__class__ is one.__class__


def test_an_abstract_name_is_padded_as_libvirt_pads_it() -> None:
    name = unix_name("@name")
    assert isinstance(name, bytes)
    assert name == b"\0name" + bytes(UNIX_PATH_MAX + 1 - 5)


def test_a_command_is_read_and_written_in_words() -> None:
    one = parse("command:nc -U '/run/my socket'")
    assert one.kind == "command"
    assert one.argv == ("nc", "-U", "/run/my socket")
    assert str(one) == "command:nc -U '/run/my socket'"
