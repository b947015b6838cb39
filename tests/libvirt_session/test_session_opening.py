"""How a session is opened: what is asked in which order, and every answer that a server may give."""

from __future__ import annotations

from typing import Any

import pytest

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from libvirt_rpc.remote_protocol.types import (
    RemoteAuthListRet,
    RemoteAuthPolkitRet,
    RemoteAuthSaslInitRet,
    RemoteConnectGetUriRet,
    RemoteConnectOpenArgs,
    RemoteConnectSupportsFeatureRet,
)
from rpcgen.libvirt.login import Login, Question
from rpcgen.libvirt.opening import Opened, Plan, now, open_driver, plan
from rpcgen.libvirt.times import countdown, shorter
from rpcgen.runtime.errors import AuthError
from rpcgen.runtime.interfaces import Identity
from rpcgen.runtime.message import RemoteError
from rpcgen.runtime.program import Procedure

NO_SUPPORT = RemoteError(VirErrorNumber.VIR_ERR_NO_SUPPORT, "unknown procedure: 66")
REFUSED = RemoteError(VirErrorNumber.VIR_ERR_INTERNAL_ERROR, "no")

PLAN = Plan("test:///default", "unix:///s", "test:///default", Login(), False, None)


class Unprotected:
    """A connection on which everybody can read along, and which gets no layer."""

    identity = Identity(address="192.0.2.1:16509")

    def wrap(self, _: object) -> None:
        raise AssertionError("nothing was agreed on")


LINE = Unprotected()


