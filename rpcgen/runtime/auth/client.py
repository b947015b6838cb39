"""The client's side of procedures 68 and 69: what is sent after what was received.

How the data travel is not known here, nor what a mechanism makes of them.
"""

from __future__ import annotations

from enum import Enum

from rpcgen.runtime.auth.mechanism import DATA_MAX, ROUNDS_MAX, check_fit, check_layer
from rpcgen.runtime.errors import AuthError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rpcgen.runtime.auth.mechanism import ClientMechanism, SecurityLayer


class _State(Enum):
    NEW = "new"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


class ClientExchange:
    """One attempt to log in. After a failure it is of no use: begin with INIT again.

    Args:
        mechanism: what ``choice.start_with`` made.
        secure: whether nobody reads along: TLS and UNIX sockets.

    Raises:
        AuthError: the mechanism is not for this transport.
    """

    def __init__(self, mechanism: ClientMechanism, *, secure: bool) -> None:
        check_fit(mechanism.name, secure=secure)
        self.name = mechanism.name
        self._mechanism = mechanism
        self._secure = secure
        self._state = _State.NEW
        self._rounds = 0

    @property
    def is_complete(self) -> bool:
        """Whether both sides are satisfied, and the layer counts from here on."""
        return self._state is _State.COMPLETE

    @property
    def layer(self) -> SecurityLayer | None:
        """What protects all that follows the last reply; None if nothing does."""
        return self._mechanism.layer if self.is_complete else None

    def start(self) -> tuple[str, bytes | None]:
        """The mechanism's name and the data of START; None is ``nil``.

        Raises:
            AuthError: the mechanism has nothing to begin with, or this is not the time.
        """
        self._enter(_State.NEW)
        data = self._checked(self._mechanism.start())
        self._state = _State.RUNNING
        return self.name, data

    def receive(self, complete: bool, data: bytes | None) -> bytes | None:
        """Take the reply to START or STEP, and give the data of the next STEP.

        Args:
            complete: whether the server is satisfied.
            data: None is ``nil``.

        Returns:
            What to send, where None is ``nil``. If ``is_complete`` now, nothing is sent.

        Raises:
            AuthError: the server is not who it should be, breaks the rules of the mechanism,
                says that it is satisfied before it has proved itself, or protects too little.
        """
        self._enter(_State.RUNNING)
        self._rounds += 1
        if self._rounds > ROUNDS_MAX:
            raise AuthError(f"SASL {self.name}: the server asks for more than {ROUNDS_MAX} steps")
        answer = self._answer(complete, self._checked(data))
        if complete:
            self._finish(answer)
        else:
            self._state = _State.RUNNING
        return answer

    def _answer(self, complete: bool, data: bytes | None) -> bytes | None:
        """Also a server that is satisfied has data for a client that is not."""
        if not self._mechanism.is_complete:
            return self._checked(self._mechanism.step(data))
        if data or not complete:
            raise AuthError(f"SASL {self.name}: the server goes on after the end")
        return None

    def _finish(self, answer: bytes | None) -> None:
        if answer or not self._mechanism.is_complete:
            raise AuthError(f"SASL {self.name}: the server ends before it has proved who it is")
        check_layer(self._mechanism.layer, secure=self._secure)
        self._state = _State.COMPLETE

    def _enter(self, expected: _State) -> None:
        """What begins here has failed until it has not."""
        state, self._state = self._state, _State.FAILED
        if state is not expected:
            raise AuthError(
                f"SASL {self.name}: this step is for a {expected.value} exchange, not a {state.value} one"
            )

    def _checked(self, data: bytes | None) -> bytes | None:
        if data is not None and len(data) > DATA_MAX:
            raise AuthError(
                f"SASL {self.name}: expected {DATA_MAX} bytes or fewer, got {len(data)}"
            )
        return data
