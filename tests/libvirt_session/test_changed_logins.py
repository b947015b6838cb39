"""Logins whose rules change: those that are under way, those who are in, and arguments that will not do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scramp", reason="not installed: scramp")

from libvirt_session.guarded import PASSWORD, guarded
from raw import DEADLINE

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from libvirt_rpc.remote_protocol.client import RemoteClient
from libvirt_rpc.remote_protocol.types import RemoteAuthType
from rpcgen.libvirt.authentication import ATTEMPTS_MAX, Authentication
from rpcgen.runtime import ConnectionClosed, Identity, RemoteError, connect
from rpcgen.runtime.auth.mechanism import Secret
from rpcgen.runtime.auth.scram import ScramClient
from rpcgen.runtime.auth.users import UserStore
from rpcgen.runtime.errors import AuthError

SCRAM = "SCRAM-SHA-256"
ONE_OF_US = Identity(uid=7, pid=7, secure=True)
"""A client at a UNIX socket."""


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> UserStore:
    store = UserStore(tmp_path_factory.mktemp("users") / "users")
    store.add("fred", Secret(PASSWORD))
    return store


@pytest.fixture
def authentication(users: UserStore) -> Authentication:
    return Authentication(unix="sasl", users=users)


@contextmanager
def client(folder: Path) -> Iterator[RemoteClient]:
    with connect(f"unix://{folder}/s") as connection:
        yield RemoteClient(connection)


def refused(call: Any, *arguments: Any) -> bool:
    with pytest.raises(RemoteError, match="authentication failed") as caught:
        call(*arguments, timeout=DEADLINE)
    return bool(caught.value.code == VirErrorNumber.VIR_ERR_AUTH_FAILED)


def is_in(remote: RemoteClient) -> None:
    """What only clients may do that need not log in any more."""
    remote.connect_open("test:///default", 0, timeout=DEADLINE)
    remote.connect_get_hostname(timeout=DEADLINE)


class Login:
    """Fred's, by SCRAM, message by message."""

    def __init__(self, remote: RemoteClient) -> None:
        self._remote = remote
        self._scram = ScramClient(SCRAM, "fred", Secret(PASSWORD))
        self._answer = b""

    def start(self) -> None:
        assert SCRAM in self._remote.auth_sasl_init(timeout=DEADLINE).split(",")
        given = self._remote.auth_sasl_start(SCRAM, 0, self._scram.start(), timeout=DEADLINE)
        self._answer = self._scram.step(given.data) or b""

    @property
    def last(self) -> tuple[int, bytes]:
        """What completes it."""
        return 0, self._answer

    def finish(self) -> bool:
        return bool(self._remote.auth_sasl_step(*self.last, timeout=DEADLINE).complete)


def test_a_login_is_not_finished_by_rules_that_count_no_more(
    authentication: Authentication, tmp_path: Path
) -> None:
    with guarded(tmp_path, authentication), client(tmp_path) as remote:
        login = Login(remote)
        login.start()
        authentication.become(authentication.renewed(allowed_users=["jane"]))
        assert refused(remote.auth_sasl_step, *login.last)
        again = Login(remote)
        again.start()
        assert refused(remote.auth_sasl_step, *again.last)  # the same client, and the list
        authentication.become(authentication.renewed(allowed_users=["f*"]))
        right = Login(remote)
        right.start()
        assert right.finish()
        is_in(remote)


def test_rules_that_are_the_same_disturb_nobody(
    authentication: Authentication, tmp_path: Path
) -> None:
    with guarded(tmp_path, authentication), client(tmp_path) as remote:
        login = Login(remote)
        login.start()
        authentication.become(authentication.renewed(unix="sasl"))
        assert login.finish()


def test_who_is_in_stays_in(authentication: Authentication, tmp_path: Path) -> None:
    with guarded(tmp_path, authentication) as hypervisor, client(tmp_path) as remote:
        login = Login(remote)
        login.start()
        assert login.finish()
        authentication.become(authentication.renewed(allowed_users=[]))
        is_in(remote)
        assert remote.auth_list(timeout=DEADLINE) == [RemoteAuthType.REMOTE_AUTH_NONE]
        assert hypervisor.users == ["fred"]


