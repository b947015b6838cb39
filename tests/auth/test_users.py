"""A server's file of users: what is in it, who may read it, and what it says of users that there are not."""

from __future__ import annotations

import fcntl
import io
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rpcgen.runtime.auth import command
from rpcgen.runtime.auth.choice import Credentials, start_with
from rpcgen.runtime.auth.client import ClientExchange
from rpcgen.runtime.auth.command import PASSWORD_MAX, main
from rpcgen.runtime.auth.mechanism import Secret
from rpcgen.runtime.auth.offer import makers
from rpcgen.runtime.auth.scram import ITERATIONS_MIN, ScramServer
from rpcgen.runtime.auth.server import ServerExchange
from rpcgen.runtime.auth.users import DEFAULT, DIGESTS, UserStore
from rpcgen.runtime.errors import AuthError

PASSWORD = Secret("open sesame")
OTHER = Secret("opened")


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpcgen.runtime.auth.users.ITERATIONS", ITERATIONS_MIN)


@pytest.fixture
def store(tmp_path: Path) -> UserStore:
    store = UserStore(tmp_path / "users")
    store.add("fred", PASSWORD)
    return store


def enters(store: UserStore, name: str, password: Secret, mechanism: str) -> bool:
    """Whether a whole exchange lets a user in."""
    server = ServerExchange(makers([mechanism], secure=True, users=store), secure=True)
    server.init()
    half = start_with(mechanism, Credentials(name, password), host="localhost", secure=True)
    client = ClientExchange(half, secure=True)
    try:
        complete, data = server.start(*client.start())
        while not client.is_complete:
            data = client.receive(complete, data)
            if not client.is_complete:
                complete, data = server.step(data)
    except AuthError:
        return False
    return server.user == name


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
def test_users_enter_with_their_password_only(store: UserStore, mechanism: str) -> None:
    store.add("jane", OTHER)
    assert enters(store, "fred", PASSWORD, mechanism)
    assert enters(store, "jane", OTHER, mechanism)
    assert not enters(store, "fred", OTHER, mechanism)
    assert not enters(store, "nobody", PASSWORD, mechanism)


def test_sha_1_has_to_be_asked_for(store: UserStore) -> None:
    assert not enters(store, "fred", PASSWORD, "SCRAM-SHA-1")
    store.change("fred", PASSWORD, ["SCRAM-SHA-1"])
    assert enters(store, "fred", PASSWORD, "SCRAM-SHA-1")
    assert enters(store, "fred", PASSWORD, "PLAIN")
    with pytest.raises(AuthError, match="expected one of"):
        store.add("jane", PASSWORD, ["PLAIN"])


def test_changes_are_seen_at_the_next_login(store: UserStore) -> None:
    server = UserStore(store.path)
    assert server.check("fred", PASSWORD) == "fred"
    store.change("fred", OTHER)
    assert server.check("fred", OTHER) == "fred"
    with pytest.raises(AuthError, match="wrong"):
        server.check("fred", PASSWORD)
    store.remove("fred")
    with pytest.raises(AuthError, match="wrong"):
        server.check("fred", OTHER)
    assert server.names() == []


def test_names_are_prepared(store: UserStore) -> None:
    store.add("\u2168", OTHER)
    assert store.names() == ["IX", "fred"]
    assert store.check("I\u00adX", OTHER) == "IX"
    with pytest.raises(AuthError, match="already"):
        store.add("IX", OTHER)
    store.remove("\u2168")
    assert store.names() == ["fred"]


@pytest.mark.parametrize("name", ["", "a\tb", "a\nb", "\u00ad", "\ud800", "x" * 256, "a\ufffdb"])
def test_what_is_no_name_is_refused(store: UserStore, name: str) -> None:
    before = store.path.read_bytes()
    with pytest.raises(AuthError):
        store.add(name, PASSWORD)
    assert store.path.read_bytes() == before


