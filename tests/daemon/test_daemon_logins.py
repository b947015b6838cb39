"""A daemon where clients log in, as docs/daemon.md has it: who may, by its file, and SIGHUP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

pytest.importorskip("scramp", reason="not installed: scramp")

from daemon.starting import Started, daemon, process
from daemon.test_daemon_page import FILES
from libvirt_session.guarded import uri

from rpcgen import libvirt
from rpcgen.libvirt import Authentication, Session
from rpcgen.runtime import Server
from rpcgen.runtime.auth.mechanism import Secret
from rpcgen.runtime.auth.users import UserStore
from rpcgen.runtime.daemon import Configuration, ConfigurationError, Daemon
from rpcgen.runtime.daemon.loginkeys import LoginKeys
from rpcgen.runtime.errors import AuthError
from rpcgen.runtime.process.daemonize import ExitCode

FIRST, SECOND = "first secret", "second secret"
USERS: Final = "sasl_users_file"
LIST: Final = "sasl_allowed_username_list"


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program's ``users``, and ``others``: the same name, another password."""
    folder = tmp_path_factory.mktemp("stores")
    for name, password in (("users", FIRST), ("others", SECOND)):
        store = UserStore(folder / name)
        store.add("fred", Secret(password))
        store.add("jane", Secret(password))
    (folder / "wrong").write_text("fred:secret\n")
    (folder / "wrong").chmod(0o600)
    return folder


def script(folder: Path, stores: Path) -> Path:
    """The page's program, in a folder."""
    source = FILES["hyperd.py"].replace("/etc/hyperd/users", f"{stores}/users")
    source = source.replace("/run/hyperd/sock", f"{folder}/s")
    file = folder / "hyperd.py"
    file.write_text(source.replace("/etc/hyperd/hyperd.toml", f"{folder}/c.toml"))
    return file


def text(folder: Path, *keys: str) -> str:
    """A configuration whose keys of the server begin in line 3."""
    return "\n".join([f'log_outputs = "1:file:{folder}/log"', "[servers.hyperd]", *keys])


@pytest.fixture
def started(tmp_path: Path, stores: Path) -> Iterator[Started]:
    """A daemon whose file says nothing of logins."""
    program = script(tmp_path, stores)
    with daemon(tmp_path, configuration=text(tmp_path), script=program) as started:
        yield started


def reload(started: Started, *keys: str) -> None:
    started.reload(text(started.folder, *keys))


def enter(started: Started, name: str, password: str = FIRST) -> Session:
    """Log in."""
    answers = {"user": name, "password": password}
    return libvirt.open(uri(started.folder), ask=lambda question: answers[question.kind])


def may(started: Started, name: str, password: str = FIRST) -> bool:
    """Whether somebody gets in, or is refused; nothing else."""
    try:
        with enter(started, name, password) as session:
            return session.remote.connect_get_type() == "TEST"
    except AuthError:
        return False


def told(started: Started) -> list[str]:
    return [line for line in started.log.read_text().splitlines() if "servers.hyperd" in line]


def test_a_reload_changes_who_may_log_in_and_who_is_in_stays(started: Started) -> None:
    assert may(started, "jane")
    with enter(started, "fred") as fred:
        reload(started, f'{LIST} = ["j*"]')
        assert may(started, "jane")
        assert not may(started, "fred")
        assert "'fred' is not on the list of allowed users" in started.log.read_text()
        reload(started, f"{LIST} = []")
        assert not may(started, "jane")
        assert fred.remote.connect_get_type() == "TEST"
    reload(started)
    assert may(started, "fred")
    assert told(started) == []


def test_the_pages_own_file(started: Started, stores: Path) -> None:
    shown = FILES["hyperd.toml"].replace("/etc/hyperd/users", f"{stores}/others")
    started.reload(f'log_outputs = "1:file:{started.log}"\n{shown}')
    assert may(started, "fred", SECOND)
    assert not may(started, "fred", FIRST)
    assert not may(started, "jane", SECOND)


def test_another_file_of_users(started: Started, stores: Path) -> None:
    assert (may(started, "fred", FIRST), may(started, "fred", SECOND)) == (True, False)
    reload(started, f'{USERS} = "{stores}/others"')
    assert (may(started, "fred", FIRST), may(started, "fred", SECOND)) == (False, True)
    reload(started)
    assert (may(started, "fred", FIRST), may(started, "fred", SECOND)) == (True, False)


