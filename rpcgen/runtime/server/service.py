"""One listening socket in the event loop: accepting, and not accepting."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Final

from rpcgen.runtime import limits
from rpcgen.runtime.server.saved import SavedSocket
from rpcgen.runtime.transport.stream import SocketStream

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from rpcgen.runtime.interfaces import ByteStream
    from rpcgen.runtime.server.loop import Loop
    from rpcgen.runtime.transport.listen import Listener

_logger = logging.getLogger(__name__)

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_AT_ONCE: Final = 32
"""Connections accepted before others have their turn."""


class Service:
    """Accepts connections while it may.

    Args:
        accepted: called with each connection; it may disable the service.
    """

    def __init__(
        self, listener: Listener, loop: Loop, accepted: Callable[[ByteStream], object]
    ) -> None:
        self.listener = listener
        self._loop = loop.asyncio
        self._accepted = accepted
        self._is_wanted = False
        self._is_watched = False
        self._timer: asyncio.TimerHandle | None = None

    def enable(self, wanted: bool) -> None:
        """Accept connections, or leave them in the system's queue."""
        self._is_wanted = wanted
        watch = wanted and self._timer is None
        if watch and not self._is_watched:
            self._loop.add_reader(self.listener.socket, self._readable)
        elif self._is_watched and not watch:
            self._loop.remove_reader(self.listener.socket)
        self._is_watched = watch

    @property
    def can_move(self) -> bool:
        """Whether another process would serve it the same way: what is saved does not tell of TLS."""
        return self.listener.address.kind != "tls"

    def close(self) -> None:
        """Stop listening."""
        self._let_go()
        self.listener.close()

    def release(self) -> SavedSocket:
        """Leave the socket, and who waits at it, to another process."""
        self._let_go()
        unlinks = self.listener.unlinks
        return SavedSocket(self.listener.detach(), is_client=False, unlink_unix=unlinks)

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.enable(False)

    def _readable(self) -> None:
        for _ in range(_AT_ONCE):
            if not self._is_watched:
                return
            try:
                connected, _ = self.listener.socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                self._failed(error)
                return
            self._take(SocketStream(connected))

    def _take(self, stream: ByteStream) -> None:
        try:
            self._accepted(stream)
        except Exception:
            # A mistake of ours costs one client, not the server.
            _logger.exception("%s: a client is turned away", self.listener.address)
            stream.close()

    def _failed(self, error: OSError) -> None:
        _logger.error("%s: cannot accept: %s", self.listener.address, error.strerror)
        if error.errno in _EXHAUSTED:
            self._timer = self._loop.call_later(limits.ACCEPT_PAUSE, self._recover)
            self.enable(self._is_wanted)

    def _recover(self) -> None:
        self._timer = None
        self.enable(self._is_wanted)
