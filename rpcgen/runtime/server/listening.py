"""Where a server listens: at its own addresses and sockets, and at those that another one has left."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

from rpcgen.runtime.transport.listen import adopted, listen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rpcgen.runtime.server.saved import SavedServer, SavedSocket
    from rpcgen.runtime.server.settings import Settings
    from rpcgen.runtime.transport.address import Address
    from rpcgen.runtime.transport.listen import Listener


def is_tls(where: Address | socket.socket) -> bool:
    """Whether clients come with TLS; whoever binds a socket cannot ask for that."""
    return not isinstance(where, socket.socket) and where.kind == "tls"


def open_listeners(
    own: Sequence[Address | socket.socket], saved: SavedServer | None, settings: Settings
) -> list[Listener]:
    """Listen everywhere, or nowhere.

    Args:
        own: addresses, and sockets that others have bound.
        saved: takes the place of all of them but those of TLS, which are not saved. Each socket is
            taken out of it as soon as it is listened at.

    Raises:
        ConnectError: an address is taken, or a socket cannot listen.
    """
    found: list[Listener] = []
    with ExitStack() as failing:
        for listener in _own(own, settings) if saved is None else _left(own, saved, settings):
            failing.callback(listener.close)
            found.append(listener)
        failing.pop_all()
    return found


def _own(own: Sequence[Address | socket.socket], settings: Settings) -> Iterator[Listener]:
    for one in own:
        if isinstance(one, socket.socket):
            yield adopted(one, settings.max_queued_clients)
        else:
            yield from listen(one, settings.max_queued_clients, mode=settings.socket_mode)


def _left(
    own: Sequence[Address | socket.socket], saved: SavedServer, settings: Settings
) -> Iterator[Listener]:
    while saved.services:
        sockets = saved.services[0].sockets
        while sockets:
            yield _adopted(sockets.pop(0), settings)
        del saved.services[0]
    for one in own:
        if isinstance(one, socket.socket):
            one.close()
    yield from _own([one for one in own if is_tls(one)], settings)


def _adopted(saved: SavedSocket, settings: Settings) -> Listener:
    listening = socket.socket(fileno=saved.fd)
    try:
        return adopted(listening, settings.max_queued_clients, unlink=saved.unlink_unix)
    except BaseException:
        listening.close()
        raise
