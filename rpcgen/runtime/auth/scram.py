"""SCRAM (RFC 5802, RFC 7677) for both sides, without channel binding, on the package ``scramp``.

Servers work on verifiers, never on passwords. Where verifiers are kept is not known here.
"""

from __future__ import annotations

import hmac
from typing import NamedTuple

from rpcgen.runtime.errors import AuthError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, NoReturn

    from rpcgen.runtime.auth.mechanism import Secret

ITERATIONS_MIN: Final = 4_096
"""Fewer make guessing cheap (RFC 7677, section 4): a server that asks for them is not obeyed."""

ITERATIONS_MAX: Final = 10_000_000
"""Some seconds of work: more would let a server keep its clients busy."""

ITERATIONS: Final = 65_536
"""Of new passwords: as many as Cyrus' clients, and so virsh, are willing to compute."""

MESSAGE_MAX: Final = 4_096
"""Bytes of one message. Names are prepared character by character, for peers yet unknown."""


class Verifier(NamedTuple):
    """What a server keeps of a password: enough to check it, not to use it elsewhere.

    Attributes:
        salt: 12 bytes or more.
        iterations: of the key's derivation.
        stored_key, server_key: as RFC 5802 calls them.
    """

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return f"<Verifier, {self.iterations} iterations>"


def make_verifier(
    mechanism: str, password: Secret, *, salt: bytes | None = None, iterations: int = ITERATIONS
) -> Verifier:
    """What to keep of a password.

    Args:
        mechanism: ``SCRAM-SHA-1``, ``-256`` or ``-512``: each needs its own.
        salt: None for a new one.

    Raises:
        AuthError: SASLprep forbids the password, it is empty, or the package is missing.
    """
    scram = _call(_scramp().ScramMechanism, mechanism)
    if not prepared(password.reveal(), "a password"):
        raise AuthError("a password: expected one that is not empty")
    made = _call(scram.make_auth_info, password.reveal(), iterations, salt)
    made_salt, stored_key, server_key, count = made
    return Verifier(made_salt, count, stored_key, server_key)


def is_password(mechanism: str, password: Secret, verifier: Verifier) -> bool:
    """Whether a password is the one of a verifier. False also for what SASLprep forbids."""
    try:
        other = make_verifier(
            mechanism, password, salt=verifier.salt, iterations=verifier.iterations
        )
    except AuthError:
        return False
    return hmac.compare_digest(other.stored_key, verifier.stored_key)


def prepared(text: str, what: str = "a name") -> str:
    """A name or password as SASLprep (RFC 4013) makes it: the same for all ways to type it.

    Raises:
        AuthError: it has characters that neither may have, or the package is missing.
    """
    try:
        return str(_call(_scramp().utils.saslprep, text, what=what))
    except AuthError as error:
        reason = str(error)
    if "forbidden" in reason:
        reason = f"{what}: expected characters that can be typed and seen"
    raise AuthError(reason)


class ScramClient:
    """The client's half.

    Args:
        name: ``SCRAM-SHA-1``, ``-256`` or ``-512``.
        user: who logs in.
        password: the password.
        nonce: None for a random one.

    Raises:
        AuthError: SASLprep forbids the name or the password, or the package is missing.
    """

    layer: None = None

    def __init__(self, name: str, user: str, password: Secret, *, nonce: str | None = None) -> None:
        client = _scramp().ScramClient
        self.name = name
        self.is_complete = False
        self._scram: Any = _call(client, [name], user, password.reveal(), None, nonce)
        self._steps = _Steps(name, self._prove, self._check)

    def start(self) -> bytes:
        """The first message, which names the user."""
        return _bytes(_call(self._scram.get_client_first))

    def step(self, challenge: bytes | None) -> bytes | None:
        """The proof for the server's first message, and nothing for its last.

        Raises:
            AuthError: the server's message is malformed, wants too few or too many iterations,
                or does not prove that the server knows the password.
        """
        return self._steps.take(challenge)

    def _prove(self, challenge: str) -> bytes:
        _call(self._scram.set_server_first, challenge)
        count = int(self._scram.iterations)
        if not ITERATIONS_MIN <= count <= ITERATIONS_MAX:
            raise AuthError(
                f"SCRAM: expected {ITERATIONS_MIN} to {ITERATIONS_MAX} iterations, got {count}"
            )
        return _bytes(_call(self._scram.get_client_final))

    def _check(self, challenge: str) -> None:
        _call(self._scram.set_server_final, challenge)
        self._scram = None  # it holds the password
        self.is_complete = True

    def __reduce__(self) -> NoReturn:
        raise TypeError("a login is not written anywhere: it holds a password")


