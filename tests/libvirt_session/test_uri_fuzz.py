"""Any text as a libvirt URI: read or refused, and never more than words to ssh and to the shells behind it."""

from __future__ import annotations

import getopt
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rpcgen.libvirt.sockets import address
from rpcgen.libvirt.ssh import ssh_argv
from rpcgen.libvirt.uri import LibvirtUri, Transport, UriError, parse
from rpcgen.runtime.errors import ConnectError
from rpcgen.runtime.transport.address import parse as parse_address

CLIENTS = (
    *(
        "name",
        "command",
        "socket",
        "auth",
        "sshauth",
        "netcat",
        "keyfile",
        "pkipath",
        "known_hosts",
    ),
    *("known_hosts_verify", "tls_priority", "mode", "proxy", "no_sanity", "no_verify", "no_tty"),
    "authfile",
)
"""The parameters that are the client's business."""

HOSTILE = (
    *("-oProxyCommand=x", "$(touch x)", "`touch x`", "a;touch x", "a\ntouch x", "'", "''", '"'),
    *("\\", "'; touch x; '", "a b", "*", "~", "a\tb", "|x", "&x", ">x", "#", "!x", "é", "a\rb"),
    *("'\\''", "${HOME}", "$HOME", "{a,b}", "x=y", "%s", "\x0b", "\x7f"),
)

PIECES = st.sampled_from(
    [
        *"+:/@[]?&;=#%-.1'\"$` \n\0é",
        *("//", "qemu", "remote", "+tcp", "+ssh", "://", "host", "[::1]", "%25", "%2525"),
        *("%00", "%0A", "%ff", "%zz", "SOCKET=", "pro%78y=native", "Mode=", "x=1", "no_tty=1"),
    ]
)
JOINED = st.lists(PIECES).map("".join)
TEXTS = st.text() | JOINED | JOINED.map("qemu+ssh://h/".__add__)


def read(text: str) -> LibvirtUri | None:
    """What a text says, if it is a URI."""
    try:
        return parse(text)
    except UriError:
        return None


@given(TEXTS)
@example("qemu+tcp://[fe80::1%00x]/")
@example("qemu+tcp://[fe80::1%0Ax]/")
@example("qemu:///a%00b")
@example("qemu:///?x=%00")
def test_a_text_is_a_uri_or_refused_and_no_part_has_what_ends_a_word_early(text: str) -> None:
    if (uri := read(text)) is None:
        return
    parts = [uri.driver, uri.user or "", uri.host or "", uri.path, uri.name]
    for part in (*parts, *uri.parameters.values()):
        assert "\0" not in part
        part.encode()
    for part in (unquote(uri.path), uri.host or ""):
        assert "\0" not in part
    assert (uri.port or 1) in range(1, 65536)
    assert set(uri.parameters) <= set(CLIENTS)


@given(TEXTS)
def test_the_server_gets_no_parameter_that_is_the_clients(text: str) -> None:
    uri = read(text)
    if uri is None or "name" in uri.parameters:
        return
    query = uri.name.partition("#")[0].partition("?")[2]
    names = {name.lower() for name, _ in parse_qsl(query, keep_blank_values=True)}
    assert names.isdisjoint(CLIENTS)


@given(TEXTS)
def test_what_the_server_gets_says_the_same_again(text: str) -> None:
    uri = read(text)
    if uri is None or "name" in uri.parameters or not uri.name:
        return
    again = parse(uri.name)
    assert (again.name, again.driver, again.path) == (uri.name, uri.driver, uri.path)
    assert (again.transport, again.host, dict(again.parameters)) == (Transport.UNIX, None, {})


@given(TEXTS)
def test_a_uri_has_an_address_that_can_be_read_or_is_refused(text: str) -> None:
    if (uri := read(text)) is None:
        return
    try:
        where = parse_address(address(uri, environ={}, uid=1000, exists=lambda _: False))
    except (UriError, ConnectError):  # a path that is too long, say
        return
    assert where.kind in ("unix", "tcp", "command")


@pytest.mark.parametrize("parameter", CLIENTS)
@pytest.mark.parametrize("how", [str, str.upper, lambda name: f"%{ord(name[0]):02x}{name[1:]}"])
def test_every_parameter_of_the_client_is_known_however_it_is_written(
    parameter: str, how: Callable[[str], str]
) -> None:
    values = {"mode": "legacy", "proxy": "native", "known_hosts_verify": "auto", "name": "a:///"}
    value = values.get(parameter, "1")
    uri = parse(f"qemu:///system?x=1&{how(parameter)}={value}&y=2")
    assert dict(uri.parameters) == {parameter: value}
    assert uri.name == ("a:///" if parameter == "name" else "qemu:///system?x=1&y=2")