@pytest.mark.parametrize("name", ["#fred", "secret", "user", "a,b=c", "fr ed", "!", "Füße"])
def test_names_may_look_like_anything(store: UserStore, name: str) -> None:
    store.add(name, OTHER)
    assert enters(UserStore(store.path), name, OTHER, "SCRAM-SHA-256")


def test_users_that_there_are_not_look_like_users(store: UserStore) -> None:
    known = store.verifier("fred", "SCRAM-SHA-256")
    once, again = (store.verifier("nobody", "SCRAM-SHA-256") for _ in range(2))
    assert (once.salt, once.iterations) == (again.salt, again.iterations)
    assert (len(once.salt), once.iterations) == (len(known.salt), known.iterations)
    assert len(once.stored_key) == len(known.stored_key)
    others = {store.verifier(f"nobody{n}", "SCRAM-SHA-256").salt for n in range(10)}
    assert len(others | {once.salt, known.salt}) == 12
    assert UserStore(store.path).verifier("nobody", "SCRAM-SHA-256").salt == once.salt


def test_the_made_up_ones_outlive_changes(store: UserStore) -> None:
    salt = store.verifier("nobody", "SCRAM-SHA-256").salt
    store.add("jane", OTHER)
    assert store.verifier("nobody", "SCRAM-SHA-256").salt == salt


@pytest.mark.parametrize("call", ["change", "remove"])
def test_only_users_are_changed(store: UserStore, call: str) -> None:
    before = store.path.read_bytes()
    with pytest.raises(AuthError, match="no user 'jane'"):
        store.change("jane", OTHER) if call == "change" else store.remove("jane")
    assert store.path.read_bytes() == before


def test_no_password_is_in_the_file(store: UserStore) -> None:
    text = store.path.read_text()
    assert PASSWORD.reveal() not in text
    assert [name for name in DIGESTS if f"\t{name}$" in text] == list(DEFAULT)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert [path.name for path in store.path.parent.iterdir()] == ["users"]


def test_the_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        UserStore(tmp_path / "users").add("fred", PASSWORD)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "users").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o700, 0o4600])
def test_a_file_that_others_may_use_is_refused(store: UserStore, mode: int) -> None:
    store.path.chmod(mode)
    with pytest.raises(AuthError, match="expected permissions 600"):
        store.names()
    with pytest.raises(AuthError, match="expected permissions 600"):
        store.add("jane", OTHER)


