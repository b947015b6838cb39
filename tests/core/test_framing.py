"""Packets out of bytes: every boundary, every length, descriptors in their places."""

from __future__ import annotations

from itertools import pairwise

import pytest
from core.pairs import raw, splits
from hypothesis import given
from hypothesis import strategies as st

from libvirt_rpc.virnetprotocol.encoder import encode_vir_net_message_header
from libvirt_rpc.virnetprotocol.types import VirNetMessageHeader
from rpcgen.runtime.errors import RemoteProtocolError
from rpcgen.runtime.framing import FrameReader
from rpcgen.runtime.limits import RECEIVE_MIN, RECEIVE_SIZE, Limits
from rpcgen.runtime.message import CALL_WITH_FDS, Packet, head, packet

SMALL = Limits(message=1000, stream_packet=500)


def read(pieces: list[bytes], limits: Limits = SMALL) -> list[tuple[int, bytes]]:
    """Procedure number and payload of every packet, asked for after each piece."""
    reader = FrameReader(limits)
    found = []
    for piece in pieces:
        reader.receive(piece)
        found += [(one.header.proc, one.payload) for one in iter(reader.next_packet, None)]
    return found


def test_the_head_is_what_the_generated_encoder_writes() -> None:
    header = VirNetMessageHeader(0x20008086, 1, -3, 2, 0xFFFFFFFF, 1)
    expected = b"\0\0\0\x21" + encode_vir_net_message_header(header) + b"hello"
    assert packet(header, b"hello") == expected
    assert head(5, 0x20008086, 1, -3, 2, 0xFFFFFFFF, 1) + b"hello" == expected


def test_packets_are_found_however_their_bytes_arrive() -> None:
    data = raw(1, b"abcd") + raw(2) + raw(3, b"x" * 21)
    expected = [(1, b"abcd"), (2, b""), (3, b"x" * 21)]
    assert all(read(pieces) == expected for pieces in splits(data))


@given(st.lists(st.binary(max_size=200), max_size=8), st.lists(st.integers(0, 2000), max_size=12))
def test_packets_are_found_in_any_pieces(payloads: list[bytes], cuts: list[int]) -> None:
    data = b"".join(raw(number, payload) for number, payload in enumerate(payloads))
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = [data[start:end] for start, end in pairwise(places)]
    assert read(pieces) == list(enumerate(payloads))


