"""``libssh`` and ``libssh2``: what a URI asks for, and logging in where the user has to answer."""

from __future__ import annotations

import asyncio
import select
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import asyncssh
import pytest

from rpcgen.libvirt.login import Question
from rpcgen.libvirt.sshlibrary import dial, dial_async
from rpcgen.libvirt.sshlibrary.target import Target, read_target
from rpcgen.libvirt.sshlibrary.tunnel import TunnelStream
from rpcgen.libvirt.uri import LibvirtUri, UriError, parse
from rpcgen.runtime.errors import ConnectError, ConnectionClosed

DEADLINE = 30.0
SECRET = "open sesame"  # noqa: S105  (the test's own)
WAYS = ("agent", "privkey", "password", "keyboard-interactive")


# What a URI asks for


def target_of(uri: str, **environ: str) -> Target:
    return read_target(parse(uri), {"HOME": "/home/fred", **environ})


def test_libvirts_defaults() -> None:
    target = target_of("qemu+libssh:///system")
    assert target == Target(
        host="localhost",
        port=22,
        user="root",
        methods=WAYS,
        keyfile=None,
        keys=tuple(
            Path("/home/fred/.ssh", name)
            for name in ("identity", "id_dsa", "id_ecdsa", "id_ed25519", "id_rsa")
        ),
        agent=None,
        known_hosts=Path("/home/fred/.config/libvirt/known_hosts"),
        verify="normal",
    )
    assert target.place == "localhost:22"


def test_all_that_can_be_said() -> None:
    target = target_of(
        "qemu+libssh2://fred@[fe80::1]:2222/system?keyfile=/k%20y&known_hosts=/hosts"
        "&known_hosts_verify=auto&sshauth=Password,agent,password",
        SSH_AUTH_SOCK="/agent",
        XDG_CONFIG_HOME="/config",
    )
    assert target[:5] == ("fe80::1", 2222, "fred", ("password", "agent"), Path("/k y"))
    assert target[6:] == ("/agent", Path("/hosts"), "auto")
    assert target.place == "[fe80::1]:2222"


@pytest.mark.parametrize(
    ("query", "verify"),
    [
        ("no_verify=1", "ignore"),
        ("no_verify=0", "normal"),
        ("known_hosts_verify=ignore", "ignore"),
        ("known_hosts_verify=normal&no_verify=1", "normal"),
        ("known_hosts_verify=auto&no_verify=1", "auto"),
    ],
)
def test_what_is_said_of_the_host_goes_before_no_verify(query: str, verify: str) -> None:
    assert target_of(f"qemu+libssh:///system?{query}").verify == verify


@pytest.mark.parametrize("value", ["gssapi", "agent,,password", "agent password"])
def test_an_unknown_way_to_log_in_is_refused(value: str) -> None:
    uri = parse(f"qemu+libssh:///system?sshauth={value.replace(' ', '%20')}")
    with pytest.raises(UriError, match="parameter sshauth of the libvirt URI: expected agent,"):
        dial(uri, "/s")


def test_a_netcat_for_the_native_proxy_is_refused() -> None:
    with pytest.raises(UriError, match="parameter netcat"):
        dial(parse("qemu+libssh:///system?proxy=native&netcat=nc"), "/s")


