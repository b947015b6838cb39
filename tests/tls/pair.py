"""Two sides of TLS over one socket pair, without threads: each goes on as far as the other lets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rpcgen.runtime.errors import ConnectionClosed, TlsError
from rpcgen.runtime.tls.context import ClientTls, ServerTls
from rpcgen.runtime.tls.handshake import Handshake, Want
from rpcgen.runtime.tls.stream import TlsStream
from rpcgen.runtime.transport.dial import pair

STEPS = 1000
"""More than any handshake takes."""


class Outcome(NamedTuple):
    """What came of a handshake, for each side: its stream, or what was wrong."""

    server: TlsStream | TlsError
    client: TlsStream | TlsError


@contextmanager
def shaken(server: ServerTls, client: ClientTls, host: str = "localhost") -> Iterator[Outcome]:
    """Both sides after their handshake."""
    ours, theirs = pair()
    sides = [server.handshake(ours), client.handshake(theirs, host)]
    try:
        yield Outcome(*drive(sides))
    finally:
        for one in sides:
            one.below.close()


def drive(sides: list[Handshake]) -> list[TlsStream | TlsError]:
    """Step in turn until nobody wants anything; who fails closes, as a peer does."""
    results: dict[int, TlsStream | TlsError] = {}
    for _ in range(STEPS):
        for number, side in enumerate(sides):
            if number in results:
                continue
            try:
                if side.step() is Want.NOTHING:
                    results[number] = side.result
            except (TlsError, ConnectionClosed) as error:
                results[number] = TlsError(str(error))
                side.below.close()
        if len(results) == len(sides):
            return [results[number] for number in range(len(sides))]
    raise AssertionError(f"the handshake does not end: {results}")


@contextmanager
def connected(server: ServerTls, client: ClientTls) -> Iterator[tuple[TlsStream, TlsStream]]:
    """The two streams of a handshake that must work."""
    with shaken(server, client) as (ours, theirs):
        assert isinstance(ours, TlsStream), ours
        assert isinstance(theirs, TlsStream), theirs
        yield ours, theirs
        for one in (ours, theirs):
            if one.fileno() >= 0:
                one.close()