def test_a_file_of_somebody_else_is_refused(
    store: UserStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:
        os.chown(store.path, 65534, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 65534)
    with pytest.raises(AuthError, match="belongs to uid"):
        store.names()


def test_what_is_no_file_is_refused(store: UserStore, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(store.path)
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "folder").mkdir(0o700)
    before = os.listdir("/proc/self/fd")
    for name, reason in (
        ("link", "symbolic link"),
        ("fifo", "regular file"),
        ("folder", "regular file"),
        ("none", "no such file"),
        ("none/none", "no such file"),
    ):
        with pytest.raises(AuthError, match=reason):
            UserStore(tmp_path / name).names()
    with pytest.raises(AuthError, match="symbolic link"):
        UserStore(tmp_path / "link").add("jane", OTHER)
    with pytest.raises(AuthError):
        UserStore(tmp_path / "none/none").add("jane", OTHER)
    assert os.listdir("/proc/self/fd") == before


GOOD = "SCRAM-SHA-256$4096:" + "A" * 22 + "==$" + "A" * 43 + "=:" + "A" * 43 + "="
BAD_LINES = [
    "fred",
    "user",
    "user\t\t" + GOOD,
    "user\tfred\tSCRAM-SHA-256",
    "user\tfred\t" + GOOD.replace("SCRAM", "CRAM"),
    "user\tfred\t" + GOOD.replace("4096", "4095"),
    "user\tfred\t" + GOOD.replace("4096", "99999999"),
    "user\tfred\t" + GOOD.replace("4096:", "4096:A"),
    "user\tfred\t" + GOOD[:-2],
    "user\tfred\t" + GOOD.replace(":A", ":AAAA"),
    "user\tfred\udcff\t" + GOOD,
    "user\tjane\t" + GOOD,
    "secret\t!",
    "secret",
]


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_file_with_mistakes_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "users"
    text = f"secret\tAAAA\nuser\tjane\t{GOOD}\n{line}\n"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    path.chmod(0o600)
    with pytest.raises(AuthError, match="users: 3: expected") as caught:
        UserStore(path).names()
    assert "A" * 20 not in str(caught.value)


def test_a_file_needs_its_secret(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text(f"user\tjane\t{GOOD}\n")
    path.chmod(0o600)
    with pytest.raises(AuthError, match="secret"):
        UserStore(path).names()


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    names = [f"user{n}" for n in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: UserStore(tmp_path / "users").add(name, PASSWORD), names))
    assert UserStore(tmp_path / "users").names() == names


def test_a_writer_waits_for_the_lock(store: UserStore) -> None:
    folder = os.open(store.path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with ThreadPoolExecutor(1) as pool:
            adding = pool.submit(store.add, "jane", OTHER)
            assert UserStore(store.path).names() == ["fred"]
            fcntl.flock(folder, fcntl.LOCK_UN)
            adding.result(30)
    finally:
        os.close(folder)
    assert store.names() == ["fred", "jane"]


def test_a_disk_that_is_full_leaves_the_old_file(
    store: UserStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = store.path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AuthError, match="No space left"):
        store.add("jane", OTHER)
    assert store.path.read_bytes() == before
    assert [path.name for path in store.path.parent.iterdir()] == ["users"]


def test_what_a_killed_writer_left_is_no_hindrance(store: UserStore) -> None:
    store.path.with_name(".users.new").write_text("half")
    store.add("jane", OTHER)
    assert [path.name for path in store.path.parent.iterdir()] == ["users"]


def test_secrets_do_not_show(store: UserStore) -> None:
    kept = store.verifier("fred", "SCRAM-SHA-256")
    for shown in (repr(store), repr(vars(store)), repr(kept)):
        assert repr(kept.stored_key)[2:-1] not in shown


def run(tmp_path: Path, *arguments: str, typed: str = "", monkeypatch: pytest.MonkeyPatch) -> int:
    stdin = io.TextIOWrapper(io.BytesIO(typed.encode("utf-8", "surrogateescape")))
    monkeypatch.setattr(sys, "stdin", stdin)
    return main(["--file", str(tmp_path / "users"), *arguments])


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = UserStore(tmp_path / "users")
    for arguments, typed in (
        (["add", "fred", "-p"], "open sesame\n"),
        (["add", "jane", "-p", "-m", "SCRAM-SHA-1"], "open sesame"),
        (["change", "fred", "--password-stdin"], "opened\r\nmore\n"),
        (["list"], ""),
        (["remove", "jane"], ""),
    ):
        assert run(tmp_path, *arguments, typed=typed, monkeypatch=monkeypatch) == 0
    assert capsys.readouterr() == ("fred\njane\n", "")
    assert store.names() == ["fred"]
    assert store.check("fred", OTHER) == "fred"


@pytest.mark.parametrize(
    ("arguments", "typed", "reason"),
    [
        (["add", "fred", "-p"], "", "not empty"),
        (["add", "fred", "-p"], "\n", "not empty"),
        (["add", "fred", "-p"], "x" * (PASSWORD_MAX + 1), "or fewer"),
        (["add", "fred", "-p"], "\udcff\n", "UTF-8"),
        (["add", "fred"], "secret\n", "no terminal"),
        (["add", "", "-p"], "secret\n", "characters"),
        (["change", "fred", "-p"], "secret\n", "no such file"),
        (["remove", "fred"], "", "no such file"),
        (["list"], "", "no such file"),
    ],
)
def test_the_command_says_what_is_wrong(
    tmp_path: Path,
    arguments: list[str],
    typed: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(tmp_path, *arguments, typed=typed, monkeypatch=monkeypatch) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rpcgen-users: ")
    assert reason in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("second", "status"), [("opened", 0), ("closed", 1)])
def test_the_terminal_is_asked_twice(
    tmp_path: Path, second: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["opened", second])
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(answers))
    stdin = Terminal(io.BytesIO())
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["--file", str(tmp_path / "users"), "add", "fred"]) == status
    assert (tmp_path / "users").exists() is (status == 0)