def test_the_error_where_asyncssh_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith("rpcgen.libvirt.sshlibrary."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    with pytest.raises(ConnectError, match=r"libssh needs .* asyncssh: pip install rpcgen\[ssh\]"):
        dial(parse("qemu+libssh:///system"), "/s")


# A server that asks


class Asking(asyncssh.SSHServer):
    """Lets in who knows the secret, and notes what is tried.

    Args:
        tried: where to note that.
        ways: that it offers.
        rounds: of questions for ``keyboard-interactive``; None asks for ever.
    """

    def __init__(self, tried: list[str], ways: Sequence[str], rounds: int | None) -> None:
        self._tried = tried
        self._ways = ways
        self._rounds = rounds
        self._asked = 0
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        self._tried.append(f"user {username}")
        return True

    def public_key_auth_supported(self) -> bool:
        return "publickey" in self._ways

    def validate_public_key(self, _username: str, _key: asyncssh.SSHKey) -> bool:
        self._tried.append("publickey")
        return False

    def password_auth_supported(self) -> bool:
        return "password" in self._ways

    def validate_password(self, _username: str, password: str) -> bool:
        self._tried.append("password")
        return password == SECRET

    def kbdint_auth_supported(self) -> bool:
        return "keyboard-interactive" in self._ways

    def get_kbdint_challenge(
        self, _username: str, _lang: str, _submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        self._tried.append("keyboard-interactive")
        return "", "", "", [("\x1b[2JToken: ", False)]

    def validate_kbdint_response(
        self, _username: str, responses: Sequence[str]
    ) -> bool | tuple[str, str, str, list[tuple[str, bool]]]:
        self._asked += 1
        if self._asked != self._rounds and list(responses) == [SECRET]:
            return "", "", "", [("Again: ", False)]
        return list(responses) == [SECRET]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert [one.name for one in threading.enumerate() if one.name.startswith("ssh ")] == []


@asynccontextmanager
async def asking(
    *ways: str,
    rounds: int | None = 1,
    tried: list[str] | None = None,
    query: str = "",
    runs: bool = True,
) -> AsyncIterator[LibvirtUri]:
    """A server; gives the URI to reach it. What it runs sends back what it gets, and dies of ``!``."""
    noted = [] if tried is None else tried

    async def echo(process: asyncssh.SSHServerProcess[bytes]) -> None:
        while data := await process.stdin.read(1 << 16):
            if data == b"!":
                process.get_extra_info("connection").abort()
                return
            process.stdout.write(data)
            await process.stdout.drain()
        process.exit(0)

    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        server_factory=lambda: Asking(noted, ways, rounds),
        process_factory=echo if runs else None,
        encoding=None,
    )
    async with server:
        yield parse(f"test+libssh://fred@127.0.0.1:{server.get_port()}/default?no_verify=1{query}")


async def echoed(stream: TunnelStream, data: bytes) -> bytes:
    """What comes back."""
    try:
        stream.send([data])
        space = bytearray(len(data))
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLIN)
        assert await asyncio.to_thread(poll.poll, DEADLINE * 1000)
        count = stream.receive(memoryview(space))
        return bytes(space[:count])
    finally:
        await asyncio.to_thread(stream.close)


def test_a_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    asked: list[Question] = []

    def ask(question: Question) -> str:
        asked.append(question)
        return SECRET if len(asked) == 3 else f"wrong {SECRET}"

    async def main() -> None:
        tried: list[str] = []
        async with asking("password", tried=tried) as uri:
            stream = await dial_async(uri, "/s", timeout=DEADLINE, ask=ask)
            assert SECRET not in repr(stream)
            assert await echoed(stream, b"hello") == b"hello"
        assert tried == ["user fred", "password", "password", "password"]

    asyncio.run(main())
    assert asked == [Question("password", "127.0.0.1", "fred@127.0.0.1's password: ")] * 3
    assert SECRET not in caplog.text


def test_a_password_three_times_wrong(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)

    async def main() -> None:
        async with asking("password", query="&sshauth=password") as uri:
            with pytest.raises(ConnectError) as caught:
                await dial_async(uri, "/s", timeout=DEADLINE, ask=lambda _: "hush")
            assert (
                str(caught.value) == f"127.0.0.1:{uri.port}: fred is not let in (password: refused)"
            )

    asyncio.run(main())
    assert "hush" not in caplog.text


def test_questions_of_the_server_one_after_another() -> None:
    asked: list[str] = []

    def ask(question: Question) -> str:
        asked.append(question.text)
        return SECRET

    async def main() -> None:
        async with asking("keyboard-interactive", rounds=3) as uri:
            stream = await dial_async(uri, "/s", timeout=DEADLINE, ask=ask)
            assert await echoed(stream, b"hello") == b"hello"

    asyncio.run(main())
    assert asked == [" [2JToken: ", "Again: ", "Again: "]


