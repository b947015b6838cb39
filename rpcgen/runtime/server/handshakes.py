"""Handshakes of TLS on the server's loop, until each has become a client or has failed.

Nobody has proved anything yet: they have a bound and a time-out of their own, and do not count as
clients. What TLS is and whom it accepts is known to ``rpcgen.runtime.tls``.
"""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING

from rpcgen.runtime import limits
from rpcgen.runtime.errors import ConnectionClosed, TlsError
from rpcgen.runtime.tls.handshake import Want

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from rpcgen.runtime.interfaces import ByteStream
    from rpcgen.runtime.tls.context import ServerTls
    from rpcgen.runtime.tls.handshake import Handshake

_logger = logging.getLogger(__name__)


class Handshakes:
    """Those that are under way.

    Args:
        done: takes each stream on which a client has been accepted.
    """

    def __init__(
        self,
        tls: ServerTls,
        loop: asyncio.AbstractEventLoop,
        done: Callable[[ByteStream], object],
    ) -> None:
        self._tls = tls
        self._loop = loop
        self._done = done
        self._all: dict[_Underway, None] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._all)

    def begin(self, stream: ByteStream) -> None:
        """Shake hands with a client; who has waited longest gives way if there are too many."""
        if len(self._all) >= limits.HANDSHAKES_MAX:
            self._fail(self._least(), "too many handshakes are under way")
        stream.identity  # noqa: B018  (of who is gone the system does not know the address)
        one = _Underway(self._tls.handshake(stream))
        one.timer = self._loop.call_later(
            limits.HANDSHAKE_TIMEOUT,
            self._fail,
            one,
            f"no handshake within {limits.HANDSHAKE_TIMEOUT:g} seconds",
        )
        self._all[one] = None
        self._step(one)

    def close(self) -> None:
        """Break off all of them."""
        for one in list(self._all):
            self._forget(one)
            one.handshake.below.close()

    def _least(self) -> _Underway:
        # Who has just come has had no time to speak: it is not to pay for those who dawdle.
        older = islice(self._all, (len(self._all) + 1) // 2)
        silent = (one for one in older if not one.handshake.has_heard)
        return next(silent, next(iter(self._all)))

    def _step(self, one: _Underway) -> None:
        try:
            want = one.handshake.step()
        except (TlsError, ConnectionClosed) as error:
            self._fail(one, str(error))
            return
        except Exception:
            _logger.exception("a handshake is given up")
            self._fail(one, "internal error")
            return
        if want is Want.NOTHING:
            self._forget(one)
            self._done(one.handshake.result)
        elif want is not one.want:
            self._unwatch(one)
            one.want = want
            watch = self._loop.add_reader if want is Want.READ else self._loop.add_writer
            watch(one.fd, self._step, one)

    def _fail(self, one: _Underway, why: str) -> None:
        # The peer's words are in it: repr leaves no line of the log to them.
        _logger.warning("%s: %r", one.handshake.below.identity.address, why)
        self._forget(one)
        one.handshake.below.close()

    def _forget(self, one: _Underway) -> None:
        del self._all[one]
        self._unwatch(one)
        if one.timer is not None:
            one.timer.cancel()

    def _unwatch(self, one: _Underway) -> None:
        if one.want is Want.READ:
            self._loop.remove_reader(one.fd)
        elif one.want is Want.WRITE:
            self._loop.remove_writer(one.fd)


class _Underway:
    """A handshake, what it waits for, and until when."""

    __slots__ = ("fd", "handshake", "timer", "want")

    def __init__(self, handshake: Handshake) -> None:
        self.handshake = handshake
        self.fd = handshake.below.fileno()
        self.want = Want.NOTHING
        self.timer: asyncio.TimerHandle | None = None