@pytest.mark.parametrize("length", [0, 3, 4, 5, 27, 1005, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_length_out_of_range_is_refused_before_anything_is_kept(length: int) -> None:
    reader = FrameReader(SMALL)
    reader.receive(length.to_bytes(4, "big"))
    with pytest.raises(RemoteProtocolError, match=f"length {length} of a packet is not from 28"):
        reader.next_packet()


def test_the_packets_before_a_bad_length_are_not_lost() -> None:
    reader = FrameReader(SMALL)
    reader.receive(raw(1) + b"\0\0\0\1")
    first = reader.next_packet()
    assert first is not None
    assert first.header.proc == 1
    with pytest.raises(RemoteProtocolError):
        reader.next_packet()


def test_the_longest_packet_is_taken() -> None:
    assert read([raw(1, bytes(976))]) == [(1, bytes(976))]


def test_memory_grows_with_what_came_and_not_with_what_was_announced() -> None:
    reader = FrameReader(Limits())
    reader.receive((33554436).to_bytes(4, "big"))
    assert reader.next_packet() is None
    assert reader.capacity == RECEIVE_MIN
    came = 4
    while came < 33554436:
        count = min(len(reader.space()), 33554436 - came)
        assert 0 < count <= max(came, RECEIVE_MIN)
        reader.received(count)
        came += count
        assert reader.capacity <= 4 * came + RECEIVE_MIN
        packet = reader.next_packet()
    assert packet is not None
    assert len(packet.payload) == 33554436 - 28
    assert reader.is_between_packets
    reader.relax()
    assert reader.capacity == RECEIVE_SIZE


def test_a_busy_connection_gets_a_larger_buffer_and_an_idle_one_does_not() -> None:
    reader = FrameReader(Limits())
    for _ in range(100):
        reader.receive(raw(1))
        assert next_of(reader).header.proc == 1
    assert reader.capacity == RECEIVE_MIN
    for _ in range(10):
        reader.receive(raw(1) * 1000)
        assert len(list(iter(reader.next_packet, None))) == 1000
    assert RECEIVE_MIN < reader.capacity <= RECEIVE_SIZE
    reader.relax()
    assert reader.capacity <= RECEIVE_SIZE


def test_a_buffer_that_is_in_use_is_not_given_back() -> None:
    reader = FrameReader(Limits())
    data = raw(1, bytes(200_000))
    reader.receive(data + data[:100])
    assert len(next_of(reader).payload) == 200_000
    reader.relax()
    reader.receive(data[100:])
    assert len(next_of(reader).payload) == 200_000


@pytest.mark.parametrize("room", [1, 100, RECEIVE_MIN, 5000, RECEIVE_SIZE])
def test_there_is_always_as_much_room_as_was_asked_for(room: int) -> None:
    reader = FrameReader(Limits(), room=room)
    whole = b"".join(raw(1, bytes(size)) for size in (0, 10, 5000, 300_000, 3, 70_000, 0)) * 3
    found = 0
    for start in range(0, len(whole), 999):
        piece = whole[start : start + 999]
        while piece:
            space = reader.space()
            assert len(space) >= room
            count = min(len(space), len(piece))
            space[:count] = piece[:count]
            piece = piece[count:]
            reader.received(count)
        found += len(list(iter(reader.next_packet, None)))
        assert reader.capacity < 4 * (RECEIVE_SIZE + 300_000)
    assert found == 21
    reader.relax()
    assert len(reader.space()) >= room


def with_fds(count: int, payload: bytes = b"abcd") -> bytes:
    return raw(1, count.to_bytes(4, "big") + payload, kind=CALL_WITH_FDS)


def next_of(reader: FrameReader) -> Packet:
    found = reader.next_packet()
    assert found is not None
    return found


def test_descriptors_come_with_a_byte_each_behind_their_packet() -> None:
    reader = FrameReader(Limits(), passes_fds=True)
    reader.receive(with_fds(2))
    assert reader.next_packet() is None
    assert not reader.is_between_packets
    reader.receive(b"\0", [7])
    assert reader.next_packet() is None
    reader.receive(b"\0", [8])
    reader.receive(raw(2))
    found = next_of(reader)
    assert (found.payload, found.fds) == (b"abcd", [7, 8])
    assert next_of(reader).header.proc == 2
    assert reader.is_between_packets


def test_a_read_that_ends_with_a_descriptor_holds_its_packet() -> None:
    reader = FrameReader(Limits(), passes_fds=True)
    reader.receive(raw(2) + with_fds(1) + b"\0", [9])
    assert next_of(reader).fds == []
    assert next_of(reader).fds == [9]


def test_a_packet_may_announce_no_descriptors() -> None:
    reader = FrameReader(Limits())
    reader.receive(with_fds(0))
    assert (next_of(reader).payload, reader.release_fds()) == (b"abcd", [])


@pytest.mark.parametrize(
    ("reads", "message"),
    [
        ([(with_fds(33), [])], "33 descriptors exceed 32"),
        ([(raw(1, b"\0\0\0", kind=CALL_WITH_FDS), [])], "does not say how many"),
        ([(with_fds(1) + b"\0", [])], "came without one"),
        ([(with_fds(1), []), (b"\1", [5])], "came without one"),
        ([(with_fds(1), []), (b"\0", [5, 6])], "several descriptors"),
        ([(raw(2), [5])], "where none belongs"),
        ([(with_fds(1) + b"\0" + raw(2), [5])], "came without one"),
    ],
)
def test_descriptors_in_wrong_places_are_refused_and_given_back(
    reads: list[tuple[bytes, list[int]]], message: str
) -> None:
    reader = FrameReader(Limits(), passes_fds=True)
    for data, fds in reads:
        reader.receive(data, fds)
    with pytest.raises(RemoteProtocolError, match=message):
        list(iter(reader.next_packet, None))
    assert reader.release_fds() == [fd for _, fds in reads for fd in fds]


def test_descriptors_cannot_come_where_the_transport_has_none() -> None:
    reader = FrameReader(Limits())
    reader.receive(with_fds(1))
    with pytest.raises(RemoteProtocolError, match="cannot travel"):
        reader.next_packet()


def test_descriptors_of_an_unfinished_packet_are_given_back() -> None:
    reader = FrameReader(Limits(), passes_fds=True)
    reader.receive(with_fds(2))
    reader.next_packet()
    reader.receive(b"\0", [7])
    assert reader.next_packet() is None
    assert reader.release_fds() == [7]
