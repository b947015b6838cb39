"""``libssh`` and ``libssh2`` against the real sshd on loopback, beside what virsh makes of the same files."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from interop.daemons import DEADLINE, Libvirtd, virsh
from interop.sshd import Sshd, make_key, sshd_running

from libvirt_rpc.remote_protocol.program import REMOTE_PROC_AUTH_LIST
from libvirt_rpc.remote_protocol.types import RemoteAuthType
from rpcgen import libvirt
from rpcgen.libvirt.login import Ask, Question
from rpcgen.libvirt.sockets import socket_path
from rpcgen.libvirt.sshlibrary import dial, dial_async
from rpcgen.libvirt.uri import LibvirtUri, parse
from rpcgen.runtime import ConnectError, ConnectionClosed, connect, connect_async
from rpcgen.runtime.interfaces import ByteStream

NONE = [RemoteAuthType.REMOTE_AUTH_NONE]
FLOOD = 8 << 20
"""Bytes: four windows of SSH."""


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Neither threads nor descriptors."""
    before = os.listdir("/proc/self/fd")
    yield
    assert [one.name for one in threading.enumerate() if one.name.startswith("ssh ")] == []
    assert len(os.listdir("/proc/self/fd")) <= len(before)


def uri_of(sshd: Sshd, *more: str, host: str = "127.0.0.1") -> LibvirtUri:
    parameters = [f"known_hosts={sshd.known_hosts}", f"keyfile={sshd.key}", "proxy=netcat", *more]
    return parse(f"test+libssh://{host}:{sshd.port}/default?{'&'.join(parameters)}")


def talk(stream: ByteStream) -> list[RemoteAuthType | int]:
    """What the daemon behind a stream says when it is asked how to authenticate."""
    with connect(stream) as connection:
        return connection.call(REMOTE_PROC_AUTH_LIST, None, DEADLINE).types


def reach(
    uri: LibvirtUri, libvirtd: Libvirtd, ask: Ask | None = None
) -> list[RemoteAuthType | int]:
    return talk(dial(uri, str(libvirtd.socket), timeout=DEADLINE, ask=ask))


def refused(uri: LibvirtUri, ask: Ask | None = None) -> str:
    """What the error says."""
    with pytest.raises(ConnectError) as caught:
        dial(uri, "/s", timeout=DEADLINE, ask=ask, environ={"HOME": "/nobody"})
    return str(caught.value)


def ready(stream: ByteStream, events: int, timeout: float = DEADLINE) -> int:
    poll = select.poll()
    poll.register(stream.fileno(), events)
    return next((found for _, found in poll.poll(timeout * 1000)), 0)


def far_side(sshd: Sshd, script: str) -> str:
    """A parameter that has a script run on the far side; it says who it is in the file ``pid``."""
    program = sshd.key.parent / "far"
    program.write_text(f'#!/bin/sh\n[ "$1" = -q ] && exit\necho $PPID > {program}.pid\n{script}\n')
    program.chmod(0o700)
    return f"netcat={program}"


def receive(stream: ByteStream, size: int) -> bytes:
    """So many bytes, or all up to the end."""
    space, at = bytearray(size), 0
    while at < size:
        assert ready(stream, select.POLLIN)
        count = stream.receive(memoryview(space)[at:])
        if count == 0:
            break
        at += count or 0
    return bytes(space[:at])


# Sessions


def test_a_call_through_sshd(libvirtd: Libvirtd, sshd: Sshd) -> None:
    stream = dial(uri_of(sshd), str(libvirtd.socket), timeout=DEADLINE)
    assert (stream.identity.address, stream.identity.secure) == (f"127.0.0.1:{sshd.port}", True)
    assert (stream.passes_fds, stream.can_move, stream.room) == (False, False, 1)
    assert talk(stream) == NONE