def test_a_server_that_asks_for_ever_is_not_answered_for_ever() -> None:
    async def main() -> None:
        async with asking("keyboard-interactive", rounds=None) as uri:
            with pytest.raises(ConnectError, match="keyboard-interactive: refused"):
                await dial_async(uri, "/s", timeout=DEADLINE, ask=lambda _: SECRET)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("ways", "order"),
    [
        ("", ["publickey", "password", "keyboard-interactive"]),
        ("password,privkey", ["password", "publickey"]),
        (
            "keyboard-interactive,privkey,password",
            ["keyboard-interactive", "publickey", "password"],
        ),
        ("privkey", ["publickey"]),
    ],
)
def test_the_order_of_the_ways(ways: str, order: list[str], tmp_path: Path) -> None:
    key = tmp_path / "id"
    key.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    tried: list[str] = []

    async def main() -> None:
        query = f"&keyfile={key}" + f"&sshauth={ways}" * bool(ways)
        offered = ("publickey", "password", "keyboard-interactive")
        async with asking(*offered, tried=tried, query=query) as uri:
            with pytest.raises(ConnectError, match="fred is not let in"):
                await dial_async(
                    uri, "/s", timeout=DEADLINE, ask=lambda _: "no", environ={"HOME": "/"}
                )

    asyncio.run(main())
    assert list(dict.fromkeys(tried[1:])) == order


def test_nobody_can_be_asked() -> None:
    async def main() -> None:
        async with asking("password", query="&sshauth=keyboard-interactive,password") as uri:
            with pytest.raises(ConnectError) as caught:
                await dial_async(uri, "/s", timeout=DEADLINE)
            assert str(caught.value).endswith(
                "(keyboard-interactive: not offered; password: nobody can be asked)"
            )

    asyncio.run(main())


def test_what_the_callback_raises_is_raised() -> None:
    class MyError(Exception):
        pass

    def ask(_: Question) -> str:
        raise MyError

    async def main() -> None:
        async with asking("password") as uri:
            with pytest.raises(MyError):
                await dial_async(uri, "/s", timeout=DEADLINE, ask=ask)

    asyncio.run(main())


def test_the_time_of_the_user_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    from rpcgen.libvirt.sshlibrary import attempt

    late = 0.0
    monkeypatch.setattr(attempt, "monotonic", lambda: monotonic() + late)

    def ask(_: Question) -> str:
        nonlocal late
        late = 1000.0
        return SECRET

    async def main() -> None:
        async with asking("password") as uri:
            stream = await dial_async(uri, "/s", timeout=DEADLINE, ask=ask)
            assert await echoed(stream, b"hello") == b"hello"

    asyncio.run(main())


def test_a_task_that_is_cancelled_while_it_logs_in() -> None:
    async def main() -> None:
        asked, answer = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def ask(_: Question) -> str:
            loop.call_soon_threadsafe(asked.set)
            answer.wait(DEADLINE)
            return SECRET

        async with asking("password") as uri:
            task = asyncio.create_task(dial_async(uri, "/s", ask=ask))
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            answer.set()

    asyncio.run(main())


def test_a_server_that_runs_no_commands() -> None:
    async def main() -> None:
        async with asking("password", runs=False) as uri:
            with pytest.raises(
                ConnectError, match=f"^127.0.0.1:{uri.port}: cannot run the command"
            ):
                await dial_async(uri, "/s", timeout=DEADLINE, ask=lambda _: SECRET)

    asyncio.run(main())


def test_a_connection_that_is_lost() -> None:
    async def main() -> None:
        async with asking("password") as uri:
            stream = await dial_async(uri, "/s", timeout=DEADLINE, ask=lambda _: SECRET)
            with pytest.raises(ConnectionClosed, match=f"127.0.0.1:{uri.port}: the SSH connection"):
                await echoed(stream, b"!")

    asyncio.run(main())


def test_a_stream_that_is_lost_ends_its_connection() -> None:
    def lose(uri: LibvirtUri) -> None:
        dial(uri, "/s", timeout=DEADLINE, ask=lambda _: SECRET)

    async def main() -> None:
        async with asking("password") as uri:
            with pytest.warns(ResourceWarning, match="unclosed"):
                await asyncio.to_thread(lose, uri)
            for thread in threading.enumerate():
                if thread.name.startswith("ssh "):
                    await asyncio.to_thread(thread.join, DEADLINE)

    asyncio.run(main())
