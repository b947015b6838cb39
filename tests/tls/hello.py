"""The first message of a client, and the suites that it offers (RFC 5246, 7.4.1.2)."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rpcgen.runtime.tls.priority import Priority

RECORD = 5
HANDSHAKE = 4
RANDOM = 34
"""Bytes before what is sought: two headers, then version and random number."""

RENEGOTIATION = "00ff"
"""No suite, but the sign of secure renegotiation (RFC 5746)."""


def offered(priority: Priority) -> list[str]:
    """The numbers of the suites, hexadecimal, in the client's order."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version, context.maximum_version = priority.minimum, priority.maximum
    context.set_ciphers(priority.ciphers)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    data = outgoing.read()[RECORD + HANDSHAKE + RANDOM :]
    data = data[1 + data[0] :]  # the session
    suites = data[2 : 2 + int.from_bytes(data[:2], "big")]
    numbers = [suites[at : at + 2].hex() for at in range(0, len(suites), 2)]
    return [one for one in numbers if one != RENEGOTIATION]