def test_a_call_of_asyncio_through_sshd(libvirtd: Libvirtd, sshd: Sshd) -> None:
    async def main() -> list[RemoteAuthType | int]:
        stream = await dial_async(uri_of(sshd), str(libvirtd.socket), timeout=DEADLINE)
        async with connect_async(stream) as connection:
            return (await connection.call(REMOTE_PROC_AUTH_LIST, None, DEADLINE)).types

    assert asyncio.run(main()) == NONE


def test_virsh_and_we_get_through_with_the_same_uri(libvirtd: Libvirtd, sshd: Sshd) -> None:
    query = f"known_hosts={sshd.known_hosts}&keyfile={sshd.key}&sshauth=privkey&proxy=netcat"
    uri = f"test+libssh://root@127.0.0.1:{sshd.port}/default?{query}&socket={libvirtd.socket}"
    done = virsh(uri, "list", "--name")
    assert (done.returncode, done.stdout.split()) == (0, ["test"])
    assert reach(parse(uri), libvirtd) == NONE


@pytest.mark.parametrize("library", ["libssh", "libssh2"])
def test_the_far_side_is_told_word_for_word_what_virsh_tells_it(
    library: str, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    force = f'ForceCommand printf %s "$SSH_ORIGINAL_COMMAND" >{told}'
    with sshd_running(tmp_path, force) as sshd:
        query = f"known_hosts={sshd.known_hosts}&keyfile={sshd.key}&sshauth=privkey"
        for more in ("", "&socket=/s", "&socket=/s&proxy=auto", "&netcat=nc2&proxy=auto"):
            text = f"test+{library}://root@127.0.0.1:{sshd.port}/default?{query}{more}"
            virsh(text, "list")
            expected = told.read_text()
            told.unlink()
            uri = parse(text)
            stream = dial(uri, socket_path(uri, uid=0), timeout=DEADLINE)
            assert receive(stream, 1) == b""
            stream.close()
            assert told.read_text() == expected


# The host


@pytest.mark.parametrize("verify", ["known_hosts_verify=normal", "no_verify=0"])
def test_an_unknown_host_is_refused(verify: str, sshd: Sshd) -> None:
    sshd.known_hosts.write_text("")
    said = refused(uri_of(sshd, verify))
    assert "host key ssh-ed25519 SHA256:" in said
    assert f"is unknown: {sshd.known_hosts} does not have this host" in said
    assert sshd.known_hosts.read_text() == ""


def test_an_unknown_host_is_remembered_in_mode_auto(libvirtd: Libvirtd, sshd: Sshd) -> None:
    line = " ".join(sshd.known_hosts.read_text().split()[:3]) + "\n"
    folder = sshd.known_hosts.parent / "new/libvirt"
    moved = sshd._replace(known_hosts=folder / "known_hosts")
    for verify in ("auto", "auto", "normal"):
        assert reach(uri_of(moved, f"known_hosts_verify={verify}"), libvirtd) == NONE
        assert moved.known_hosts.read_text() == line
    assert stat.S_IMODE(moved.known_hosts.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_host_is_added_behind_a_torn_line(libvirtd: Libvirtd, sshd: Sshd) -> None:
    line = " ".join(sshd.known_hosts.read_text().split()[:3]) + "\n"
    sshd.known_hosts.write_text("# mine")
    assert reach(uri_of(sshd, "known_hosts_verify=auto"), libvirtd) == NONE
    assert sshd.known_hosts.read_text() == f"# mine\n{line}"


def test_what_virsh_remembers_we_know_and_the_other_way_round(
    libvirtd: Libvirtd, sshd: Sshd
) -> None:
    query = f"known_hosts={sshd.known_hosts}&keyfile={sshd.key}&sshauth=privkey&proxy=netcat"
    uri = f"test+libssh://root@127.0.0.1:{sshd.port}/default?{query}&socket={libvirtd.socket}"
    sshd.known_hosts.write_text("")
    assert virsh(f"{uri}&known_hosts_verify=auto", "list").returncode == 0
    assert sshd.known_hosts.read_text()
    assert reach(parse(uri), libvirtd) == NONE
    sshd.known_hosts.write_text("")
    assert reach(parse(f"{uri}&known_hosts_verify=auto"), libvirtd) == NONE
    assert virsh(uri, "list").returncode == 0


@pytest.mark.parametrize("mode", ["normal", "auto"])
def test_a_host_with_another_key_is_refused(mode: str, sshd: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    text = f"[127.0.0.1]:{sshd.port} {(tmp_path / 'other.pub').read_text()}"
    sshd.known_hosts.write_text(text)
    said = refused(uri_of(sshd, f"known_hosts_verify={mode}"), ask=lambda _: "y")
    assert f"is not the one that {sshd.known_hosts} has for this host" in said
    assert sshd.known_hosts.read_text() == text


@pytest.mark.parametrize("mode", ["normal", "auto"])
def test_a_host_with_another_kind_of_key_is_refused(mode: str, sshd: Sshd, tmp_path: Path) -> None:
    words = ["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(tmp_path / "other")]
    subprocess.run(words, check=True)
    text = f"[127.0.0.1]:{sshd.port} {(tmp_path / 'other.pub').read_text()}"
    sshd.known_hosts.write_text(text)
    said = refused(uri_of(sshd, f"known_hosts_verify={mode}"))
    assert f"is not the one that {sshd.known_hosts} has for this host" in said
    assert sshd.known_hosts.read_text() == text


@pytest.mark.parametrize(
    ("marker", "says"),
    [("@revoked", "Host key is revoked"), ("@cert-authority", "is not the one that")],
)
def test_a_marked_key_is_no_key_of_the_host(marker: str, says: str, sshd: Sshd) -> None:
    text = f"{marker} {sshd.known_hosts.read_text()}"
    sshd.known_hosts.write_text(text)
    assert says in refused(uri_of(sshd, "known_hosts_verify=auto"))
    assert sshd.known_hosts.read_text() == text


@pytest.mark.parametrize("how", ["known_hosts_verify=ignore", "no_verify=1"])
def test_any_key_will_do_where_nobody_looks(how: str, libvirtd: Libvirtd, sshd: Sshd) -> None:
    sshd.known_hosts.write_text("no such format\n")
    assert reach(uri_of(sshd, how), libvirtd) == NONE
    assert sshd.known_hosts.read_text() == "no such format\n"


def test_a_hashed_name_is_known(libvirtd: Libvirtd, sshd: Sshd) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-H", "-f", sshd.known_hosts], check=True, capture_output=True
    )
    assert sshd.known_hosts.read_text().startswith("|1|")
    assert reach(uri_of(sshd), libvirtd) == NONE


def test_the_key_of_another_port_is_not_the_hosts(sshd: Sshd) -> None:
    key = sshd.known_hosts.read_text().split(" ", 1)[1]
    sshd.known_hosts.write_text(f"127.0.0.1 {key}")
    assert "is unknown" in refused(uri_of(sshd))


def test_libvirts_own_file_of_known_hosts_is_read(
    libvirtd: Libvirtd, sshd: Sshd, tmp_path: Path
) -> None:
    (tmp_path / "libvirt").mkdir()
    sshd.known_hosts.rename(tmp_path / "libvirt/known_hosts")
    uri = parse(f"test+libssh2://127.0.0.1:{sshd.port}/default?keyfile={sshd.key}&proxy=netcat")
    environ = {"HOME": "/nobody", "XDG_CONFIG_HOME": str(tmp_path)}
    socket_path = str(libvirtd.socket)
    assert talk(dial(uri, socket_path, timeout=DEADLINE, environ=environ)) == NONE


def test_the_files_of_the_program_ssh_are_not_read(
    libvirtd: Libvirtd, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "home/.ssh"
    folder.mkdir(parents=True)
    (folder / "config").write_text("Host *\n  Port 1\n  User nobody\n  ProxyCommand false\n")
    (folder / "known_hosts").write_text(sshd.known_hosts.read_text())
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert reach(uri_of(sshd), libvirtd) == NONE
    sshd.known_hosts.unlink()
    assert "is unknown" in refused(uri_of(sshd))


def test_a_file_of_known_hosts_that_is_none(sshd: Sshd) -> None:
    sshd.known_hosts.write_text("nonsense\n")
    assert f"{sshd.known_hosts}: Invalid known hosts entry" in refused(uri_of(sshd))
    missing = sshd._replace(known_hosts=sshd.known_hosts.parent)
    assert "cannot read: Is a directory" in refused(uri_of(missing))


def test_a_file_of_known_hosts_that_cannot_be_written(sshd: Sshd) -> None:
    said = refused(uri_of(sshd._replace(known_hosts=sshd.key / "no")), ask=lambda _: "y")
    assert f"{sshd.key}/no: cannot" in said


@pytest.mark.parametrize(("answer", "is_let"), [("y", True), (" Yes\n", True), ("n", False)])
def test_the_user_is_asked_about_an_unknown_host(
    answer: str, is_let: bool, libvirtd: Libvirtd, sshd: Sshd
) -> None:
    sshd.known_hosts.write_text("")
    asked: list[tuple[str, Thread]] = []

    def ask(question: Question) -> str:
        asked.append((question.text, threading.current_thread()))
        return answer

    if is_let:
        assert reach(uri_of(sshd), libvirtd, ask) == NONE
    else:
        assert "is unknown" in refused(uri_of(sshd), ask)
    ((question, thread),) = asked
    assert f"[127.0.0.1]:{sshd.port} has the unknown host key ssh-ed25519 SHA256:" in question
    assert thread is threading.current_thread()
    assert bool(sshd.known_hosts.read_text()) is is_let


def test_a_host_with_a_certificate_of_a_known_authority(libvirtd: Libvirtd, tmp_path: Path) -> None:
    for name in ("ca", "hostkey"):
        make_key(tmp_path / name)
    words = ["ssh-keygen", "-q", "-s", str(tmp_path / "ca"), "-I", "host", "-h", "-n", "127.0.0.1"]
    subprocess.run([*words, str(tmp_path / "hostkey.pub")], check=True)
    with sshd_running(tmp_path, f"HostCertificate {tmp_path}/hostkey-cert.pub") as sshd:
        authority = f"@cert-authority [127.0.0.1]:* {(tmp_path / 'ca.pub').read_text()}"
        sshd.known_hosts.write_text(authority)
        assert reach(uri_of(sshd), libvirtd) == NONE


# The user's keys


def test_the_first_keys_of_the_home_are_tried(
    libvirtd: Libvirtd, sshd: Sshd, tmp_path: Path
) -> None:
    folder = tmp_path / "home/.ssh"
    folder.mkdir(parents=True)
    make_key(folder / "id_ecdsa")
    (folder / "identity").write_text("no key")
    sshd.key.rename(folder / "id_rsa")  # what kind it is, is in it
    uri = parse(
        f"test+libssh://127.0.0.1:{sshd.port}/default?known_hosts={sshd.known_hosts}&proxy=netcat"
    )
    environ = {"HOME": str(tmp_path / "home")}
    socket_path = str(libvirtd.socket)
    assert talk(dial(uri, socket_path, timeout=DEADLINE, environ=environ)) == NONE
    (folder / "id_rsa").unlink()
    with pytest.raises(ConnectError) as caught:
        dial(uri, "/s", timeout=DEADLINE, environ=environ)
    assert str(caught.value) == (
        f"127.0.0.1:{sshd.port}: root is not let in (agent: there is none; privkey: "
        f"{folder}/identity: Invalid private key, {folder}/id_ecdsa: refused; "
        "password: not offered; keyboard-interactive: not offered)"
    )


def test_nothing_to_log_in_with(sshd: Sshd) -> None:
    uri = parse(
        f"test+libssh://127.0.0.1:{sshd.port}/default?known_hosts={sshd.known_hosts}"
        "&sshauth=privkey,agent"
    )
    assert refused(uri).endswith("not let in (privkey: no key found; agent: there is none)")


def test_a_key_file_that_is_missing(sshd: Sshd) -> None:
    uri = uri_of(sshd._replace(key=sshd.key / "no"), "sshauth=privkey")
    assert f"privkey: {sshd.key}/no: Not a directory" in refused(uri)


def test_a_key_with_a_passphrase(
    libvirtd: Libvirtd, sshd: Sshd, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    words = ["ssh-keygen", "-q", "-p", "-N", "open sesame", "-f", str(sshd.key)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    uri = uri_of(sshd, "sshauth=privkey")
    asked: list[str] = []

    def ask(question: Question) -> str:
        asked.append(question.text)
        return "open sesame"

    assert reach(uri, libvirtd, ask) == NONE
    assert asked == [f"Passphrase of {sshd.key}: "]
    assert "it needs a passphrase, and nobody can be asked" in refused(uri)
    said = refused(uri, lambda _: "open barley")
    assert f"privkey: {sshd.key}: " in said
    assert "barley" not in said
    assert "sesame" not in caplog.text
    assert "barley" not in caplog.text


def test_the_keys_of_an_agent(libvirtd: Libvirtd, sshd: Sshd, tmp_path: Path) -> None:
    path = str(tmp_path / "agent")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE)
    environ = {"HOME": "/nobody", "SSH_AUTH_SOCK": path}
    uri = uri_of(sshd, "sshauth=agent")
    try:
        assert agent.stdout
        assert agent.stdout.readline()
        with pytest.raises(ConnectError, match="agent: it has no keys"):
            dial(uri, "/s", timeout=DEADLINE, environ=environ)
        subprocess.run(
            ["ssh-add", "-q", sshd.key], check=True, env={**os.environ, "SSH_AUTH_SOCK": path}
        )
        stream = dial(uri, str(libvirtd.socket), timeout=DEADLINE, environ=environ)
        assert talk(stream) == NONE
    finally:
        agent.terminate()
        agent.communicate(timeout=DEADLINE)
    with pytest.raises(ConnectError, match=f"agent: {path}: "):
        dial(uri, "/s", timeout=DEADLINE, environ=environ)


# Bytes


def test_a_flood_comes_back_whole(sshd: Sshd) -> None:
    sent = os.urandom(FLOOD)
    stream = dial(uri_of(sshd, far_side(sshd, "exec cat")), "/s", timeout=DEADLINE)
    stream.expect_bulk()
    got, at = bytearray(), 0
    space = memoryview(bytearray(1 << 16))
    try:
        while len(got) < FLOOD:
            found = ready(stream, select.POLLIN | (select.POLLOUT if at < FLOOD else 0))
            assert found
            if found & select.POLLOUT:
                at += stream.send([memoryview(sent)[at : at + 300_000]])
            if found & select.POLLIN:
                got += space[: stream.receive(space) or 0]
    finally:
        stream.close()
    assert got == sent


def test_who_does_not_read_is_not_flooded(sshd: Sshd, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    script = far_side(sshd, f"read _ < {tmp_path}/go; exec sha256sum")
    stream = dial(uri_of(sshd, script), "/s", timeout=DEADLINE)
    piece = bytes(1 << 16)
    taken = 0
    try:
        while ready(stream, select.POLLOUT, 0.3):
            taken += stream.send([piece])
            assert taken < FLOOD  # of the window and the system's buffers it is less than half
        (tmp_path / "go").write_text("\n")
        assert ready(stream, select.POLLOUT)
    finally:
        stream.close()


def test_what_is_not_read_waits_on_the_far_side(sshd: Sshd, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "sent")
    said = os.open(tmp_path / "sent", os.O_RDONLY | os.O_NONBLOCK)
    script = far_side(sshd, f"head -c {FLOOD} /dev/zero; echo sent > {tmp_path}/sent; echo end")
    try:
        with connecting(uri_of(sshd, script)) as stream:
            assert receive(stream, 1) == b"\0"
            assert not select.select([said], [], [], 0.5)[0]
            rest = receive(stream, FLOOD + 100)
        assert os.read(said, 10) == b"sent\n"
    finally:
        os.close(said)
    assert rest == bytes(FLOOD - 1) + b"end\n"


@contextmanager
def connecting(uri: LibvirtUri, socket_path: str = "/s") -> Iterator[ByteStream]:
    stream = dial(uri, socket_path, timeout=DEADLINE)
    try:
        yield stream
    finally:
        stream.close()


# Ends


def test_the_words_and_the_status_of_a_command_that_fails(sshd: Sshd) -> None:
    with connecting(uri_of(sshd), "/nowhere") as stream:
        assert ready(stream, select.POLLIN)
        with pytest.raises(ConnectionClosed) as caught:
            stream.receive(memoryview(bytearray(9)))
    assert str(caught.value) == (
        f"127.0.0.1:{sshd.port}: the command ended with status 1: "
        "nc: /nowhere: No such file or directory"
    )
    assert caught.value.reason == 1


def test_a_command_that_says_much_is_quoted_in_its_end(sshd: Sshd) -> None:
    script = far_side(sshd, "seq 1 100000 >&2; echo last; exit 3")
    with connecting(uri_of(sshd, script)) as stream:
        assert receive(stream, 5) == b"last\n"
        assert ready(stream, select.POLLIN)
        with pytest.raises(ConnectionClosed, match=r"status 3: (?s:.*)\n100000$") as caught:
            stream.receive(memoryview(bytearray(9)))
    assert 1024 < len(str(caught.value)) < 1100


def test_a_command_that_ends_in_peace(sshd: Sshd) -> None:
    with connecting(uri_of(sshd, far_side(sshd, "exit 0"))) as stream:
        assert receive(stream, 1) == b""


def test_a_command_that_is_killed(sshd: Sshd) -> None:
    with connecting(uri_of(sshd, far_side(sshd, "echo up; exec cat"))) as stream:
        assert receive(stream, 3) == b"up\n"
        os.kill(int((sshd.key.parent / "far.pid").read_text()), signal.SIGKILL)
        assert ready(stream, select.POLLIN)
        with pytest.raises(ConnectionClosed, match="the command was ended by SIGKILL"):
            stream.receive(memoryview(bytearray(9)))
        with pytest.raises(ConnectionClosed, match="the command was ended by SIGKILL"):
            stream.send([b"x"])


@pytest.mark.parametrize("script", ["cat /dev/zero", "echo up; exec cat"])
def test_closed_while_data_flows(script: str, sshd: Sshd) -> None:
    with connecting(uri_of(sshd, far_side(sshd, script))) as stream:
        assert len(receive(stream, 3)) == 3
        far = os.pidfd_open(int((sshd.key.parent / "far.pid").read_text()))
        stream.send([bytes(100_000)])
    try:
        assert select.select([far], [], [], DEADLINE)[0], "the command is still there"
    finally:
        os.close(far)


def test_closed_while_the_far_side_does_not_read(sshd: Sshd, tmp_path: Path) -> None:
    script = far_side(sshd, f"echo $$ > {tmp_path}/far.pid; echo up; exec sleep 60")
    with connecting(uri_of(sshd, script)) as stream:
        assert receive(stream, 3) == b"up\n"
        while ready(stream, select.POLLOUT, 0.3):
            stream.send([bytes(1 << 16)])
    os.kill(int((tmp_path / "far.pid").read_text()), signal.SIGKILL)


def test_what_was_sent_last_arrives_when_it_is_closed(sshd: Sshd, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "got")
    got: list[bytes] = []
    reader = Thread(target=lambda: got.append((tmp_path / "got").read_bytes()))
    reader.start()
    with connecting(uri_of(sshd, far_side(sshd, f"exec cat > {tmp_path}/got"))) as stream:
        assert stream.send([b"last words"]) == 10
    reader.join(DEADLINE)
    assert got == [b"last words"]


def test_shut_down_from_another_thread(libvirtd: Libvirtd, sshd: Sshd) -> None:
    with connecting(uri_of(sshd), str(libvirtd.socket)) as stream:
        Thread(target=stream.shutdown).start()
        assert receive(stream, 1) == b""


# Nobody is there


@contextmanager
def silent() -> Iterator[tuple[socket.socket, LibvirtUri]]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE)
        port = listener.getsockname()[1]
        yield listener, parse(f"test+libssh://127.0.0.1:{port}/default?no_verify=1")


def test_a_silent_server_costs_the_time_and_nothing_else() -> None:
    with silent() as (_, uri), pytest.raises(ConnectError, match="cannot connect: timed out"):
        dial(uri, "/s", timeout=0.2)


def test_a_silent_server_costs_asyncio_the_same() -> None:
    async def main(uri: LibvirtUri) -> None:
        with pytest.raises(ConnectError, match="cannot connect: timed out"):
            await dial_async(uri, "/s", timeout=0.2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await dial_async(uri, "/s")

    with silent() as (_, uri):
        asyncio.run(main(uri))


def test_nobody_listens() -> None:
    with silent() as (_, uri):
        pass
    assert refused(uri) == f"127.0.0.1:{uri.port}: cannot connect: Connection refused"
    assert refused(parse("test+libssh://no.such.host.invalid/")).startswith(
        "no.such.host.invalid:22: cannot connect: "
    )


def test_who_speaks_something_else_is_no_ssh_server() -> None:
    with silent() as (listener, uri):

        def speak() -> None:
            connected, _ = listener.accept()
            with connected:
                connected.sendall(b"HTTP/1.1 400 Bad Request\r\n" * 2000)

        speaker = Thread(target=speak)
        speaker.start()
        assert refused(uri).startswith(f"127.0.0.1:{uri.port}: ")
        speaker.join(DEADLINE)


def test_ctrl_c_leaves_nothing_behind() -> None:
    main = threading.get_ident()
    with silent() as (listener, uri):

        def interrupt() -> None:
            connected, _ = listener.accept()
            with connected:
                connected.recv(1)  # the login is under way
                signal.pthread_kill(main, signal.SIGINT)
                while connected.recv(4096):
                    pass

        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        thread = Thread(target=interrupt)
        thread.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                dial(uri, "/s", timeout=DEADLINE)
        finally:
            signal.signal(signal.SIGINT, before)
        thread.join(DEADLINE)
        assert not thread.is_alive()


def test_ctrl_c_while_the_user_is_asked_leaves_nothing_behind(sshd: Sshd) -> None:
    sshd.known_hosts.write_text("")

    def ask(_: Question) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dial(uri_of(sshd), "/s", timeout=DEADLINE, ask=ask)


@pytest.mark.parametrize("transport", ["libssh", "libssh2"])
def test_sessions_through_sshd(transport: str, libvirtd: Libvirtd, sshd: Sshd) -> None:
    query = f"known_hosts={sshd.known_hosts}&keyfile={sshd.key}&proxy=netcat"
    uri = f"test+{transport}://127.0.0.1:{sshd.port}/default?{query}&socket={libvirtd.socket}"
    with libvirt.open(uri, timeout=DEADLINE) as session:
        assert session.remote.connect_get_type() == "TEST"

    async def main() -> None:
        async with libvirt.open_async(uri, timeout=DEADLINE) as session:
            assert await session.remote.connect_get_type() == "TEST"

    asyncio.run(asyncio.wait_for(main(), DEADLINE))
