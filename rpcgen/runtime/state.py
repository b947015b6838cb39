"""What may follow what on connections and streams, as tables.

A pair that is not in a table is against the rules. Who broke them, and what comes of it, is
decided by who asks.
"""

from __future__ import annotations

from enum import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, TypeAlias


class ConnectionState(Enum):
    """How far a connection has come."""

    OPEN = "open"
    DRAINING = "closing once everything is written"
    CLOSED = "closed"


class ConnectionInput(Enum):
    """What happens to a connection as a whole."""

    DRAIN = "close once everything is written"
    CLOSE = "close"


CONNECTION: Final[dict[ConnectionState, dict[ConnectionInput, ConnectionState]]] = {
    ConnectionState.OPEN: {
        ConnectionInput.DRAIN: ConnectionState.DRAINING,
        ConnectionInput.CLOSE: ConnectionState.CLOSED,
    },
    ConnectionState.DRAINING: {
        ConnectionInput.DRAIN: ConnectionState.DRAINING,
        ConnectionInput.CLOSE: ConnectionState.CLOSED,
    },
    ConnectionState.CLOSED: {},
}


class StreamState(Enum):
    """How far a stream has come; the words fit behind "the stream is"."""

    OPENING = "not open yet"
    DOOMED = "given up before it was open"
    OPEN = "open"
    FINISHING = "finishing"
    ABORTING = "being aborted"
    FINISHED = "finished"
    ABORTED = "aborted"
    FAILED = "broken"


class StreamInput(Enum):
    """What is sent or received on a stream, and what becomes of the call that opens it."""

    ACCEPT = "a reply to the call"
    REFUSE = "an error in reply to the call"
    FORGET = "nobody waits for the reply to the call any more"
    SEND = "data or a hole to send"
    SEND_END = "the end of data to send"
    SEND_OK = "a packet with status ok to send"
    SEND_ERROR = "a packet with status error to send"
    RECEIVE = "data or a hole"
    RECEIVE_END = "the end of data"
    RECEIVE_OK = "a packet with status ok"
    RECEIVE_ERROR = "a packet with status error"


_S, _I = StreamState, StreamInput

StreamTable: TypeAlias = dict[StreamState, dict[StreamInput, StreamState]]

OVER: Final = frozenset({_S.FINISHED, _S.ABORTED, _S.FAILED})
"""States that nothing leads out of: the serial is free again."""

CLIENT_STREAM: Final[StreamTable] = {
    # Data may overtake the reply.
    _S.OPENING: {
        _I.ACCEPT: _S.OPEN,
        _I.REFUSE: _S.FAILED,
        _I.FORGET: _S.DOOMED,
        _I.RECEIVE: _S.OPENING,
        _I.RECEIVE_END: _S.OPENING,
        _I.RECEIVE_ERROR: _S.FAILED,
    },
    # The call or its stream was given up, and it may open all the same: then it is aborted.
    _S.DOOMED: {
        _I.ACCEPT: _S.ABORTING,
        _I.REFUSE: _S.FAILED,
        _I.FORGET: _S.DOOMED,
        _I.RECEIVE: _S.DOOMED,
        _I.RECEIVE_END: _S.DOOMED,
        _I.RECEIVE_ERROR: _S.FAILED,
    },
    _S.OPEN: {
        _I.SEND: _S.OPEN,
        _I.SEND_END: _S.OPEN,
        _I.SEND_OK: _S.FINISHING,
        _I.SEND_ERROR: _S.ABORTING,
        _I.RECEIVE: _S.OPEN,
        _I.RECEIVE_END: _S.OPEN,
        _I.RECEIVE_ERROR: _S.FAILED,
    },
    # What the server sent before it knew is still on its way.
    _S.FINISHING: {
        _I.SEND_ERROR: _S.ABORTING,
        _I.RECEIVE: _S.FINISHING,
        _I.RECEIVE_END: _S.FINISHING,
        _I.RECEIVE_OK: _S.FINISHED,
        _I.RECEIVE_ERROR: _S.FAILED,
    },
    _S.ABORTING: {
        _I.RECEIVE: _S.ABORTING,
        _I.RECEIVE_END: _S.ABORTING,
        _I.RECEIVE_OK: _S.ABORTED,
        _I.RECEIVE_ERROR: _S.ABORTED,
    },
    # A server that does not wait for the call's reply may have broken the stream by then.
    _S.FAILED: {_I.ACCEPT: _S.FAILED, _I.REFUSE: _S.FAILED, _I.FORGET: _S.FAILED},
    _S.FINISHED: {},
    _S.ABORTED: {},
}

SERVER_STREAM: Final[StreamTable] = {
    _S.OPENING: {
        _I.ACCEPT: _S.OPEN,
        _I.REFUSE: _S.FAILED,
        _I.RECEIVE: _S.OPENING,
        _I.RECEIVE_END: _S.OPENING,
        _I.RECEIVE_OK: _S.FINISHING,
        _I.RECEIVE_ERROR: _S.ABORTED,
    },
    _S.OPEN: {
        _I.SEND: _S.OPEN,
        _I.SEND_END: _S.OPEN,
        _I.SEND_ERROR: _S.FAILED,
        _I.RECEIVE: _S.OPEN,
        _I.RECEIVE_END: _S.OPEN,
        _I.RECEIVE_OK: _S.FINISHING,
        _I.RECEIVE_ERROR: _S.ABORTED,
    },
    # The client is done; the handler may not be.
    _S.FINISHING: {
        _I.ACCEPT: _S.FINISHING,
        _I.REFUSE: _S.FAILED,
        _I.SEND: _S.FINISHING,
        _I.SEND_END: _S.FINISHING,
        _I.SEND_OK: _S.FINISHED,
        _I.SEND_ERROR: _S.FAILED,
        _I.RECEIVE_ERROR: _S.ABORTED,
    },
    # The call itself is answered even if its stream is gone.
    _S.ABORTED: {_I.ACCEPT: _S.ABORTED, _I.REFUSE: _S.ABORTED},
    _S.FAILED: {_I.ACCEPT: _S.FAILED, _I.REFUSE: _S.FAILED},
    _S.FINISHED: {},
}
