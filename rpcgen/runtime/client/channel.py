"""Bytes between a connection's core and its stream, for the sync client: nothing waits here.

One thread at a time is in here, since the buck's lock is held around every call. Who that is, and
what becomes of what came, is decided elsewhere.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from libvirt_rpc.libvirt_common.types import VirConnectCloseReason
from rpcgen.runtime.errors import ConnectionClosed, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rpcgen.runtime.client_connection import ClientConnection, Event
    from rpcgen.runtime.interfaces import ByteStream

_ERROR: Final = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_ERROR
_EOF: Final = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_EOF
_KEEPALIVE: Final = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_KEEPALIVE
_CLIENT: Final = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_CLIENT


class Channel:
    """Carries one connection.

    Attributes:
        core: the connection.
        stream: what its bytes go through.
        takes_fds: whether descriptors may come: looking for them costs more.
        is_closing: this side wants the end, whatever else is seen of it.

    Args:
        hand_out: takes what comes: a call that is done, a stream to which something happened, the
            packet of an event.
        end: is told once, when the connection is closed.
    """

    def __init__(
        self,
        core: ClientConnection,
        stream: ByteStream,
        hand_out: Callable[[Event], object],
        end: Callable[[ConnectionClosed], object],
    ) -> None:
        self.core = core
        self.stream = stream
        self.takes_fds = False
        self.is_closing = False
        self._hand_out = hand_out
        self._end = end
        self._has_ended = False

    @property
    def is_full(self) -> bool:
        """Whether so much of a stream waits for its reader that nothing more should be read."""
        window = self.core.limits.stream_window
        return any(stream.queued > window for stream in self.core.streams.values())

    def send(self) -> None:
        """Send what the socket takes now."""
        try:
            self._send()
        except ConnectionClosed as error:
            self.core.stray_fds += self.core.outbox.release_fds()
            while self.core.closed is None and self.receive():
                pass  # what the server said before it went still counts
            self._lost(error)

    def receive(self) -> bool:
        """Receive once, and hand out what came; False if nothing was there."""
        core = self.core
        fds: list[int] = []
        try:
            if self.takes_fds:
                count, fds = self.stream.receive_with_fds(core.reader.space())
            else:
                count = self.stream.receive(core.reader.space())
            if not count:
                return count is not None and self._ended()
            core.received(count, fds, time.monotonic() if core.keepalive else 0.0)
            while (event := core.next_event()) is not None:
                self._hand_out(event)
        except ConnectionClosed as error:
            self._lost(error)
        except RemoteProtocolError as error:
            self.fail(str(error), cause=error)
        if core.stray_fds:
            close_fds(core.stray_fds)
        if core.outbox:
            self.send()
        return True

    def tick(self) -> float | None:
        """Do what keepalive demands; returns seconds after which it demands more."""
        core, keepalive = self.core, self.core.keepalive
        if keepalive is None or core.closed is not None:
            return None
        now = time.monotonic()
        if self.is_full:
            # The silence is ours. The question still tells the server that this side is alive.
            keepalive.alive(now - keepalive.interval)
        if not core.tick(now):
            silence = keepalive.interval * (keepalive.count + 1)
            self.fail(f"no sign of life from the server for {silence:g} seconds", _KEEPALIVE)
        self.send()
        return max(keepalive.deadline - now, 0.0)

    def fail(self, message: str, reason: int = _ERROR, cause: BaseException | None = None) -> None:
        """Close the connection; everything that is under way fails with the reason."""
        core = self.core
        if self._has_ended:
            return
        if self.is_closing:
            message, reason = "the connection was closed by this side", _CLIENT
        if core.close(message, reason) and core.closed is not None:
            core.closed.__cause__ = cause
        core.fail_all()
        close_fds(core.stray_fds)
        self.stream.shutdown()
        assert core.closed is not None  # noqa: S101  (it was closed just now)
        self._end(core.closed)
        # Last: what a signal handler interrupts before is done again.
        self._has_ended = True

    def _send(self) -> None:
        outbox, stream = self.core.outbox, self.stream
        while outbox:
            fd = outbox.fd
            if fd is None:
                if not outbox.sent(stream.send(outbox.batch())):
                    return
            elif stream.send_fd(fd):
                os.close(outbox.sent_fd())
            else:
                return

    def _ended(self) -> bool:
        where = "" if self.core.reader.is_between_packets else " in the midst of a packet"
        self.fail(f"the server closed the connection{where}", _EOF)
        return True

    def _lost(self, error: ConnectionClosed) -> None:
        self.fail(str(error), error.reason, error)


def close_fds(fds: list[int]) -> None:
    """Close descriptors, and forget them."""
    while fds:
        os.close(fds.pop())
