"""Somebody on the way who carries bytes on and writes them down, with the place where each direction was.

It stands for whoever can read along: what is secret must not be in its notes.
"""

from __future__ import annotations

import selectors
import socket
import threading
from types import TracebackType
from typing import Self


class Wiretap:
    """A port of loopback behind which another one is.

    Attributes:
        port: where to connect to.
        notes: what passed, in order: True for bytes from the client, and the bytes.
    """

    def __init__(self, target: int) -> None:
        self.notes: list[tuple[bool, bytes]] = []
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._over, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._run)

    @property
    def sent(self) -> bytes:
        """All bytes of clients."""
        return b"".join(data for is_client, data in self.notes if is_client)

    @property
    def received(self) -> bytes:
        """All bytes of the server."""
        return b"".join(data for is_client, data in self.notes if not is_client)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end.close()
        self._thread.join()
        self._over.close()
        self._listening.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._listening, selectors.EVENT_READ)
            ready.register(self._over, selectors.EVENT_READ)
            others: dict[socket.socket, tuple[bool, socket.socket]] = {}
            while True:
                for key, _ in ready.select():
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    if source is self._over:
                        for one in others:
                            one.close()
                        return
                    if source is self._listening:
                        client, _ = source.accept()
                        server = socket.create_connection(("127.0.0.1", self._target))
                        others |= {client: (True, server), server: (False, client)}
                        for one in (client, server):
                            ready.register(one, selectors.EVENT_READ)
                    elif source in others:
                        self._carry(source, others, ready)

    def _carry(
        self,
        source: socket.socket,
        others: dict[socket.socket, tuple[bool, socket.socket]],
        ready: selectors.BaseSelector,
    ) -> None:
        is_client, target = others[source]
        try:
            data = source.recv(65536)
            self.notes.append((is_client, data))
            target.sendall(data)
        except OSError:
            data = b""
        if not data:
            for one in (source, target):
                del others[one]
                ready.unregister(one)
                one.close()
