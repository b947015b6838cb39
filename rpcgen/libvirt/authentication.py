"""Procedures 66 to 70 for a server of libvirt's program: which clients have to prove who they are, and how.

``Authentication`` is set up once; a server class that also inherits ``Authenticating`` answers the
five procedures by it. What SASL's mechanisms say is made in ``rpcgen.runtime.auth``.
"""

from __future__ import annotations

import logging
import pwd
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from libvirt_rpc.remote_protocol.server import RemoteServer
from libvirt_rpc.remote_protocol.types import (
    RemoteAuthSaslStartRet,
    RemoteAuthSaslStepRet,
    RemoteAuthType,
)
from rpcgen.runtime.auth import polkit
from rpcgen.runtime.auth.offer import makers
from rpcgen.runtime.auth.server import ServerExchange
from rpcgen.runtime.auth.users import DEFAULT, UserStore
from rpcgen.runtime.errors import AuthError
from rpcgen.runtime.globs import patterns_of
from rpcgen.runtime.message import RemoteError, worded

if TYPE_CHECKING:
    from typing import Any

    from rpcgen.runtime.auth.mechanism import ServerMechanism
    from rpcgen.runtime.interfaces import Identity
    from rpcgen.runtime.stubs import Call, Session

T = TypeVar("T")

_logger = logging.getLogger(__name__)

METHODS: Final = {
    "none": RemoteAuthType.REMOTE_AUTH_NONE,
    "sasl": RemoteAuthType.REMOTE_AUTH_SASL,
    "polkit": RemoteAuthType.REMOTE_AUTH_POLKIT,
}
"""What ``auth_unix_rw`` and its like of libvirtd.conf may say."""

ATTEMPTS_MAX: Final = 5
"""Attempts that may fail before the connection is closed: a person may mistype a password."""

_KEY: Final = "authentication"
_POLKIT: Final = "authentication by polkit"


class Authentication:
    """How the clients of a server prove who they are.

    Args:
        unix, tcp, tls: ``none``, ``sasl`` or ``polkit``, by how a client is connected. Polkit is for
            UNIX sockets: it wants to know the process. By default plain TCP demands ``sasl``, and
            the others nothing.
        mechanisms: of SASL, in the order in which they are offered. Those that do not fit the
            transport are left out: what shows a password is only for UNIX sockets and TLS. By
            default the SCRAMs of ``DEFAULT``, if there are users.
        users: for mechanisms with a password; see ``rpcgen-users``.
        allowed_users: who may enter, as patterns (``sasl_allowed_username_list``). None lets all
            in that have proved who they are, an empty list nobody.
        keytab: the file with the key of ``libvirt/HOST``, for GSSAPI; None for Kerberos's own.

    Raises:
        AuthError: a method or a mechanism that there is not, one that needs users, or none that a
            place could use.
        TypeError: ``allowed_users`` is no list of patterns.
    """

    def __init__(
        self,
        *,
        unix: str | None = None,
        tcp: str | None = None,
        tls: str | None = None,
        mechanisms: Sequence[str] | None = None,
        users: UserStore | None = None,
        allowed_users: Sequence[str] | None = None,
        keytab: str | None = None,
    ) -> None:
        self._rules = _Rules(
            unix,
            tcp,
            tls,
            None if mechanisms is None else tuple(mechanisms),
            users,
            patterns_of(allowed_users, "allowed_users"),
            keytab,
        )
        self._rules.check()

    def renewed(self, **changes: Any) -> Authentication:
        """The same with other arguments.

        Args:
            changes: arguments as at the beginning, instead of those that it has.

        Raises:
            AuthError, TypeError: as at the beginning.
        """
        return Authentication(**{**self._rules._asdict(), **changes})

    def become(self, other: Authentication) -> None:
        """Do as another does from now on, at once and in all threads.

        Who has logged in stays, and who need not stays so. Whoever is about to begins anew, by what
        counts now.
        """
        self._rules = other._rules

    def method(self, identity: Identity) -> str:
        """What a client has to do: ``none``, ``sasl`` or ``polkit``; of root polkit asks nothing."""
        place = "unix" if identity.uid is not None else "tls" if identity.secure else "tcp"
        method = self._rules.methods[place]
        return "none" if method == "polkit" and identity.uid == 0 else method

    def is_required(self, identity: Identity) -> bool:
        """Whether a client has to do anything."""
        return self.method(identity) != "none"

    def exchange(self, identity: Identity) -> ServerExchange:
        """A client's attempts by SASL."""
        rules = self._rules
        offered = rules.makers(_vouched(identity), secure=identity.secure)
        return ServerExchange(offered, secure=identity.secure, allowed=rules.allowed_users)

    @property
    def rules(self) -> object:
        """What it goes by, to be compared: equal as long as nothing has changed."""
        return self._rules


