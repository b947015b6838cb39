"""GSSAPI (RFC 4752): Kerberos tickets, and the layer that encrypts, on the package ``gssapi``.

Tickets and keytabs are found by the Kerberos library (``KRB5_CONFIG``, ``KRB5CCNAME``,
``KRB5_KTNAME``). It may ask the KDC over the network, and then a client's step waits for it.
"""

from __future__ import annotations

from threading import Lock

from rpcgen.runtime.auth.mechanism import SERVICE, SSF_MIN
from rpcgen.runtime.errors import AuthError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

NO_LAYER: Final = 1
CONFIDENTIALITY: Final = 4
"""Bits of what the sides offer and choose (RFC 4752, section 3.3). Integrity alone is no choice."""

RECEIVE_MAX: Final = 65_536
"""Bytes of a token that this side takes (``maxbufsize`` of libvirt)."""

LENGTH: Final = 4
"""Bytes of the word before a token."""

SSF_OID: Final = "1.2.840.113554.1.2.2.5.15"
"""What MIT Kerberos is asked for the strength of a context's key (GSS_C_SEC_CONTEXT_SASL_SSF)."""


def has_ticket() -> bool:
    """Whether there are the package and a ticket to begin with. Nobody is asked over the network."""
    try:
        import gssapi  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return False
    try:
        lifetime = gssapi.Credentials(usage="initiate").lifetime
    except gssapi.raw.GSSError:
        return False
    return bool(lifetime > 0)


class GssapiLayer:
    """Encryption with the key of a context. Tokens out of order, or twice, are refused.

    One thread may send while another receives: the Kerberos library is asked one thing at a time.
    What was wrapped first has to be sent first.

    Attributes:
        ssf: bits of the key.
        send_max: plain bytes that fit a token that the peer takes.
        receive_max: bytes of a token that this side takes.
    """

    receive_max = RECEIVE_MAX

    def __init__(self, context: Any, peer_max: int) -> None:
        _check_flags(context, "confidentiality", "integrity", "out_of_sequence_detection")
        self._context = context
        self._lock = Lock()
        self.ssf = _strength(context)
        self.send_max = int(_call(context.get_wrap_size_limit, peer_max, True))
        if self.send_max < 1:
            raise AuthError(f"GSSAPI: the peer takes {peer_max} bytes, which nothing fits")

    def wrap(self, data: bytes) -> bytes:
        """Encrypt. See ``SecurityLayer``."""
        if len(data) > self.send_max:
            raise AuthError(f"GSSAPI: expected {self.send_max} bytes or fewer, got {len(data)}")
        with self._lock:
            token = _wrap(self._context, data, encrypt=True)
        return len(token).to_bytes(LENGTH, "big") + token

    def unwrap(self, token: bytes) -> bytes:
        """Decrypt. See ``SecurityLayer``."""
        if len(token) > RECEIVE_MAX:
            raise AuthError(f"GSSAPI: expected {RECEIVE_MAX} bytes or fewer, got {len(token)}")
        with self._lock:
            data, encrypted = _unwrap(self._context, token)
        if not encrypted:
            raise AuthError("GSSAPI: the peer sent a token that is not encrypted")
        return data


class GssapiClient:
    """The client's half.

    Args:
        host: the server's name: the ticket is for ``libvirt/host``.
        user: whom to be taken for; empty for whom the ticket names.
        secure: whether nobody reads along anyhow: then there is no layer.

    Raises:
        AuthError: there is no such name, or the package is missing.
    """

    name = "GSSAPI"

    def __init__(self, host: str, user: str = "", *, secure: bool = False) -> None:
        self.is_complete = False
        self.layer: GssapiLayer | None = None
        self._user = user
        self._secure = secure
        self._context = _call(_initiator, host)
        self._step: Callable[[bytes], bytes | None] | None = self._negotiate

    def start(self) -> bytes | None:
        """The ticket.

        Raises:
            AuthError: there is none, and none can be had.
        """
        return self.step(b"")

    def step(self, challenge: bytes | None) -> bytes | None:
        """See ``ClientMechanism``."""
        step, self._step = self._step, None
        if step is None:
            raise AuthError("GSSAPI: expected no further message")
        return step(challenge or b"")

    def _negotiate(self, challenge: bytes) -> bytes:
        token, established = _advance(self._context, challenge or None)
        if established:
            _check_flags(self._context, "mutual_authentication")
        self._step = self._choose if established else self._negotiate
        return token

    def _choose(self, challenge: bytes) -> bytes:
        """Answer the server's offer, which the context has signed."""
        offer, peer_max = _offer(_unwrap(self._context, challenge)[0])
        choice = NO_LAYER if self._secure else CONFIDENTIALITY
        if not offer & choice:
            raise AuthError(f"GSSAPI: expected an offer of layer {choice}, got {offer:#x}")
        layer = None if self._secure else GssapiLayer(self._context, peer_max)
        size = 0 if layer is None else RECEIVE_MAX
        answer = bytes([choice]) + size.to_bytes(3, "big") + _utf8(self._user)
        token = _wrap(self._context, answer, encrypt=False)
        self.layer, self.is_complete = layer, True
        return token


