"""The parts that generated codecs are built from, at their edges."""

from __future__ import annotations

import struct

import pytest

from rpcgen.runtime.limits import SHORT
from rpcgen.runtime.xdr import (
    Irregular,
    RecordPacker,
    RecordUnpacker,
    pack_chars,
    unpack_chars,
)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, SHORT - 1, SHORT, SHORT + 1, 1000])
@pytest.mark.parametrize(("before", "after"), [("", ""), ("iI", ""), ("", "16si"), ("4i", "q")])
def test_a_record_is_packed_and_unpacked(length: int, before: str, after: str) -> None:
    packer, unpacker = RecordPacker(before, after, 2000), RecordUnpacker(before, after, 2000)
    raw = bytes(number % 255 + 1 for number in range(length))
    head = struct.unpack(f">{before}", bytes(struct.calcsize(f">{before}")))
    tail = struct.unpack(f">{after}", bytes(struct.calcsize(f">{after}")))
    pack = packer.short[length] if length < SHORT else packer.long
    data = pack(*head, length, raw, *tail)
    padding = -length % 4
    expected = struct.pack(f">{before}I{length}s{padding}x{after}", *head, length, raw, *tail)
    assert data == expected
    for _ in range(2):  # the second time through the layout learned in the first
        low = data[struct.calcsize(f">{before}") + 3]
        found = unpacker.short[low](data, 0)
        if found[len(head)] != len(found[len(head) + 1]):
            found = unpacker.long(data, 0)
        assert found == (*head, length, raw, bytes(padding), *tail)
        assert pack(*head, length, raw, *tail) == data


def test_a_length_whose_low_byte_is_that_of_a_short_one_is_noticed() -> None:
    unpacker = RecordUnpacker("", "", 2000)
    short = struct.pack(">I4s", 4, b"four")
    long = struct.pack(">I260s", 260, b"x" * 260)
    assert unpacker.short[4](short, 0)[:2] == (4, b"four")
    length, raw, _ = unpacker.short[4](long, 0)
    assert length != len(raw)
    assert unpacker.long(long, 0)[:2] == (260, b"x" * 260)


@pytest.mark.parametrize("length", [6, 0xFFFFFFFF])
def test_a_length_above_the_bound_is_irregular_before_anything_is_allocated(length: int) -> None:
    data = struct.pack(">I8s", length, b"12345678")
    unpacker = RecordUnpacker("", "", 5)
    with pytest.raises(Irregular):
        unpacker.short[data[3]](data, 0)
    with pytest.raises(Irregular):
        unpacker.long(data, 0)
    with pytest.raises(Irregular):
        RecordPacker("", "", 5).short[6](6, b"123456")


def test_a_length_beyond_the_buffer_is_irregular() -> None:
    with pytest.raises(Irregular):
        RecordUnpacker("", "", 0xFFFFFFFF).long(struct.pack(">I", 0x7FFFFFFF), 0)


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