class _Rules(NamedTuple):
    """The arguments of ``Authentication``, which are changed all at once; None for what was not given."""

    unix: str | None
    tcp: str | None
    tls: str | None
    mechanisms: tuple[str, ...] | None
    users: UserStore | None
    allowed_users: tuple[str, ...] | None
    keytab: str | None

    @property
    def methods(self) -> dict[str, str]:
        """What is demanded, by how a client is connected."""
        return {
            "unix": self.unix or "none",
            "tcp": self.tcp or "sasl",
            "tls": self.tls or "none",
        }

    @property
    def offered(self) -> tuple[str, ...]:
        """The mechanisms of SASL, wherever they fit."""
        if self.mechanisms is not None:
            return self.mechanisms
        return () if self.users is None else DEFAULT

    def check(self) -> None:
        """See that it can be done.

        Raises:
            AuthError: it cannot.
        """
        for place, method in self.methods.items():
            if method not in METHODS or (method == "polkit" and place != "unix"):
                raise AuthError(f"{place}: there is no method {method!r} to authenticate by")
        for make in self.makers("somebody", secure=True).values():
            make()  # to see that nothing is missing
        if self.unix == "polkit":
            polkit.check_package()
        for place, asked in (("unix", self.unix), ("tcp", self.tcp), ("tls", self.tls)):
            if asked == "sasl" and not self.makers("somebody", secure=place != "tcp"):
                raise AuthError(f"{place}: of {list(self.offered)}, no mechanism can be used there")

    def makers(
        self, known: str | None, *, secure: bool
    ) -> dict[str, Callable[[], ServerMechanism]]:
        """What makes the mechanisms that fit a transport."""
        return makers(
            self.offered, secure=secure, users=self.users, known=known, keytab=self.keytab
        )


class Authenticating(RemoteServer):
    """The five procedures, for a class that inherits this one before its own server class.

    Attributes:
        authentication: what they go by.
    """

    authentication: Authentication

    def is_auth_required(self, identity: Identity) -> bool:
        """What the server asks of its programs."""
        return self.authentication.is_required(identity)

    def auth_list(self, call: Call) -> list[RemoteAuthType | int]:
        session = call.session
        method = self.authentication.method(session.identity)
        if method == "none" and not session.is_authenticated:
            session.authenticate()  # what was demanded when it came is demanded no more
        return [METHODS["none" if session.is_authenticated else method]]

    def auth_sasl_init(self, call: Call) -> str:
        attempts = self._attempts(call.session)
        return attempts.do(ServerExchange.init)

    def auth_sasl_start(
        self, call: Call, mech: str, nil: int, data: bytes
    ) -> RemoteAuthSaslStartRet:
        attempts = self._attempts(call.session)
        given = None if nil else data
        complete, answer = attempts.do(lambda exchange: exchange.start(mech, given))
        return RemoteAuthSaslStartRet(int(complete), int(answer is None), answer or b"")

    def auth_sasl_step(self, call: Call, nil: int, data: bytes) -> RemoteAuthSaslStepRet:
        attempts = self._attempts(call.session)
        given = None if nil else data
        complete, answer = attempts.do(lambda exchange: exchange.step(given))
        return RemoteAuthSaslStepRet(int(complete), int(answer is None), answer or b"")

    async def auth_polkit(self, call: Call) -> int:
        identity = call.session.identity
        if self.authentication.method(identity) != "polkit" or call.session.is_authenticated:
            raise _failed("polkit is not what this client has to do")
        assert identity.pid is not None  # noqa: S101  (polkit is for UNIX sockets)
        assert identity.uid is not None  # noqa: S101
        started = identity.start_time or 0
        with _question(call.session):
            await polkit.check(polkit.MANAGE, identity.pid, started, identity.uid)
            if self.authentication.method(identity) != "polkit":
                raise AuthError("polkit has said yes to what is demanded no more")
        call.session.authenticate()
        return 1

    def _attempts(self, session: Session) -> _Attempts:
        if self.authentication.method(session.identity) != "sasl":
            raise _failed("SASL is not what this client has to do")
        found = session.data.get(_KEY)
        if found is None:
            found = session.data.setdefault(_KEY, _Attempts(session, self.authentication))
        attempts: _Attempts = found
        return attempts