class Terminal(io.TextIOWrapper):
    """Standard input that is one."""

    def isatty(self) -> bool:
        return True


def test_nothing_happens_when_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("getpass.getpass", interrupted)
    monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO()))
    assert main(["--file", str(tmp_path / "users"), "add", "fred"]) == 1
    assert "nothing was changed" in capsys.readouterr().err


def test_a_server_needs_users_for_passwords() -> None:
    for name in ("PLAIN", "SCRAM-SHA-256"):
        with pytest.raises(AuthError, match="file with users"):
            makers([name], secure=True)
    with pytest.raises(AuthError, match="expected one of"):
        makers(["CRAM-MD5"], secure=True)


def test_what_does_not_fit_is_not_offered(store: UserStore) -> None:
    names = ["SCRAM-SHA-256", "EXTERNAL", "PLAIN", "GSSAPI"]
    assert list(makers(names, secure=True, users=store)) == ["SCRAM-SHA-256", "PLAIN", "GSSAPI"]
    assert list(makers(names, secure=False, users=store, known="CN=x")) == ["GSSAPI"]
    external = makers(names, secure=True, users=store, known="CN=x")["EXTERNAL"]()
    external.step(b"")
    assert external.user == "CN=x"


def test_what_is_known_beforehand_is_said_before_a_password_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_password", lambda **_: pytest.fail("asked in vain"))
    UserStore(tmp_path / "users").add("fred", PASSWORD)
    for action, name, reason in (("add", "fred", "already"), ("change", "jane", "no user 'jane'")):
        assert command.main(["-f", f"{tmp_path}/users", action, name]) == 1
        assert reason in capsys.readouterr().err


def test_an_empty_file_has_no_users_and_may_get_some(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.touch(0o600)
    store = UserStore(path)
    assert store.names() == []
    assert store.verifier("fred", "SCRAM-SHA-256")
    store.add("fred", PASSWORD)
    assert store.names() == ["fred"]
    assert "\nsecret\t" in path.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="root's business")
def test_root_manages_the_file_of_another_user(tmp_path: Path) -> None:
    path = tmp_path / "users"
    UserStore(path).add("fred", PASSWORD)
    os.chown(path, 65534, 65534)
    with pytest.raises(AuthError, match="belongs to uid 65534"):
        UserStore(path).names()
    UserStore(path, of_others=True).add("jane", PASSWORD)
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)
    assert command.main(["-f", str(path), "list"]) == 0


@pytest.mark.parametrize("target", ["/dev/full", "a reader that has gone"])
def test_a_list_that_cannot_be_written(target: str, tmp_path: Path) -> None:
    path = tmp_path / "users"
    UserStore(path).add("fred", PASSWORD)
    words = [sys.executable, "-m", "rpcgen.runtime.auth.command", "-f", str(path), "list"]
    if target == "/dev/full":
        out = os.open(target, os.O_WRONLY)
    else:
        end, out = os.pipe()
        os.close(end)
    try:
        done = subprocess.run(words, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(out)
    assert done.returncode == 1
    assert done.stderr.startswith("rpcgen-users: standard output: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_file_that_went_bad_is_said_in_the_log_of_the_server(tmp_path: Path) -> None:
    path = tmp_path / "users"
    store = UserStore(path)
    store.add("fred", PASSWORD)
    path.chmod(0o644)
    server = ScramServer("SCRAM-SHA-256", store.verifier)
    with pytest.raises(AuthError, match="users: expected permissions 600"):
        server.step(b"n,,n=fred,r=abc")
