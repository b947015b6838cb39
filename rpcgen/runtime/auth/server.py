"""The server's side of procedures 67 to 69: which may come when, and who may enter in the end.

How the data travel is not known here, nor what a mechanism makes of them. What a client gets to
see of an error is the caller's decision: the texts are for the server's log.
"""

from __future__ import annotations

from enum import Enum

from rpcgen.runtime.auth.mechanism import DATA_MAX, ROUNDS_MAX, check_layer, fits
from rpcgen.runtime.errors import AuthError
from rpcgen.runtime.globs import is_allowed, patterns_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final, TypeAlias

    from rpcgen.runtime.auth.mechanism import SecurityLayer, ServerMechanism

    Reply: TypeAlias = tuple[bool, bytes | None]

SHOWN_MAX: Final = 40
"""Characters of a mechanism's name in an error: a client may send any number."""


class _State(Enum):
    IDLE = "INIT"
    READY = "START"
    RUNNING = "STEP"
    COMPLETE = "nothing"


class ServerExchange:
    """A client's attempts to log in, on one connection.

    Any failure drops what was reached: only INIT may follow, as with libvirt. How many attempts a
    client has is for the caller to say.

    Args:
        mechanisms: for each name that may be offered, what makes the server's half for one
            attempt. Those that do not fit the transport are not offered.
        secure: whether nobody reads along: TLS and UNIX sockets.
        allowed: patterns of names that may enter (``sasl_allowed_username_list``): None allows
            everybody, an empty list nobody.
    """

    def __init__(
        self,
        mechanisms: Mapping[str, Callable[[], ServerMechanism]],
        *,
        secure: bool,
        allowed: Sequence[str] | None = None,
    ) -> None:
        self._makers = {n: make for n, make in mechanisms.items() if fits(n, secure=secure)}
        self._secure = secure
        self._allowed = patterns_of(allowed, "allowed")
        self._state = _State.IDLE
        self._mechanism: ServerMechanism
        self._rounds = 0

    @property
    def is_complete(self) -> bool:
        """Whether the client has proved who it is, and may enter."""
        return self._state is _State.COMPLETE

    @property
    def user(self) -> str:
        """Who the client is; empty until it is complete."""
        return self._mechanism.user if self.is_complete else ""

    @property
    def name(self) -> str:
        """The mechanism by which the client got in; empty until it is complete."""
        return self._mechanism.name if self.is_complete else ""

    @property
    def layer(self) -> SecurityLayer | None:
        """What protects all that follows the last reply; None if nothing does."""
        return self._mechanism.layer if self.is_complete else None

    def init(self) -> str:
        """Answer INIT: the mechanisms that are offered, with commas.

        Raises:
            AuthError: there are none for this transport, or this is not the time.
        """
        self._enter(_State.IDLE)
        if not self._makers:
            raise AuthError("SASL: no mechanism of this server fits the transport")
        self._rounds = 0
        self._state = _State.READY
        return ",".join(self._makers)

    def start(self, name: str, data: bytes | None) -> Reply:
        """Answer START.

        Args:
            name: the mechanism.
            data: None is ``nil``.

        Returns:
            Whether the client is through, and the data; None is ``nil``.

        Raises:
            AuthError: the client is refused, or this is not the time.
        """
        self._enter(_State.READY)
        if name not in self._makers:
            raise AuthError(f"SASL mechanism {name[:SHOWN_MAX]!r} is not offered")
        self._mechanism = self._makers[name]()
        if data is None:  # all mechanisms let the client begin: it may do so in STEP
            self._state = _State.RUNNING
            return False, None
        return self._step(data)

    def step(self, data: bytes | None) -> Reply:
        """Answer STEP, like ``start``.

        Raises:
            AuthError: the client is refused, or this is not the time.
        """
        self._enter(_State.RUNNING)
        return self._step(data or b"")

    def _step(self, data: bytes) -> Reply:
        mechanism = self._mechanism
        self._rounds += 1
        if self._rounds > ROUNDS_MAX or len(data) > DATA_MAX:
            raise AuthError(f"SASL {mechanism.name}: too many steps, or too much data in one")
        answer = mechanism.step(data)
        if mechanism.is_complete:
            check_layer(mechanism.layer, secure=self._secure)
            if not is_allowed(mechanism.user, self._allowed):
                raise AuthError(f"SASL user {mechanism.user!r} is not on the list of allowed users")
        self._state = _State.COMPLETE if mechanism.is_complete else _State.RUNNING
        return mechanism.is_complete, answer

    def _enter(self, expected: _State) -> None:
        """What begins here has failed until it has not. Who is through stays so."""
        state = self._state
        if state is not _State.COMPLETE:
            self._state = _State.IDLE
        if state is not expected:
            raise AuthError(f"SASL: {expected.value} came where {state.value} was expected")
