"""EXTERNAL (RFC 4422, appendix A): who the client is, the transport knows already.

Where the name comes from, a certificate or the kernel, is decided by those who make the server's
half.
"""

from __future__ import annotations

from rpcgen.runtime.errors import AuthError


class ExternalClient:
    """The client's half.

    Args:
        user: whom the client expects to be taken for; empty leaves it to the server.
    """

    name = "EXTERNAL"
    layer: None = None

    def __init__(self, user: str = "") -> None:
        self.is_complete = False
        self._user = user

    def start(self) -> bytes:
        """The name that is asked for.

        Raises:
            AuthError: it has no form in UTF-8.
        """
        try:
            data = self._user.encode()
        except UnicodeEncodeError:
            raise AuthError(f"EXTERNAL: expected a name, got {self._user!a}") from None
        self.is_complete = True
        return data

    def step(self, challenge: bytes | None) -> None:
        """Nothing: the server has nothing to ask.

        Raises:
            AuthError: it asked all the same.
        """
        if challenge:
            raise AuthError(f"EXTERNAL: expected no challenge, got {len(challenge)} bytes")


class ExternalServer:
    """The server's half.

    Args:
        known: the name that the transport vouches for, from a certificate or of a uid; None if
            it vouches for nobody.
    """

    name = "EXTERNAL"
    layer: None = None

    def __init__(self, known: str | None) -> None:
        self.is_complete = False
        self.user = ""
        self._known = known

    def step(self, response: bytes) -> None:
        """Let the client be who it is.

        Raises:
            AuthError: nobody knows who that is, or it asks to be another.
        """
        known, self._known = self._known, None
        if not known:
            raise AuthError("EXTERNAL: the transport does not say who the client is")
        if response and response != known.encode("utf-8", "surrogateescape"):
            raise AuthError(f"EXTERNAL: the client is {known!r}, and asks to be another")
        self.user = known
        self.is_complete = True