def test_the_last_of_two_counts() -> None:
    assert parse("qemu:///?socket=/a&SOCKET=/b").parameters == {"socket": "/b"}
    assert parse("qemu:///?no_tty=1&no_tty=0").parameters == {"no_tty": "0"}


@pytest.mark.parametrize("text", [one for one in HOSTILE if one not in ("~", "é", "#")])
@pytest.mark.parametrize("how", [str, quote])
def test_a_host_that_is_no_name_is_refused(text: str, how: Callable[[str], str]) -> None:
    with pytest.raises(UriError):
        parse(f"qemu+ssh://{how(text)}/system")


@pytest.mark.parametrize("host", ["h", "a.b-c_d", "10.0.0.1", "[::1]", "[fe80::1%25lo]", "é", "h~"])
def test_a_host_that_is_a_name_is_taken(host: str) -> None:
    assert parse(f"qemu+ssh://{host}/system").host == host.strip("[]").replace("%25", "%")


@pytest.mark.parametrize("user", ["-oX", "a'b", "$(x)", "a;b", "a\nb", "a|b", "`a`", "a\x7f"])
def test_a_user_that_is_none_is_refused(user: str) -> None:
    with pytest.raises(UriError, match="user of the libvirt URI: expected a name"):
        parse(f"qemu+ssh://{quote(user)}@h/system")


@pytest.mark.parametrize("user", ["ann", "CORP\\ann", "ann@CORP", "a.b_c-d", "é", "pc$"])
def test_a_user_may_be_of_a_domain(user: str) -> None:
    assert parse(f"qemu+ssh://{quote(user)}@h/system").user == user


VALUES = st.sampled_from(HOSTILE) | st.text(max_size=8).filter(lambda text: "\0" not in text)


@given(VALUES, VALUES, VALUES)
@example("-oProxyCommand=x", "-oProxyCommand=x", "-oProxyCommand=x")
def test_ssh_gets_no_option_that_is_not_meant(user: str, keyfile: str, socket: str) -> None:
    text = (
        f"qemu+ssh://{quote(user, safe='')}@far:22/system"
        f"?keyfile={quote(keyfile, safe='')}&socket={quote(socket, safe='')}&proxy=netcat"
    )
    if (uri := read(text)) is None:
        return
    options, words = getopt.getopt(ssh_argv(uri, socket)[1:], "p:l:i:Te:o:")
    asked = [("-p", "22")] + [("-l", user)] * bool(user) + [("-i", keyfile)] * bool(keyfile)
    assert options == [*asked, ("-T", ""), ("-e", "none")]
    assert len(words) == 2
    assert words[0] == "far"


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of programs that say what they were given."""
    folder = tmp_path_factory.mktemp("far")
    for name in ("nc", "virt-ssh-helper"):
        program = folder / name
        program.write_text(
            f"#!{sys.executable} -IS\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n"
        )
        program.chmod(0o700)
    return folder


def run_far(script: str, folder: Path) -> list[str]:
    """What the last program that a script runs was given, by the two shells of the far side."""
    path = f"{folder}{os.pathsep}{os.defpath}"
    done = subprocess.run(
        ["sh", "-c", script], cwd=folder, env={"PATH": path}, capture_output=True, check=True
    )
    assert len(list(folder.iterdir())) == 2, "something else was run"
    given: list[str] = json.loads(done.stdout.splitlines()[-1])
    return given


@pytest.mark.parametrize("text", HOSTILE)
def test_a_path_reaches_the_far_side_as_one_word(text: str, far: Path) -> None:
    path = f"/run/{text}/s"
    uri = parse(f"qemu+ssh://h/system?proxy=netcat&socket={quote(path)}")
    script = ssh_argv(uri, uri.parameters["socket"])[-1]
    assert run_far(script, far) == ["-U", path]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_uri_reaches_the_far_side_as_one_word(text: str, far: Path) -> None:
    name = f"qemu:///{text}"
    uri = parse(f"qemu+ssh://h/system?proxy=native&name={quote(name)}")
    assert run_far(ssh_argv(uri, "/s")[-1], far) == [name]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_netcat_is_one_word(text: str, far: Path) -> None:
    program = far / "nc"
    uri = parse(f"qemu+ssh://h/system?netcat={quote(f'{program}{text}')}")
    script = ssh_argv(uri, "/s")[-1]
    done = subprocess.run(["sh", "-c", script], cwd=far, capture_output=True, check=False)
    assert done.returncode in (126, 127), "no such program was to be found"
    assert len(list(far.iterdir())) == 2, "something else was run"
