"""What a SASL mechanism is to those who run it, the mechanisms there are, and passwords.

How a mechanism works is in the module of its name; when it steps is known to the exchanges.
"""

from __future__ import annotations

import hmac
from typing import NamedTuple, Protocol

from rpcgen.runtime.errors import AuthError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NoReturn

DATA_MAX: Final = 65_536
"""Bytes of data with START, STEP and their replies (REMOTE_AUTH_SASL_DATA_MAX)."""

ROUNDS_MAX: Final = 32
"""Requests in one exchange: no mechanism needs a dozen, and a peer could go on for ever."""

SERVICE: Final = "libvirt"
"""The service that mechanisms are told, and ``auth.conf`` is searched for."""

SSF_MIN: Final = 56
"""Bits of a key that a layer must have where the transport protects nothing (fixed in libvirt)."""


class SecurityLayer(Protocol):
    """What protects the bytes of a connection once a mechanism that can is through."""

    @property
    def ssf(self) -> int:
        """Bits of the key, roughly (security strength factor, RFC 4422); 0 protects nothing."""

    @property
    def send_max(self) -> int:
        """Plain bytes that one ``wrap`` takes."""

    @property
    def receive_max(self) -> int:
        """The largest length word that the peer may send: bytes of a token."""

    def wrap(self, data: bytes) -> bytes:
        """Bytes for the wire: a length word of four bytes, and a token.

        Raises:
            AuthError: the mechanism's library refuses, or there is more than ``send_max``.
        """

    def unwrap(self, token: bytes) -> bytes:
        """The plain bytes of one token, which comes without its length word.

        Raises:
            AuthError: the token is not what the peer made, or not its next one.
        """


class ClientMechanism(Protocol):
    """The client's half of one attempt."""

    @property
    def name(self) -> str:
        """As it stands in lists of mechanisms."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to do, and the server has proved what it can prove."""

    @property
    def layer(self) -> SecurityLayer | None:
        """What was agreed on, once complete; None for no protection."""

    def start(self) -> bytes | None:
        """The data to begin with; None if the server begins, which is not the same as none.

        Raises:
            AuthError: this side has nothing to begin with: no ticket, no package.
        """

    def step(self, challenge: bytes | None) -> bytes | None:
        """The answer to what the server sent.

        Raises:
            AuthError: the server said what it must not, or is not who it claims to be.
        """


class ServerMechanism(Protocol):
    """The server's half of one attempt."""

    @property
    def name(self) -> str:
        """As it stands in lists of mechanisms."""

    @property
    def is_complete(self) -> bool:
        """Whether the client has proved who it is."""

    @property
    def user(self) -> str:
        """Who the client is; empty until it is complete."""

    @property
    def layer(self) -> SecurityLayer | None:
        """What was agreed on, once complete; None for no protection."""

    def step(self, response: bytes) -> bytes | None:
        """The answer to what the client sent, also if it is the last.

        Raises:
            AuthError: the client said what it must not, or did not prove who it is.
        """


class Traits(NamedTuple):
    """What there is to know of a mechanism before it starts.

    Attributes:
        shows_secret: it sends the password itself, or proves nothing: only for transports on
            which nobody else reads or writes.
        has_layer: it can protect what follows, which transports that do not need.
        needs_password: the client has to ask for a name and a password.
    """

    shows_secret: bool
    has_layer: bool
    needs_password: bool


MECHANISMS: Final = {
    "GSSAPI": Traits(shows_secret=False, has_layer=True, needs_password=False),
    "SCRAM-SHA-512": Traits(shows_secret=False, has_layer=False, needs_password=True),
    "SCRAM-SHA-256": Traits(shows_secret=False, has_layer=False, needs_password=True),
    "SCRAM-SHA-1": Traits(shows_secret=False, has_layer=False, needs_password=True),
    "EXTERNAL": Traits(shows_secret=True, has_layer=False, needs_password=False),
    "PLAIN": Traits(shows_secret=True, has_layer=False, needs_password=True),
}
"""The mechanisms that are spoken here, the strongest first."""


def fits(name: str, *, secure: bool) -> bool:
    """Whether a mechanism may run on a transport: an insecure one needs a layer above it.

    Raises:
        AuthError: there is no such mechanism here.
    """
    if name not in MECHANISMS:
        raise AuthError(f"SASL mechanism {name!r}: expected one of {', '.join(MECHANISMS)}")
    return secure or MECHANISMS[name].has_layer


def check_fit(name: str, *, secure: bool) -> None:
    """See that a mechanism may run on a transport, before any secret is sent.

    Raises:
        AuthError: it may not, or there is no such mechanism here.
    """
    if not fits(name, secure=secure):
        raise AuthError(f"SASL mechanism {name}: this transport needs one that encrypts")


def check_layer(layer: SecurityLayer | None, *, secure: bool) -> None:
    """See that an insecure transport got a layer that is worth its name.

    Raises:
        AuthError: it did not.
    """
    ssf = layer.ssf if layer else 0
    if not secure and ssf < SSF_MIN:
        raise AuthError(f"SASL: expected a layer of {SSF_MIN} bits or more, got {ssf}")


class SecretText(str):
    """Text as usual, but for its ``repr``: talkative tracebacks show the variables of frames."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere")


class SecretBytes(bytes):
    """The same for bytes; not formatted either."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere")


class Secret:
    """A password that does not show itself: not in ``repr``, not formatted, not pickled.

    In memory it is as it is, until that memory is used for something else: Python cannot wipe it. A
    core of the process holds it. Have none written where that matters (``forbid_core_dumps``, or LimitCORE=0
    of systemd).
    """

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: str) -> None:
        self._value = SecretText(value)

    def reveal(self) -> str:
        """The password itself; its ``repr`` is not it."""
        return self._value

    def __repr__(self) -> str:
        return "<Secret>"

    def __eq__(self, other: object) -> bool:
        """Whether both are the same, in a time that does not tell where they differ."""
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = (one.encode("utf-8", "surrogatepass") for one in (self._value, other._value))
        return hmac.compare_digest(mine, theirs)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written anywhere")
