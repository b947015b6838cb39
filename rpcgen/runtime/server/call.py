"""A call, as its handler sees it."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from rpcgen.runtime.errors import LocalProtocolError, XdrEncodeError
from rpcgen.runtime.server.answers import owned
from rpcgen.runtime.server.upload import Upload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from rpcgen.runtime.message import RemoteError
    from rpcgen.runtime.program import Procedure
    from rpcgen.runtime.server.channel import Channel
    from rpcgen.runtime.server.loop import Loop
    from rpcgen.runtime.server.session import Session
    from rpcgen.runtime.server_connection import IncomingCall
    from rpcgen.runtime.stubs import EventTarget


class HandledCall:
    """A call that has reached its handler; see ``stubs.Call``.

    Attributes:
        session: the client who called.
        incoming: the call as the core has it.
    """

    __slots__ = ("incoming", "session")

    def __init__(self, session: Session, incoming: IncomingCall) -> None:
        self.session = session
        self.incoming = incoming

    @property
    def procedure(self) -> Procedure[Any, Any]:
        """What was called."""
        return self.incoming.route.procedure

    @property
    def everyone(self) -> EventTarget:
        """All clients of the server, for events to them."""
        return self.session.everyone

    @property
    def fds(self) -> Sequence[int]:
        """Descriptors that came with the call: closed when the handler is done."""
        return self.incoming.fds

    def may(self, permission: str, /) -> bool:
        """Whether the server's policy lets the client do something, such as ``domain:getattr``."""
        guard = getattr(self.incoming.route, "guard", None)
        if guard is None:
            return True
        is_allowed: bool = guard.may(self.session.identity, permission, self.procedure)
        return is_allowed


class StreamingCall(HandledCall):
    """A call that opens a stream; see ``stubs.StreamCall``.

    Attributes:
        channel: the way to the stream.
        stream: what the client sends on it.
        is_answered: whether the call's reply is on its way.
        refused: what was wrong with a reply that the handler gave.
    """

    __slots__ = ("_lock", "_loop", "channel", "is_answered", "refused", "stream")

    def __init__(
        self, session: Session, incoming: IncomingCall, channel: Channel, loop: Loop
    ) -> None:
        super().__init__(session, incoming)
        self.channel = channel
        self.stream = Upload(self)
        self.is_answered = False
        self.refused: XdrEncodeError | None = None
        self._loop = loop
        self._lock = threading.Lock()  # who reads and who sends may both answer

    def reply(self, value: Any) -> None:
        """Answer the call itself; the stream goes on.

        Raises:
            XdrEncodeError: the value is not what the procedure returns.
            LocalProtocolError: it is answered already.
            OSError, TypeError: descriptors that are none.
        """
        if not self._reply(value):
            raise LocalProtocolError("the call is answered already")

    def begin(self) -> None:
        """Answer without words, unless it is answered."""
        if not self.is_answered:
            self._reply(None)

    def refuse(self, error: RemoteError) -> None:
        """Answer with an error; on the loop, when the handler has ended."""
        self.is_answered = True
        self.session.answer(self.incoming, error)

    def _reply(self, value: Any) -> bool:
        try:
            payload, fds = self.incoming.route.answer(value)
        except XdrEncodeError as error:
            self.refused = error
            raise
        with self._lock:
            if self.is_answered:
                return False
            answer = payload, owned(fds, self.incoming.fds)
            self.is_answered = True
        self._loop.do(partial(self.session.answer, self.incoming, answer))
        return True
