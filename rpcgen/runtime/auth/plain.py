"""PLAIN (RFC 4616): the password itself, for transports on which nobody reads along.

Whether the transport is one is decided by those who choose mechanisms.
"""

from __future__ import annotations

from rpcgen.runtime.auth.mechanism import Secret, SecretBytes
from rpcgen.runtime.errors import AuthError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

MESSAGE_MAX: Final = 4_096
"""Bytes of the message: names and passwords have 255 at the most (RFC 4616, section 2)."""


class PlainClient:
    """The client's half.

    Args:
        user: who logs in.
        password: the password.

    Raises:
        AuthError: one of them has a NUL in it, no bytes, or no form in UTF-8.
    """

    name = "PLAIN"
    layer: None = None

    def __init__(self, user: str, password: Secret) -> None:
        self.is_complete = False
        self._user = user
        self._password = password
        for what, value in ("name", user), ("password", password.reveal()):
            if not value or "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
                raise AuthError(f"PLAIN: expected a {what} of one or more characters, none a NUL")

    def start(self) -> bytes:
        """Name and password."""
        self.is_complete = True
        return SecretBytes(f"\0{self._user}\0{self._password.reveal()}".encode())

    def step(self, challenge: bytes | None) -> None:
        """Nothing: the server has nothing to ask.

        Raises:
            AuthError: it asked all the same.
        """
        if challenge:
            raise AuthError(f"PLAIN: expected no challenge, got {len(challenge)} bytes")


class PlainServer:
    """The server's half.

    Args:
        check: given a name and a password, the name by which the user is known. It raises
            AuthError for a wrong password, and takes as long for a user that there is not.
    """

    name = "PLAIN"
    layer: None = None

    def __init__(self, check: Callable[[str, Secret], str]) -> None:
        self.is_complete = False
        self.user = ""
        self._check: Callable[[str, Secret], str] | None = check

    def step(self, response: bytes) -> None:
        """Check name and password.

        Raises:
            AuthError: the password is wrong, the message is malformed, or it asks for the rights
                of another user.
        """
        check, self._check = self._check, None
        if check is None:
            raise AuthError("PLAIN: expected no further message")
        user, password = _parse(response)
        self.user = check(user, password)
        self.is_complete = True


def _parse(message: bytes) -> tuple[str, Secret]:
    if len(message) > MESSAGE_MAX:
        raise AuthError(f"PLAIN: expected {MESSAGE_MAX} bytes or fewer, got {len(message)}")
    parts = message.split(b"\0")
    if len(parts) != 3 or not parts[1] or not parts[2]:
        raise AuthError("PLAIN: expected an identity, a name and a password with a NUL between")
    if parts[0] not in (b"", parts[1]):
        raise AuthError("PLAIN: nobody may act for another user")
    try:
        user, password = parts[1].decode(), parts[2].decode()
    except UnicodeDecodeError:
        user = password = ""
    if not user:  # said here, for the error of decoding holds the password
        raise AuthError("PLAIN: expected UTF-8")
    return user, Secret(password)
