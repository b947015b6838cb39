"""How a session proves who its user is: procedures 66 to 70, from the client's side.

What SASL's mechanisms say is made in ``rpcgen.runtime.auth``; here is who is asked for names and
passwords, and what is called. Coroutines, like all of ``opening``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from libvirt_rpc.remote_protocol import program as rows
from libvirt_rpc.remote_protocol.types import (
    RemoteAuthSaslStartArgs,
    RemoteAuthSaslStepArgs,
    RemoteAuthType,
)
from rpcgen.runtime.errors import AuthError, RpcError
from rpcgen.runtime.message import RemoteError

if TYPE_CHECKING:
    from rpcgen.libvirt.opening import Calling
    from rpcgen.libvirt.times import Left
    from rpcgen.runtime.auth.choice import Credentials
    from rpcgen.runtime.auth.client import ClientExchange
    from rpcgen.runtime.interfaces import ByteStream, Identity
    from rpcgen.runtime.program import Procedure

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")

_METHODS: Final[dict[int, str]] = {
    RemoteAuthType.REMOTE_AUTH_NONE: "none",
    RemoteAuthType.REMOTE_AUTH_SASL: "sasl",
    RemoteAuthType.REMOTE_AUTH_POLKIT: "polkit",
}

_REFUSALS: Final = (
    VirErrorNumber.VIR_ERR_AUTH_FAILED,
    VirErrorNumber.VIR_ERR_AUTH_CANCELLED,
    VirErrorNumber.VIR_ERR_AUTH_UNAVAILABLE,
)


class Question(NamedTuple):
    """What is asked of the user, or of a program in the user's place.

    Attributes:
        kind: ``user`` or ``password``; from a library's SSH also ``passphrase`` (of a key), ``trust``
            (whether to trust an unknown host: ``y`` or ``n``) and ``answer``.
        host: where it is needed.
        text: to be shown to a person.
    """

    kind: str
    host: str
    text: str


Ask = Callable[[Question], str | None]
"""Answers a question; None if there is no answer. Of an asyncio session it is called on a thread."""


class Login(NamedTuple):
    """What there is to log in with.

    Attributes:
        method: ``none``, ``sasl``, ``sasl.MECHANISM`` or ``polkit``; None is none if that will do,
            or else what the server offers first.
        host: as the URI has it; ``localhost`` without one.
        user: from the URI; empty without one.
        authfile: instead of the user's and the system's ``auth.conf``.
        ask: asked for what that file does not say.
        mechanisms: those of SASL that may be used; None for all.
        is_tunnel: whether the connection is inside SSH.
    """

    method: str | None = None
    host: str = "localhost"
    user: str = ""
    authfile: str | None = None
    ask: Ask | None = None
    mechanisms: Collection[str] | None = None
    is_tunnel: bool = False


class Work(Protocol):
    """How to do what may take its time: to ask a person, to compute, to get a ticket."""

    def __call__(self, function: Callable[[], T], /) -> Awaitable[T]: ...


async def at_once(function: Callable[[], T]) -> T:
    """For a thread, which waits anyway."""
    return function()


class Line(Protocol):
    """What is to be known of the connection, and done to it."""

    @property
    def identity(self) -> Identity:
        """The server, as the system knows it."""

    def wrap(self, layer: Callable[[ByteStream], ByteStream], /) -> None:
        """Have all bytes from now on go through a layer."""


async def log_in(call: Calling, login: Login, line: Line, left: Left, work: Work = at_once) -> None:
    """Do what the server demands.

    Args:
        work: for asyncio, what keeps the loop free.

    Raises:
        AuthError: it demands what this side cannot give, or does not believe it.
    """
    offered = await _offered(call, left)
    method = _chosen(offered, login.method)
    try:
        if method == RemoteAuthType.REMOTE_AUTH_SASL:
            await _sasl(call, login, line, left, work)
        elif method == RemoteAuthType.REMOTE_AUTH_POLKIT:
            await call(rows.REMOTE_PROC_AUTH_POLKIT, None, left())
        elif method != RemoteAuthType.REMOTE_AUTH_NONE:
            raise AuthError(f"the server demands authentication by method {method}")
    except RemoteError as error:
        if error.code in _REFUSALS:
            raise AuthError(f"the server refuses: {error}") from error
        raise


async def _offered(call: Calling, left: Left) -> list[RemoteAuthType | int]:
    """The ways to authenticate; none if the server is too old to have any."""
    try:
        return (await call(rows.REMOTE_PROC_AUTH_LIST, None, left())).types
    except RemoteError as error:
        if error.code == VirErrorNumber.VIR_ERR_NO_SUPPORT:
            return []
        raise


def _chosen(offered: list[RemoteAuthType | int], wanted: str | None) -> int:
    method = (wanted or "").partition(".")[0]
    names = [_METHODS.get(one, f"method {one}") for one in offered]
    if method and method not in names:
        offer = ", ".join(names) or "nothing"
        raise AuthError(f"auth={wanted} was asked for, the server offers {offer}")
    if method:
        return offered[names.index(method)]
    if not offered or RemoteAuthType.REMOTE_AUTH_NONE in offered:
        return RemoteAuthType.REMOTE_AUTH_NONE
    return offered[0]


async def _sasl(call: Calling, login: Login, line: Line, left: Left, work: Work) -> None:
    from rpcgen.runtime.transport.layered import LayeredStream

    offer = (await call(rows.REMOTE_PROC_AUTH_SASL_INIT, None, left())).mechlist
    secure = line.identity.secure or login.is_tunnel
    exchange = await work(partial(_exchange, offer, login, secure=secure))
    name, data = await work(exchange.start)
    start = RemoteAuthSaslStartArgs(name, int(data is None), data or b"")
    reply = await _discreetly(call, rows.REMOTE_PROC_AUTH_SASL_START, start, left())
    complete, nil, data = reply.complete, reply.nil, reply.data
    while True:
        answer = await work(partial(exchange.receive, bool(complete), None if nil else data))
        if exchange.is_complete:
            break
        step = RemoteAuthSaslStepArgs(int(answer is None), answer or b"")
        more = await _discreetly(call, rows.REMOTE_PROC_AUTH_SASL_STEP, step, left())
        complete, nil, data = more.complete, more.nil, more.data
    if exchange.layer is not None:
        line.wrap(partial(LayeredStream, layer=exchange.layer))


async def _discreetly(
    call: Calling, procedure: Procedure[A, R], argument: A, timeout: float | None
) -> R:
    """Call; an error comes without its frames, in which the data are that were sent."""
    try:
        return await call(procedure, argument, timeout)
    except RpcError as error:
        failure = error.with_traceback(None)
    raise failure


def _exchange(offer: str, login: Login, *, secure: bool) -> ClientExchange:
    from rpcgen.runtime.auth.choice import Credentials, choose, start_with
    from rpcgen.runtime.auth.client import ClientExchange
    from rpcgen.runtime.auth.mechanism import MECHANISMS

    wanted = (login.method or "").partition(".")[2] or None
    name = choose(offer, secure=secure, wanted=wanted, allowed=login.mechanisms)
    credentials = Credentials(login.user)
    if MECHANISMS[name].needs_password:
        credentials = _credentials(login)
    mechanism = start_with(name, credentials, host=login.host, secure=secure)
    return ClientExchange(mechanism, secure=secure)


def _credentials(login: Login) -> Credentials:
    """A name and a password: what a file says, and whoever can be asked for the rest."""
    from rpcgen.runtime.auth.authconf import HostCredentials, find_file, load
    from rpcgen.runtime.auth.choice import Credentials
    from rpcgen.runtime.auth.mechanism import Secret

    path = find_file(login.authfile)
    said = HostCredentials() if path is None else load(path).credentials(login.host)
    user = said.user or login.user or _ask(login, "user", f"User name for {login.host}") or ""
    password = said.password
    if password is None:
        text = f"Password of {user} for {login.host}"
        answer = _ask(login, "password", text)
        password = None if answer is None else Secret(answer)
    if not user or password is None:
        lacking = "a password" if user else "a user name and a password"
        raise AuthError(
            f"the server wants {lacking}: none in {path or 'auth.conf'}, none from ask="
        )
    return Credentials(user, password)


def _ask(login: Login, kind: str, text: str) -> str | None:
    if login.ask is None:
        return None
    answer = login.ask(Question(kind, login.host, text))
    if answer is not None and not isinstance(answer, str):
        if isinstance(answer, Coroutine):
            answer.close()
        raise AuthError(f"ask: expected a text, got {type(answer).__name__}")
    return answer
