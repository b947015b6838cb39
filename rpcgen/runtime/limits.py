"""Every limit of the runtime, named, with its reason."""

from __future__ import annotations

MAX_DEPTH = 64
"""How often a value may contain another of a type that can contain itself.

The slow codec takes about eight frames of the interpreter for a level, and a caller may
already be a few hundred deep: 64 levels stay clear of CPython's limit of 1,000 frames.
Linked lists do not count: they are coded as loops.
"""

MAX_UNCHECKED_LINKS = 1_000_000
"""Links of a chain that are encoded before it is checked for a loop.

A chain that leads back into itself would otherwise be encoded until memory is gone.
"""

MAX_EMPTY_ELEMENTS = 65_536
"""How many elements of zero bytes an array may announce.

The bytes that are left bound every other count. An element that takes no bytes would let
four bytes of input ask for four thousand million objects.
"""

SHORT = 256
"""Items of variable length shorter than this have a precompiled layout for each length.

Names, paths and small blobs are below it, and one byte of the length word then tells the
layout. 256 slots of one pointer are 2 KiB for each shape of record.
"""

MESSAGE_MAX = 33_554_432
"""Bytes of header and payload of one packet (VIR_NET_MESSAGE_MAX): what libvirt's peers take."""

FDS_MAX = 32
"""Descriptors with one packet (VIR_NET_MESSAGE_NUM_FDS_MAX)."""

STREAM_PACKET_MAX = 262_120
"""Bytes of stream data in one packet (VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX): old peers take no more."""

STREAM_WINDOW = 2_097_152
"""Bytes of a stream that wait for their reader before the connection is no longer read.

The protocol has no window: reading on, or not reading at all, is the only choice. Eight packets
keep a fast reader busy while the connection is paused and resumed.
"""

STREAM_OVERFLOW = 67_108_864
"""Bytes of a stream that wait for their reader before the stream is given up.

A client that waits for the reply of another call has to read on, past the window: the reply is
behind the data. Two packets of the largest size may come in that time; then somebody has
forgotten the stream.
"""

OUTBOX_HIGH = 1_048_576
"""Bytes queued for a peer at which those who produce them wait: four packets of a stream."""

OUTBOX_MAX = 67_108_864
"""Bytes queued for a client that does not read before it is disconnected.

Replies stop with the limit of requests and streams at ``OUTBOX_HIGH``; what can grow to this is
events, which nobody waits for. Twice the largest packet.
"""

EVENTS_MAX = 16_384
"""Events that wait for one subscriber before the oldest are dropped.

Nobody can be asked to send fewer. One read brings up to two thousand small ones, before anybody
has had the time to take the first.
"""

EVENT_BYTES_MAX = 67_108_864
"""Bytes of events that wait for one subscriber before the oldest are dropped.

Twice the largest packet, as what a server keeps for a client that does not read. An event that
waits alone may be of any size.
"""

STREAMS_MAX = 64
"""Streams that one client may have open at the same time.

Each costs its handler a task, or a thread, of which it leaves three quarters to others; libvirt's own
clients rarely have more than one.
"""

STREAM_THREADS_MAX = 256
"""Plain handlers of streams that run at the same time, each on a thread of its own.

A stream may stay open for ever and would keep a worker from everybody's calls. Calls above this
wait for a thread, each with its client's request. Handlers that are ``async`` need none.
"""

HANDSHAKES_MAX = 256
"""Handshakes of TLS under way on a server before the one that has waited longest gives way.

Who only connects and says nothing gives way first, so that a flood of those keeps nobody out. Each
costs a descriptor, of which a process has 1,024 by default, and some 40 KiB.
"""

HANDSHAKE_TIMEOUT = 10.0
"""Seconds in which a client shakes hands with a server: three round trips, at the ends of the earth."""

AUTH_TIMEOUT: float | None = 60.0
"""Seconds in which a client proves who it is, or makes room for others; None or 0 for no end.

Those who have not are few at a time (``max_anonymous_clients``): as many that only connect would
keep out everybody else.
"""

AUTH_PATIENCE = 4
"""How many times ``AUTH_TIMEOUT`` a client has whose call this side has not answered by then.

Polkit may ask a person, who has two minutes; but one question after another is no excuse.
"""

AUTH_MESSAGE_MAX = 524_288
"""Bytes of a packet of a client that has not proved who it is: memory is for those who have.

START and STEP of SASL take 64 Ki characters of four bytes each (REMOTE_AUTH_SASL_DATA_MAX).
"""

ACCEPT_PAUSE = 5.0
"""Seconds without accepting when the process is out of descriptors (libvirt's EMFILE timer)."""

STOP_TIMEOUT = 30.0
"""Seconds in which a server that stops answers what it has accepted (libvirt's finish timer)."""

HAND_OVER_TIMEOUT = 10.0
"""Seconds in which a server that hands over waits for calls and streams that are under way.

Clients wait that long at the most: systemd gives a service that reloads 90 seconds.
"""

RECEIVE_MIN = 4_096
"""Bytes of a connection's buffer while it does little: there may be thousands that do nothing."""

RECEIVE_SIZE = 65_536
"""Bytes of the buffer of a busy connection. It grows beyond that, doubled with what has come, for
packets that do not fit, and is given back when no stream is open: what a peer announces is not yet
worth memory.
"""

SEND_BUFFER = 1_048_576
"""Bytes that the system is asked to keep of a stream on a UNIX socket until the peer reads them.

It keeps 208 KiB of its own accord, which is less than a packet: sender and receiver would wait for
each other several times in each. It may allow less than this.
"""

SERIAL_MAX = 0xFFFF_FFFF
"""The serial after which comes 0."""


class Limits:
    """What one side of a connection accepts and sends, where the default does not do.

    Attributes:
        message: bytes of header and payload of a packet, in and out.
        fds: descriptors with a packet.
        stream_packet: bytes of stream data in a packet that is sent.
        stream_window: bytes of a stream that wait for their reader before reading stops.
        stream_overflow: the same before the stream is given up.
        outbox: bytes queued for a peer that does not read before it is disconnected.
        events: events that wait for one subscriber before the oldest are dropped.
        event_bytes: the same in bytes of their packets; the newest always has room.
    """

    __slots__ = (
        "event_bytes",
        "events",
        "fds",
        "message",
        "outbox",
        "stream_overflow",
        "stream_packet",
        "stream_window",
    )

    def __init__(
        self,
        *,
        message: int = MESSAGE_MAX,
        fds: int = FDS_MAX,
        stream_packet: int = STREAM_PACKET_MAX,
        stream_window: int = STREAM_WINDOW,
        stream_overflow: int = STREAM_OVERFLOW,
        outbox: int = OUTBOX_MAX,
        events: int = EVENTS_MAX,
        event_bytes: int = EVENT_BYTES_MAX,
    ) -> None:
        self.message = message
        self.fds = fds
        self.stream_packet = stream_packet
        self.stream_window = stream_window
        self.stream_overflow = stream_overflow
        self.outbox = outbox
        self.events = events
        self.event_bytes = event_bytes
        for name in self.__slots__:
            if getattr(self, name) < (0 if name == "fds" else 1):
                raise ValueError(f"limit {name}: expected a positive number")
        if message > 0xFFFF_FFFF - 4:
            raise ValueError(f"limit message: {message} does not fit a length word")
        if stream_packet > message - 24:
            raise ValueError(f"limit stream_packet: {stream_packet} does not fit a packet")