def test_another_method_and_other_mechanisms(started: Started) -> None:
    assert not may(started, "nobody")
    reload(started, 'auth_unix_rw = "none"')
    assert may(started, "nobody")
    reload(started, 'sasl_mech_list = ["EXTERNAL"]')
    assert may(started, "nobody")  # the system knows who it is
    reload(started, 'sasl_mech_list = ["PLAIN"]')
    assert (may(started, "nobody"), may(started, "fred")) == (False, True)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (USERS, '"users"', "expected an absolute path, got 'users'"),
        (USERS, '"/nonexistent"', "/nonexistent: there is no such file or folder"),
        (USERS, '"{stores}/wrong"', "{stores}/wrong: 1: expected a user with verifiers"),
        (LIST, '"fred"', "expected a list of strings, got 'fred'"),
        (LIST, "[1]", "expected a list of strings, got [1]"),
        ("auth_unix_rw", '"sesame"', "unix: there is no method 'sesame'"),
        ("auth_unix_rw", "1", "expected a string, got 1"),
        ("auth_tls", '"polkit"', "tls: there is no method 'polkit'"),
        ("auth_tcp", '"sasl"', "tcp: of ['SCRAM-SHA-512', 'SCRAM-SHA-256'], no mechanism"),
        ("sasl_mech_list", '["SCRAM"]', "SASL mechanism 'SCRAM': expected one of GSSAPI, "),
        ("sasl_mech_list", "[]", "unix: of [], no mechanism can be used there"),
        ("sasl_keytab", '"relative"', "expected an absolute path, got 'relative'"),
        ("auth_unix_ro", '"none"', "unknown key: expected one of auth_tcp, auth_tls, "),
    ],
)
def test_a_wrong_value_changes_nothing(
    running: Started, stores: Path, key: str, value: str, reason: str
) -> None:
    """Not even what is right beside it: here the program's own users would be in force again."""
    value, reason = value.format(stores=stores), reason.format(stores=stores)
    before = len(told(running))
    reload(running, f"{key} = {value}", "max_clients = 50")
    (line,) = told(running)[before:]
    assert f"{running.configuration}: 3: servers.hyperd.{key}: {reason}" in line
    assert may(running, "fred", SECOND)
    assert not may(running, "jane", SECOND)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, stores: Path) -> Iterator[Started]:
    """A daemon whose file has other users than the program, and lets one of them in."""
    folder = tmp_path_factory.mktemp("h")
    right = text(folder, f'{USERS} = "{stores}/others"', f'{LIST} = ["fred"]')
    with daemon(folder, configuration=right, script=script(folder, stores)) as started:
        yield started


def test_a_wrong_value_keeps_it_from_starting(tmp_path: Path, stores: Path) -> None:
    (tmp_path / "c.toml").write_text(text(tmp_path, f'{USERS} = "/nonexistent"'))
    with process(tmp_path, script=script(tmp_path, stores)) as started:
        assert started.process.stderr
        said = started.process.stderr.read()
        assert started.ended() != ExitCode.OK
    place = f"{started.configuration}: 3: servers.hyperd.{USERS}: "
    assert f"{place}/nonexistent: there is no such file or folder\n" in said


def test_a_file_that_says_the_same_changes_no_rules(stores: Path) -> None:
    """Logins that are under way go on: those by other rules begin anew."""
    authentication = Authentication(unix="sasl", users=UserStore(stores / "users"))
    own, keys = authentication.rules, LoginKeys("", authentication)
    seen = []
    for values in ({USERS: f"{stores}/others", LIST: ["fred"]},) * 2 + ({},):
        keys.check(Configuration(values))
        before = authentication.rules
        keys.apply()
        seen.append((before == authentication.rules, authentication.rules == own))
    assert seen == [(False, False), (True, False), (False, True)]


def test_what_does_not_fit_the_programs_choice_is_told_of_the_list(stores: Path) -> None:
    authentication = Authentication(tls="sasl", users=UserStore(stores / "users"))
    wrong = Configuration({"auth_unix_rw": "none", "sasl_mech_list": []})
    with pytest.raises(ConfigurationError, match="tls: of") as caught:
        LoginKeys("", authentication).check(wrong)
    assert caught.value.key == "sasl_mech_list"


def test_logins_are_of_one_server_each() -> None:
    authentication = Authentication()
    servers = {"a": Server([]), "b": Server([])}
    with pytest.raises(ValueError, match="logins: there is no server 'c'"):
        Daemon(servers, name="x", logins={"a": authentication, "c": Authentication()})
    with pytest.raises(ValueError, match="logins: expected one for each server"):
        Daemon(servers, name="x", logins=dict.fromkeys(servers, authentication))