class GssapiServer:
    """The server's half.

    Args:
        keytab: the file with the key of ``libvirt/host``; None for the Kerberos library's own.
        secure: whether nobody reads along anyhow: then no layer is offered.

    Raises:
        AuthError: there is no such key, or the package is missing.
    """

    name = "GSSAPI"

    def __init__(self, keytab: str | None = None, *, secure: bool = False) -> None:
        self.is_complete = False
        self.user = ""
        self.layer: GssapiLayer | None = None
        self._secure = secure
        self._context = _call(_acceptor, keytab)
        self._step: Callable[[bytes], bytes | None] | None = self._negotiate

    def step(self, response: bytes) -> bytes | None:
        """See ``ServerMechanism``."""
        step, self._step = self._step, None
        if step is None:
            raise AuthError("GSSAPI: expected no further message")
        return step(response)

    def _negotiate(self, response: bytes) -> bytes:
        token, established = _advance(self._context, response)
        if established and not token:
            return self._propose(b"")
        self._step = self._propose if established else self._negotiate
        return token

    def _propose(self, response: bytes) -> bytes:
        """Say what layers there are. The client has nothing to say before that."""
        if response:
            raise AuthError(f"GSSAPI: expected no data, got {len(response)} bytes")
        offer, size = (NO_LAYER, 0) if self._secure else (CONFIDENTIALITY, RECEIVE_MAX)
        self._step = self._finish
        return _wrap(self._context, bytes([offer]) + size.to_bytes(3, "big"), encrypt=False)

    def _finish(self, response: bytes) -> None:
        message = _unwrap(self._context, response)[0]
        choice, peer_max = _offer(message[:LENGTH])
        expected = NO_LAYER if self._secure else CONFIDENTIALITY
        if choice != expected:
            raise AuthError(f"GSSAPI: expected the choice of layer {expected}, got {choice:#x}")
        user = _user_of(self._context.initiator_name, message[LENGTH:])
        self.layer = None if self._secure else GssapiLayer(self._context, peer_max)
        self.user, self.is_complete = user, True


def _initiator(host: str) -> Any:
    gssapi = _gssapi()
    flags = gssapi.RequirementFlag
    wanted = flags.mutual_authentication | flags.integrity | flags.confidentiality
    wanted |= flags.replay_detection | flags.out_of_sequence_detection
    name = gssapi.Name(f"{SERVICE}@{host}", gssapi.NameType.hostbased_service)
    return gssapi.SecurityContext(
        name=name, usage="initiate", mech=gssapi.MechType.kerberos, flags=wanted
    )


def _acceptor(keytab: str | None) -> Any:
    gssapi = _gssapi()
    name = gssapi.Name(SERVICE, gssapi.NameType.hostbased_service)
    store = None if keytab is None else {"keytab": keytab}
    credentials = gssapi.Credentials(
        name=name, usage="accept", mechs=[gssapi.MechType.kerberos], store=store
    )
    return gssapi.SecurityContext(creds=credentials, usage="accept")


def _advance(context: Any, token: bytes | None) -> tuple[bytes, bool]:
    """What a context has to say, and whether it is established.

    For a failure, too, the package has a token; the error comes with the next question.
    """
    answer = _call(context.step, token)
    established = _call(getattr, context, "complete")
    return bytes(answer or b""), bool(established)


def _check_flags(context: Any, *names: str) -> None:
    """See that a context does what it has to: the peer has a say in it."""
    flags = _gssapi().RequirementFlag
    for name in names:
        if getattr(flags, name) not in context.actual_flags:
            raise AuthError(f"GSSAPI: the peer agreed to no {name.replace('_', ' ')}")


def _user_of(principal: Any, asked: bytes) -> str:
    """The client's name, without the realm if it is this machine's own."""
    gssapi = _gssapi()
    full = str(principal)
    short = full.partition("@")[0]
    local = gssapi.Name(short, gssapi.NameType.user)
    same = _call(local.canonicalize, gssapi.MechType.kerberos) == principal
    user = short if same else full
    if asked and asked not in (user.encode(), full.encode()):
        raise AuthError(f"GSSAPI: the client is {user!r}, and asks to be another")
    return user


def _offer(message: bytes) -> tuple[int, int]:
    """Layers, and the bytes of a token that the peer takes."""
    if len(message) != LENGTH:
        raise AuthError(f"GSSAPI: expected an offer of {LENGTH} bytes, got {len(message)}")
    return message[0], int.from_bytes(message[1:], "big")


def _strength(context: Any) -> int:
    gssapi = _gssapi()
    oid = gssapi.OID.from_int_seq(SSF_OID)
    try:
        (word,) = gssapi.raw.inquire_sec_context_by_oid(context, oid)
    except (gssapi.raw.GSSError, AttributeError, ValueError):
        return SSF_MIN  # a library that does not tell: what Cyrus takes it for, too
    return int.from_bytes(word, "big")


def _wrap(context: Any, data: bytes, *, encrypt: bool) -> bytes:
    return bytes(_call(context.wrap, data, encrypt).message)


def _unwrap(context: Any, token: bytes) -> tuple[bytes, bool]:
    result = _call(context.unwrap, token)
    return bytes(result.message), bool(result.encrypted)


def _utf8(user: str) -> bytes:
    try:
        return user.encode()
    except UnicodeEncodeError:
        raise AuthError(f"GSSAPI: expected a name, got {user!a}") from None


def _call(function: Callable[..., Any], *args: object) -> Any:
    """What a function of the package returns; what it raises is an error of ours."""
    package = _gssapi()
    try:
        return function(*args)
    except package.raw.GSSError as error:
        reason = " ".join(str(error).split())
    raise AuthError(f"GSSAPI: {reason}")


def _gssapi() -> Any:
    try:
        import gssapi
    except ImportError:
        raise AuthError("GSSAPI needs the package gssapi: pip install 'rpcgen[gssapi]'") from None
    return gssapi
