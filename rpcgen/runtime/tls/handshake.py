"""From a connected stream to one inside TLS that both sides have agreed to.

The handshake, the look at the peer, and the one byte by which libvirt's servers confirm that they
have looked at the client. ``step`` does what can be done now; how one waits in between is the
business of ``secure``, ``secure_async`` and the server's loop.
"""

from __future__ import annotations

import select
import ssl
import time
from contextlib import suppress
from enum import Enum

from rpcgen.runtime.errors import ConnectionClosed, TlsError
from rpcgen.runtime.interfaces import Identity
from rpcgen.runtime.tls.alerts import explained
from rpcgen.runtime.tls.stream import TlsStream, why
from rpcgen.runtime.tls.wire import RECORD, Wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Final

    from rpcgen.runtime.interfaces import ByteStream

CONFIRMATION: Final = b"\1"
"""What a server says inside TLS before anything else, once it has accepted the client's certificate."""

_RECEIVED_MAX: Final = 1 << 18
"""Bytes of a handshake: sixteen certificates of libvirt's largest files fit nearly, floods do not."""


class Want(Enum):
    """What a handshake waits for."""

    READ = "bytes from the peer"
    WRITE = "room for bytes to the peer"
    NOTHING = "it is done"


class Handshake:
    """One side of a handshake in progress.

    Args:
        below: connected; it belongs to the stream that comes of it, and until then to the caller.
        context: what is accepted and shown.
        host: whom a client expects; None on the server's side.
        look: says whom the peer's certificate (DER, None without one) names.
        bits: of the cipher's key, at least.

    Attributes:
        below: as given.
    """

    __slots__ = ("_bits", "_do", "_look", "_name", "_ssl", "_wire", "below")

    def __init__(
        self,
        below: ByteStream,
        context: ssl.SSLContext,
        *,
        host: str | None,
        look: Callable[[bytes | None], str | None],
        bits: int = 0,
    ) -> None:
        self.below = below
        self._wire = Wire(below)
        self._ssl = context.wrap_bio(
            self._wire.incoming,
            self._wire.outgoing,
            server_side=host is None,
            server_hostname=host,
        )
        self._look = look
        self._bits = bits
        self._name: str | None = None
        # A function, no method: it would hold this object, and the memory of OpenSSL, in a cycle.
        self._do: Callable[[Handshake], bool] | None = Handshake._shake

    @property
    def has_heard(self) -> bool:
        """Whether anything came from the peer."""
        return self._wire.received > 0

    @property
    def result(self) -> TlsStream:
        """The stream inside TLS, after NOTHING is wanted any more."""
        below = self.below.identity
        identity = Identity(address=below.address, secure=True, distinguished_name=self._name)
        return TlsStream(self._wire, self._ssl, identity)

    def step(self) -> Want:
        """Go on as far as the peer lets.

        Raises:
            TlsError: there will be no connection; the peer has been told if it listens.
            ConnectionClosed: it is lost.
        """
        try:
            return self._go_on()
        except (
            OSError
        ) as error:  # ``SSLError`` is one; Python 3.13 has others where OpenSSL says nothing
            self._do = Handshake._fail
            with suppress(ConnectionClosed):
                self._wire.flush()  # the alert
            said = explained(why(error), is_client=not self._ssl.server_side)
            raise TlsError(f"TLS: {said}") from error
        except BaseException:
            self._do = Handshake._fail
            raise

    def _go_on(self) -> Want:
        while self._do is not None:
            if self._do(self):
                continue
            if not self._wire.flush():
                return Want.WRITE
            if not self._receive():
                return Want.READ
        return Want.NOTHING if self._wire.flush() else Want.WRITE

    def _receive(self) -> bool:
        count = self._wire.fetch()
        if count == 0:
            at = "before the server's confirmation" if self._ssl.version() else "in the handshake"
            raise TlsError(f"TLS: the peer closed the connection {at}")
        if self._wire.received > _RECEIVED_MAX:
            raise TlsError(f"TLS: a handshake of more than {_RECEIVED_MAX} bytes")
        return bool(count)

    # What is done one after the other; each says whether it could be.

    def _shake(self) -> bool:
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self._check_cipher()
        self._name = self._look(self._ssl.getpeercert(binary_form=True))
        is_server = self._ssl.server_side
        self._do = Handshake._confirm if is_server else Handshake._await_confirmation
        return True

    def _check_cipher(self) -> None:
        """Python's ssl cannot choose those of TLS 1.3, only refuse what comes of it."""
        name, _, bits = self._ssl.cipher() or ("none", "", 0)
        if bits < self._bits:
            raise TlsError(f"TLS: the cipher {name} has {bits} bits, expected {self._bits}")

    def _confirm(self) -> bool:
        self._ssl.write(CONFIRMATION)
        self._do = None
        return True

    def _await_confirmation(self) -> bool:
        try:
            said = self._ssl.read(RECORD)
        except ssl.SSLWantReadError:
            return False
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            said = b""
        if said != CONFIRMATION:
            got = f"{said[:8].hex()}..." if said else "the end"
            raise TlsError(f"TLS: expected the server's confirmation, 01, got {got}")
        self._do = None
        return True

    def _fail(self) -> bool:
        raise TlsError("TLS: the handshake has failed before")


def secure(handshake: Handshake, deadline: float | None) -> TlsStream:
    """Shake hands, and wait until that has happened.

    Args:
        deadline: on the monotonic clock; None waits as long as the connection lives.

    Raises:
        TlsError: it failed.
        TimeoutError: it took too long.
    """
    poll = select.poll()
    fd = handshake.below.fileno()
    while (want := _step(handshake)) is not Want.NOTHING:
        left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        poll.register(fd, select.POLLIN if want is Want.READ else select.POLLOUT)
        if not poll.poll(None if left is None else left * 1000) and left == 0:
            raise TimeoutError("no handshake in time")
    return handshake.result


async def secure_async(handshake: Handshake, loop: asyncio.AbstractEventLoop) -> TlsStream:
    """``secure`` without blocking the loop; to be limited in time by the caller."""
    fd = handshake.below.fileno()
    while (want := _step(handshake)) is not Want.NOTHING:
        ready = loop.create_future()
        add, remove = (
            (loop.add_reader, loop.remove_reader)
            if want is Want.READ
            else (loop.add_writer, loop.remove_writer)
        )
        add(fd, _set, ready)
        try:
            await ready
        finally:
            remove(fd)
    return handshake.result


def _step(handshake: Handshake) -> Want:
    """A lost connection is a handshake that failed, for who connects."""
    try:
        return handshake.step()
    except ConnectionClosed as error:
        raise TlsError(f"TLS: {error}") from error


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
