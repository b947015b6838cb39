"""The parts that generated codecs are built from, at their edges."""

from __future__ import annotations

import struct

import pytest

from rpcgen.runtime.limits import SHORT
from rpcgen.runtime.xdr import (
    ZEROS,
    Irregular,
    instances,
    pack_chars,
    record_packer,
    record_unpacker,
    unpack_chars,
)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, SHORT - 1, SHORT, SHORT + 1, 1000])
@pytest.mark.parametrize(("before", "after"), [("", ""), ("iI", ""), ("", "16si"), ("4i", "q")])
def test_a_record_is_packed_and_unpacked(length: int, before: str, after: str) -> None:
    short_packers, pack_long = record_packer(before, after, 2000)
    short_unpackers, unpack_long = record_unpacker(before, after, 2000)
    raw = bytes(number % 255 + 1 for number in range(length))
    head = struct.unpack(f">{before}", bytes(struct.calcsize(f">{before}")))
    tail = struct.unpack(f">{after}", bytes(struct.calcsize(f">{after}")))
    padding = -length % 4
    data = struct.pack(f">{before}I{length}s{padding}x{after}", *head, length, raw, *tail)
    low = data[struct.calcsize(f">{before}") + 3]
    for turn in range(2):  # the second time through the layout learned in the first
        if length < SHORT:
            assert short_packers[length](*head, raw, *tail) == data
        assert pack_long(*head, raw, *tail) == data
        unpack, extent = short_unpackers[low]
        found = unpack(data, 0)
        if found[len(head)] != low:
            found, extent = unpack_long(data, 0), len(data)
        pad = found[len(head) + 2]
        assert found == (*head, length, raw, pad, *tail)
        assert not pad or pad == ZEROS
        assert extent == len(data)
        assert turn == 0 or length >= SHORT or short_unpackers[low][1] == len(data)


@pytest.mark.parametrize("length", [1, 2, 3, SHORT + 1, SHORT + 2, SHORT + 3])
def test_each_bit_of_padding_is_seen(length: int) -> None:
    short_unpackers, unpack_long = record_unpacker("", "", 2000)
    for bit in range(-length % 4 * 8):
        padding = (1 << bit).to_bytes(-length % 4, "big")
        data = struct.pack(">I", length) + bytes(length) + padding
        pads = [unpack_long(data, 0)[2]]
        if length < SHORT:
            pads += [short_unpackers[length][0](data, 0)[2] for _ in range(2)]
        assert all(pad and pad != ZEROS for pad in pads)


def test_a_length_whose_low_byte_is_that_of_a_short_one_is_noticed() -> None:
    short_unpackers, unpack_long = record_unpacker("", "", 2000)
    short = struct.pack(">I4s", 4, b"four")
    long = struct.pack(">I260s", 260, b"x" * 260)
    short_unpackers[4][0](short, 0)
    assert short_unpackers[4][0](short, 0) == (4, b"four", b"")
    assert short_unpackers[4][0](long, 0)[0] == 260
    assert unpack_long(long, 0) == (260, b"x" * 260, b"")


@pytest.mark.parametrize("length", [6, 0xFFFFFFFF])
def test_a_length_above_the_bound_is_irregular_before_anything_is_allocated(length: int) -> None:
    data = struct.pack(">I8s", length, b"12345678")
    short_unpackers, unpack_long = record_unpacker("", "", 5)
    for unpack in (short_unpackers[data[3]][0], unpack_long):
        with pytest.raises(Irregular):
            unpack(data, 0)
    short_packers, pack_long = record_packer("", "", 5)
    for pack in (short_packers[6], pack_long):
        with pytest.raises(Irregular):
            pack(b"123456")


def test_instances_are_new_and_empty() -> None:
    class Slotted:
        __slots__ = ("field",)

        def __init__(self, field: int) -> None:
            self.field = field

    made = instances(Slotted)
    one, other = next(made), next(made)
    assert type(one) is type(other) is Slotted
    assert one is not other
    assert not hasattr(one, "field")


def test_a_length_beyond_the_buffer_is_irregular() -> None:
    _, unpack_long = record_unpacker("", "", 0xFFFFFFFF)
    with pytest.raises(Irregular):
        unpack_long(struct.pack(">I", 0x7FFFFFFF), 0)


def test_long_items_other_than_bytes_are_irregular() -> None:
    _, pack_long = record_packer("", "", 2000)
    with pytest.raises(Irregular):
        pack_long(memoryview(bytes(600)).cast("I"))


def test_characters_above_127_are_written_sign_extended_and_read_both_ways() -> None:
    assert pack_chars(b"a\xff", True).hex() == "00000061" "ffffffff"
    assert pack_chars(b"a\xff", False).hex() == "00000061" "000000ff"
    for wire in ("ffffffff", "000000ff"):
        assert unpack_chars(bytes.fromhex(wire), 0, 1, True) == b"\xff"
    assert unpack_chars(bytes.fromhex("000000ff"), 0, 1, False) == b"\xff"


@pytest.mark.parametrize(
    ("wire", "signed"), [("00000100", True), ("ffffff7f", True), ("ffffffff", False)]
)
def test_a_word_that_is_no_character_is_irregular(wire: str, signed: bool) -> None:
    with pytest.raises(Irregular):
        unpack_chars(bytes.fromhex(wire), 0, 1, signed)
