"""Replaying ``wire_cases`` over a socket, against whoever answers there."""

from __future__ import annotations

import re
import socket
import struct

from wire_cases import METHODS, PAYLOAD, Case, Failure, Reply, answer, header_of, packet

from libvirt_rpc.libvirt_common.types import VirErrorLevel
from libvirt_rpc.virnetprotocol.constants import VIR_NET_MESSAGE_LEN_MAX
from libvirt_rpc.virnetprotocol.decoder import decode_vir_net_message_error

DEADLINE = 30.0
"""Seconds for one answer: a thousand times what it takes, for machines with much else to do."""

PROBES = [packet(serial=1_000_000 + number) for number in range(5)]
"""Calls that every server answers: the connection lives. Workers may overtake each other, so one call after another
is made, by which a reply too many has time to come in between."""


def replay(connection: socket.socket, case: Case, piece: int = 0) -> None:
    """Assert that what answers behaves as the case says.

    Args:
        connection: a fresh one, of any transport.
        piece: how many bytes are sent at a time; 0: all at once.
    """
    connection.settimeout(DEADLINE)
    for call in case.before:
        exchange(connection, call, answer(call, b""))
    try:
        send(connection, case.sent, piece)
    except ConnectionError:
        if not case.closes:
            raise
    if case.reply:
        receive(connection, case.reply)
    if case.closes:
        assert ended(connection), "expected the end, got more"
        return
    for probe in PROBES:
        exchange(connection, probe, answer(probe, METHODS))


def exchange(connection: socket.socket, sent: bytes, reply: Reply) -> None:
    """Assert that the next packet is the reply to this one."""
    send(connection, sent)
    receive(connection, reply)


def send(connection: socket.socket, data: bytes, piece: int = 0) -> None:
    """Send all of it, in pieces."""
    step = piece or len(data)
    for start in range(0, len(data), step):
        connection.sendall(data[start : start + step])


def receive(connection: socket.socket, reply: Reply) -> None:
    """Assert that the next packet is this one."""
    data = read_packet(connection)
    header, payload = header_of(data), data[PAYLOAD:]
    assert header == reply.header, f"expected {reply.header}, got {header} with {payload!r}"
    if isinstance(reply.payload, Failure):
        fails(payload, reply.payload)
    else:
        assert payload == reply.payload, f"expected {reply.payload!r}, got {payload!r}"


def fails(payload: bytes, wanted: Failure) -> None:
    """Assert that a payload is this error."""
    error = decode_vir_net_message_error(payload)
    numbers = (wanted.code, wanted.domain, VirErrorLevel.VIR_ERR_ERROR)
    assert (error.code, error.domain, error.level) == numbers, f"expected {wanted}, got {error}"
    assert re.match(wanted.message, error.message or ""), f"expected {wanted}, got {error}"


def read_packet(connection: socket.socket) -> bytes:
    """The next packet, with its length word.

    Raises:
        EOFError: the connection ended.
    """
    prefix = read_exactly(connection, VIR_NET_MESSAGE_LEN_MAX)
    (length,) = struct.unpack(">I", prefix)
    return prefix + read_exactly(connection, length - len(prefix))


def read_exactly(connection: socket.socket, length: int) -> bytes:
    """So many bytes, or EOFError."""
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise EOFError(f"expected {length} bytes, got {len(data)} and the end")
        data += more
    return data


def ended(connection: socket.socket) -> bool:
    """Whether nothing more comes. Bytes that the other side left unread make its close a reset."""
    try:
        return not connection.recv(1)
    except ConnectionResetError:
        return True