@contextmanager
def _question(session: Session) -> Iterator[None]:
    """Have a client's user asked one thing at a time, and not for ever; on the loop only."""
    state = session.data.setdefault(_POLKIT, {"asking": False, "failures": 0})
    if state["asking"]:
        raise _failed("polkit is being asked")
    state["asking"] = True
    try:
        yield
    except AuthError as error:
        _logger.warning("%r: refused: %r", session.identity, str(error))
        state["failures"] += 1
        if state["failures"] >= ATTEMPTS_MAX:
            session.close()
        code = getattr(error, "code", VirErrorNumber.VIR_ERR_AUTH_FAILED)
        raise _failed(str(error), code, VirErrorDomain.VIR_FROM_POLKIT) from None
    finally:
        state["asking"] = False


class _Attempts:
    """A client's attempts by SASL; its calls may overlap, and are answered one by one."""

    def __init__(self, session: Session, authentication: Authentication) -> None:
        self._session = session
        self._authentication = authentication
        self._rules = authentication.rules
        self._exchange = authentication.exchange(session.identity)
        self._lock = threading.Lock()
        self._failures = 0

    def do(self, step: Callable[[ServerExchange], T]) -> T:
        """Take a step, and let the client in if it was the last.

        Raises:
            RemoteError: VIR_ERR_AUTH_FAILED; why is in the log only.
        """
        with self._lock:
            exchange = self._up_to_date()
            was_complete = exchange.is_complete
            try:
                result = step(exchange)
            except AuthError as error:
                reason = str(error)  # and no more of it: its frames hold what the client said
            else:
                if exchange.is_complete and not was_complete:
                    _logger.info("%r: is %r by SASL", self._session.identity, exchange.user)
                    self._session.authenticate(exchange.user, exchange.layer)
                return result
            self._refuse(reason)
            raise _failed("authentication failed")

    def _up_to_date(self) -> ServerExchange:
        """The exchange; who is not through begins anew once the rules are others."""
        rules = self._authentication.rules
        if rules != self._rules and not self._exchange.is_complete:
            self._rules = rules
            self._exchange = self._authentication.exchange(self._session.identity)
        return self._exchange

    def _refuse(self, reason: str) -> None:
        _logger.warning("%r: refused: %r", self._session.identity, reason)
        self._failures += 1
        if self._failures >= ATTEMPTS_MAX:
            self._session.close()


def _vouched(identity: Identity) -> str | None:
    """Who a client is without any words: its certificate's name, or its user's."""
    if identity.distinguished_name is not None:
        return identity.distinguished_name
    if identity.uid is None:
        return None
    try:
        return pwd.getpwuid(identity.uid).pw_name
    except KeyError:
        return None


def _failed(
    reason: str,
    code: int = VirErrorNumber.VIR_ERR_AUTH_FAILED,
    domain: VirErrorDomain = VirErrorDomain.VIR_FROM_RPC,
) -> RemoteError:
    """In libvirt's words."""
    return worded(code, "authentication failed: %s", reason, domain)