def test_new_rules_give_a_guesser_no_new_attempts(
    authentication: Authentication, tmp_path: Path
) -> None:
    with guarded(tmp_path, authentication), client(tmp_path) as remote:
        for number in range(ATTEMPTS_MAX):
            authentication.become(authentication.renewed(allowed_users=[str(number)]))
            assert refused(remote.auth_sasl_step, 0, b"guess")
        with pytest.raises(ConnectionClosed):
            remote.auth_list(timeout=DEADLINE)


def test_another_method_counts_for_who_comes_then(
    authentication: Authentication, tmp_path: Path
) -> None:
    with guarded(tmp_path, authentication), client(tmp_path) as before:
        before.auth_list(timeout=DEADLINE)
        authentication.become(authentication.renewed(unix="none"))
        with client(tmp_path) as remote:
            assert remote.auth_list(timeout=DEADLINE) == [RemoteAuthType.REMOTE_AUTH_NONE]
            authentication.become(authentication.renewed(unix="sasl"))
            is_in(remote)
        with pytest.raises(RemoteError, match="authentication is required"):
            is_in(before)
        login = Login(before)
        login.start()
        assert login.finish()


def test_who_asks_again_learns_that_nothing_is_demanded_any_more(
    authentication: Authentication, tmp_path: Path
) -> None:
    with guarded(tmp_path, authentication), client(tmp_path) as remote:
        assert remote.auth_list(timeout=DEADLINE) == [RemoteAuthType.REMOTE_AUTH_SASL]
        authentication.become(authentication.renewed(unix="none"))
        assert remote.auth_list(timeout=DEADLINE) == [RemoteAuthType.REMOTE_AUTH_NONE]
        is_in(remote)


def test_polkit_has_nothing_to_say_once_something_else_is_demanded(
    users: UserStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dbus_fast", reason="not installed: dbus-fast")
    rules: Any = Authentication.rules
    monkeypatch.setattr(
        Authentication, "method", lambda one, _: rules.fget(one).unix
    )  # of root too
    authentication = Authentication(unix="polkit", users=users)

    async def check(*_: object) -> None:
        authentication.become(authentication.renewed(unix=demanded))

    monkeypatch.setattr("rpcgen.runtime.auth.polkit.check", check)
    with guarded(tmp_path, authentication), client(tmp_path) as remote:
        demanded = "sasl"
        assert refused(remote.auth_polkit)
        authentication.become(authentication.renewed(unix="polkit"))
        demanded = "polkit"
        assert remote.auth_polkit(timeout=DEADLINE) == 1
        is_in(remote)


def test_arguments_that_are_not_changed_stay(users: UserStore) -> None:
    one = Authentication(unix="sasl", tls="sasl", users=users, mechanisms=["PLAIN"])
    other = one.renewed(unix="none")
    assert (one.method(ONE_OF_US), other.method(ONE_OF_US)) == ("sasl", "none")
    assert other.exchange(ONE_OF_US).init() == "PLAIN"
    assert one.renewed(unix="none").rules == other.rules
    assert one.rules != other.rules
    assert one.renewed(mechanisms=None).exchange(ONE_OF_US).init() == f"SCRAM-SHA-512,{SCRAM}"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"users": None}, AuthError),
        ({"mechanisms": ["ROT13"]}, AuthError),
        ({"tls": "polkit"}, AuthError),
        ({"allowed_users": "fred"}, TypeError),
        ({"password": "x"}, TypeError),
    ],
)
def test_arguments_that_will_not_do_are_refused(
    authentication: Authentication, changes: dict[str, Any], kind: type[Exception]
) -> None:
    before = authentication.rules
    with pytest.raises(kind):
        authentication.renewed(**changes)
    assert authentication.rules == before