class ScramServer:
    """The server's half.

    Args:
        name: ``SCRAM-SHA-1``, ``-256`` or ``-512``.
        verifier: gives what is kept of a user (prepared name, mechanism). It must give something
            for users that there are not, which nobody can satisfy: an error would tell.
        nonce: None for a random one.

    Raises:
        AuthError: the package is missing.
    """

    layer: None = None

    def __init__(
        self, name: str, verifier: Callable[[str, str], Verifier], *, nonce: str | None = None
    ) -> None:
        self.name = name
        self.is_complete = False
        self.user = ""
        self._claimed = ""
        self._trouble: AuthError | None = None
        self._verifier = verifier
        scram = _call(_scramp().ScramMechanism, name)
        self._scram = _call(scram.make_server, self._find, None, nonce)
        self._steps = _Steps(name, self._challenge, self._verify)

    def step(self, response: bytes) -> bytes | None:
        """Salt and iterations for the client's first message, our own proof for its last.

        Raises:
            AuthError: the message is malformed, wants a channel binding or another's rights, or
                does not prove that the client knows the password.
        """
        return self._steps.take(response)

    def _challenge(self, response: str) -> bytes:
        header, bare = _split(response)
        try:
            _call(self._scram.set_client_first, f"{header[0]},,{bare}")
        except AuthError:
            if self._trouble is not None:
                raise self._trouble from None
            raise
        if header[1]:
            self._scram.gs2_header = _Header(",".join(header) + ",")
        return _bytes(_call(self._scram.get_server_first))

    def _verify(self, response: str) -> bytes:
        try:
            _call(self._scram.set_client_final, response)
        except AuthError as error:
            raise AuthError(f"user {self._claimed!r}: wrong name or password ({error})") from None
        final = _bytes(_call(self._scram.get_server_final))
        self.user, self.is_complete = self._claimed, True
        return final

    def _find(self, user: str) -> tuple[bytes, bytes, bytes, int]:
        self._claimed = user
        try:
            salt, iterations, stored_key, server_key = self._verifier(user, self.name)
        except AuthError as error:
            self._trouble = error  # the package would keep the reason to itself
            raise
        return salt, stored_key, server_key, iterations


class _Steps:
    """What a side does with one message after another. After a failure, nothing."""

    __slots__ = ("_name", "_steps")

    def __init__(self, name: str, *steps: Callable[[str], bytes | None]) -> None:
        self._name = name
        self._steps = list(steps)

    def take(self, message: bytes | None) -> bytes | None:
        if not self._steps:
            raise AuthError(f"{self._name}: expected no further message")
        step, *rest = self._steps
        self._steps = []
        result = step(_text(self._name, message))
        self._steps = rest
        return result


class _Header(NamedTuple):
    """What a proof says about channel binding, for the package, which knows no identity in it."""

    text: str

    def make_cbind_input(self, _binding: None) -> bytes:
        return _bytes(self.text)


def _split(message: str) -> tuple[list[str], str]:
    """A client's first message: the two parts of its header, and the rest."""
    *header, bare = message.split(",", 2)
    if len(header) != 2:
        raise AuthError("SCRAM: expected a header with two commas")
    identity = header[1]
    if identity and not (identity[:2] == "a=" and bare.startswith(f"n={identity[2:]},")):
        raise AuthError("SCRAM: nobody may act for another user")
    return header, bare


def _text(name: str, message: bytes | None) -> str:
    if message is None or len(message) > MESSAGE_MAX:
        got = "none" if message is None else f"{len(message)} bytes"
        raise AuthError(f"{name}: expected a message of at most {MESSAGE_MAX} bytes, got {got}")
    try:
        return message.decode()
    except UnicodeDecodeError as error:
        raise AuthError(f"{name}: expected UTF-8, byte {error.start} is none") from None


def _bytes(message: str) -> bytes:
    return message.encode()


def _call(function: Callable[..., Any], /, *args: object, what: str = "SCRAM") -> Any:
    """What a function of the package returns; what it raises is an error of ours.

    The package's own error may hold a password: it is not even kept as the context.
    """
    package = _scramp()
    try:
        return function(*args)
    except package.ScramException as error:
        reason = str(error)
    except ValueError:
        reason = "expected text that UTF-8 can write"
    raise AuthError(f"{what}: {reason}")


def _scramp() -> Any:
    try:
        import scramp.utils  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise AuthError("SCRAM needs the package scramp: pip install 'rpcgen[sasl]'") from None
    return scramp