class Script:
    """Answers calls in order, and keeps what was called."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.called: list[str] = []
        self.arguments: list[Any] = []
        self.timeouts: list[float | None] = []

    async def call(
        self, procedure: Procedure[Any, Any], argument: Any, timeout: float | None
    ) -> Any:
        procedure.encode_argument(argument)
        self.called.append(procedure.name.removeprefix("REMOTE_PROC_"))
        self.arguments.append(argument)
        self.timeouts.append(timeout)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def auth(*methods: int) -> RemoteAuthListRet:
    return RemoteAuthListRet([*methods])


def feature(supported: int) -> RemoteConnectSupportsFeatureRet:
    return RemoteConnectSupportsFeatureRet(supported)


def opened(script: Script, what: Plan = PLAN) -> Opened:
    return now(open_driver(script.call, what, countdown(None), LINE))


def test_the_sequence_of_libvirts_own_client() -> None:
    script = Script(
        auth(0), feature(1), None, RemoteConnectGetUriRet("qemu:///system"), feature(1), feature(0)
    )
    what = PLAN._replace(name="", readonly=True, keepalive=(5, 5))
    assert opened(script, what) == Opened("qemu:///system", {10: True, 14: True, 15: False})
    assert script.called == [
        "AUTH_LIST",
        "CONNECT_SUPPORTS_FEATURE",
        "CONNECT_OPEN",
        "CONNECT_GET_URI",
        "CONNECT_SUPPORTS_FEATURE",
        "CONNECT_SUPPORTS_FEATURE",
    ]
    assert script.arguments[2] == RemoteConnectOpenArgs("", 1)
    assert [script.arguments[number].feature for number in (1, 4, 5)] == [10, 14, 15]


@pytest.mark.parametrize("answer", [auth(), auth(0), auth(1, 0), NO_SUPPORT])
def test_who_need_not_authenticate_does_not(answer: object) -> None:
    script = Script(answer, None, feature(1), feature(1))
    assert opened(script) == Opened(None, {10: False, 14: True, 15: True})
    assert script.arguments[1] == RemoteConnectOpenArgs("test:///default", 0)


@pytest.mark.parametrize(
    ("answer", "wanted", "reason"),
    [
        (auth(7), None, "the server demands authentication by method 7"),
        (auth(0), "sasl.PLAIN", "auth=sasl.PLAIN was asked for, the server offers none"),
        (auth(1, 0), "polkit", "auth=polkit was asked for, the server offers sasl, none"),
        (auth(), "sasl", "auth=sasl was asked for, the server offers nothing"),
    ],
)  # fmt: skip
def test_what_the_server_demands_is_said(answer: object, wanted: str | None, reason: str) -> None:
    script = Script(answer)
    with pytest.raises(AuthError) as caught:
        opened(script, PLAN._replace(login=Login(wanted)))
    assert str(caught.value) == reason
    assert script.called == ["AUTH_LIST"]


def test_polkit_is_asked_by_the_server() -> None:
    script = Script(auth(2), RemoteAuthPolkitRet(1), None, feature(1), feature(1))
    assert opened(script) == Opened(None, {10: False, 14: True, 15: True})
    assert script.called[:3] == ["AUTH_LIST", "AUTH_POLKIT", "CONNECT_OPEN"]


@pytest.mark.parametrize("code", [45, 79, 94])
def test_a_refusal_is_an_auth_error(code: int) -> None:
    with pytest.raises(AuthError, match="the server refuses: no agent") as caught:
        opened(Script(auth(2, 1), RemoteError(code, "no agent")))
    assert isinstance(caught.value.__cause__, RemoteError)
    assert caught.value.__cause__.code == code


@pytest.mark.parametrize(
    ("offer", "method", "reason"),
    [
        ("SCRAM-SHA-256,PLAIN", None, "nothing can be used on a transport on which others read"),
        ("SCRAM-SHA-256,PLAIN", "sasl.PLAIN", "needs one that encrypts"),
        ("ANONYMOUS,DIGEST-MD5", None, "nothing can be used"),
        ("SCRAM-SHA-256", "sasl.GSSAPI", "the server offers 'SCRAM-SHA-256'"),
        ("", None, "nothing can be used"),
    ],
)
def test_no_secret_goes_where_others_read_along(
    offer: str, method: str | None, reason: str
) -> None:
    asked: list[Question] = []
    login = Login(method, ask=asked.append)
    script = Script(auth(1), RemoteAuthSaslInitRet(offer))
    with pytest.raises(AuthError, match=reason):
        opened(script, PLAN._replace(login=login))
    assert script.called == ["AUTH_LIST", "AUTH_SASL_INIT"]
    assert asked == []


def test_a_server_that_cannot_be_asked_lacks_the_feature() -> None:
    script = Script(auth(0), REFUSED, None, REFUSED, NO_SUPPORT)
    assert opened(script, PLAN._replace(keepalive=(5, 5))).features == {
        10: False,
        14: False,
        15: False,
    }


@pytest.mark.parametrize("answers", [[REFUSED], [auth(0), REFUSED]])
def test_any_other_error_is_the_callers(answers: list[Any]) -> None:
    with pytest.raises(RemoteError, match="no"):
        opened(Script(*answers))


def test_every_call_gets_the_time_that_is_left() -> None:
    script = Script(auth(0), None, feature(1), feature(1))
    seconds = iter((4.0, 3.0, 2.0, 1.0))
    now(open_driver(script.call, PLAN, lambda: next(seconds), LINE))
    assert script.timeouts == [4.0, 3.0, 2.0, 1.0]


def test_only_what_never_waits_runs_now() -> None:
    async def waits() -> None:
        await Pause()

    class Pause:
        def __await__(self) -> Any:
            yield

    with pytest.raises(RuntimeError, match="expected a coroutine that does not wait"):
        now(waits())


@pytest.mark.parametrize(
    ("uri", "default", "expected"),
    [
        ("test+unix:///default?socket=/s&auth=sasl&x=1", "", ("unix:///s", "test:///default?x=1", "sasl")),
        (None, "remote+tcp://h", ("tcp://h:16509", "", None)),
        ("", "remote+tcp://h", ("unix:///var/run/libvirt/libvirt-sock-ro", "", None)),
    ],
)  # fmt: skip
def test_what_a_uri_means_here(
    uri: str | None,
    default: str,
    expected: tuple[str, str, str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", default)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    found = plan(uri, readonly=True, keepalive=None)
    assert (found.address, found.name, found.login.method) == expected
    assert found.uri == (default if uri is None else uri)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [(None, None, None), (1.0, None, 1.0), (None, 2.0, 2.0), (2.0, 1.0, 1.0), (0.0, None, 0.0)],
)
def test_the_shorter_time_counts(
    one: float | None, other: float | None, expected: float | None
) -> None:
    assert shorter(lambda: one, lambda: other)() == expected


def test_a_countdown_ends_at_zero() -> None:
    assert countdown(-1.0)() == 0.0
    assert countdown(None)() is None
    left = countdown(3600.0)()
    assert left is not None
    assert 0.0 < left <= 3600.0
