"""Files as sections: holes found and made, short reads and writes, files of every kind."""

from __future__ import annotations

import errno
import io
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcgen.runtime.files import SectionWriter, read_sections, zeros
from rpcgen.runtime.limits import STREAM_PACKET_MAX
from rpcgen.runtime.streams import Hole

BLOCK = 65_536
"""Bytes that every file system keeps apart from holes."""

Sections = list["bytes | Hole"]


def flat(sections: Iterable[bytes | Hole]) -> bytes:
    """What sections stand for."""
    return b"".join(bytes(one.length) if isinstance(one, Hole) else one for one in sections)


def shape(sections: Iterable[bytes | Hole]) -> list[str]:
    """Runs of data and holes, pieces of the same joined: ``["data 4", "hole 10"]``."""
    runs: list[tuple[str, int]] = []
    for one in sections:
        kind, size = ("hole", one.length) if isinstance(one, Hole) else ("data", len(one))
        if runs and runs[-1][0] == kind:
            size += runs.pop()[1]
        runs.append((kind, size))
    return [f"{kind} {size}" for kind, size in runs]


def named(sections: Iterable[bytes | Hole]) -> str:
    return ", ".join(shape(sections))


def written(file: BinaryIO, sections: Iterable[bytes | Hole]) -> int:
    writer = SectionWriter(file)
    for section in sections:
        writer.write(section)
    writer.flush()
    return writer.written


def sparse_file(path: Path, *sections: bytes | Hole) -> Path:
    with path.open("wb") as file:
        for section in sections:
            if isinstance(section, Hole):
                file.seek(section.length, os.SEEK_CUR)
            else:
                file.write(section)
        file.truncate()
    return path


@pytest.fixture
def holes(tmp_path: Path) -> None:
    """Skips where the file system of the tests knows no holes."""
    path = sparse_file(tmp_path / "probe", Hole(BLOCK), b"x")
    if path.stat().st_blocks * 512 > BLOCK:
        pytest.skip("the file system keeps no holes")


D = b"d" * BLOCK
H = Hole(BLOCK)


# Reading


@pytest.mark.usefixtures("holes")
@pytest.mark.parametrize(
    "sections",
    [[D], [H, D], [D, H], [H], [D, H, D, Hole(2 * BLOCK), D], [H, D, H]],
    ids=named,
)
@pytest.mark.parametrize("buffering", [0, -1])
def test_holes_are_found(tmp_path: Path, sections: Sections, buffering: int) -> None:
    path = sparse_file(tmp_path / "file", *sections)
    with open(path, "rb", buffering) as file:
        found = list(read_sections(file, sparse=True))
        assert shape(found) == shape(sections)
        assert flat(found) == flat(sections)
        assert file.tell() == len(flat(sections))


@pytest.mark.usefixtures("holes")
@pytest.mark.parametrize("start", [1, BLOCK - 1, BLOCK, BLOCK + 5, 2 * BLOCK, 3 * BLOCK, 4 * BLOCK])
def test_from_where_the_file_stands(tmp_path: Path, start: int) -> None:
    path = sparse_file(tmp_path / "file", D, H, D)
    with path.open("rb") as file:
        file.read(1)  # something is in the buffer
        file.seek(start)
        assert flat(read_sections(file, sparse=True)) == path.read_bytes()[start:]


@pytest.mark.usefixtures("holes")
def test_holes_are_data_where_none_are_wanted(tmp_path: Path) -> None:
    path = sparse_file(tmp_path / "file", D, H)
    with path.open("rb") as file:
        assert shape(read_sections(file, sparse=False)) == [f"data {2 * BLOCK}"]


def test_pieces_have_the_size_of_a_packet(tmp_path: Path) -> None:
    data = os.urandom(STREAM_PACKET_MAX * 2 + 1)
    (tmp_path / "file").write_bytes(data)
    for sparse in (True, False):
        with (tmp_path / "file").open("rb") as file:
            pieces = [one for one in read_sections(file, sparse=sparse) if isinstance(one, bytes)]
            assert [len(piece) for piece in pieces] == [STREAM_PACKET_MAX, STREAM_PACKET_MAX, 1]
            assert b"".join(pieces) == data


@pytest.mark.parametrize("sparse", [True, False])
def test_in_memory(sparse: bool) -> None:
    file = io.BytesIO(b"head" + bytes(BLOCK))
    file.seek(2)
    assert flat(read_sections(file, sparse=sparse)) == b"ad" + bytes(BLOCK)
    assert list(read_sections(file, sparse=sparse)) == []


@pytest.mark.parametrize("sparse", [True, False])
def test_from_a_pipe_as_it_comes(sparse: bool) -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as file, open(writing, "wb", 0) as pipe:
        sections = read_sections(file, sparse=sparse)
        for data in (b"one", b"two"):
            pipe.write(data)
            assert next(sections) == data
        pipe.close()
        assert list(sections) == []


def test_a_file_that_becomes_shorter(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(D * 4)
    with path.open("rb") as file:
        sections = read_sections(file, sparse=True, size=BLOCK)
        assert next(sections) == D
        os.truncate(path, BLOCK)
        assert list(sections) == []


@pytest.mark.usefixtures("holes")
def test_a_file_that_becomes_shorter_in_a_hole(tmp_path: Path) -> None:
    path = sparse_file(tmp_path / "file", D, Hole(10 * BLOCK), D)
    with path.open("rb") as file:
        sections = read_sections(file, sparse=True)
        assert next(sections) == D
        os.truncate(path, 3 * BLOCK)
        assert list(sections) == [Hole(2 * BLOCK)]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file, pytest.raises(OSError, match="read"):
        list(read_sections(file, sparse=False))


# Writing


@pytest.mark.usefixtures("holes")
@pytest.mark.parametrize("mode", ["wb", "ab", "xb"])
@pytest.mark.parametrize("buffering", [0, -1])
def test_holes_are_made(tmp_path: Path, mode: str, buffering: int) -> None:
    sections: Sections = [H, D, Hole(16 * BLOCK), D, Hole(16 * BLOCK)]
    path = tmp_path / "file"
    with cast("BinaryIO", open(path, mode, buffering)) as file:
        assert written(file, sections) == 35 * BLOCK
        assert file.tell() == 35 * BLOCK
    assert path.read_bytes() == flat(sections)
    assert path.stat().st_blocks * 512 < 8 * BLOCK


def test_appending_behind_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with path.open("ab") as file:
        written(file, [Hole(3), b"x", Hole(2)])
    assert path.read_bytes() == b"before\0\0\0x\0\0"


def test_a_hole_hides_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("r+b") as file:
        file.seek(2)
        assert written(file, [Hole(3), b"x", Hole(2)]) == 6
        assert file.tell() == 8
    assert path.read_bytes() == b"01\0\0\0x\0\x0089"
    with path.open("r+b") as file:
        file.seek(8)
        written(file, [Hole(5)])
    assert path.read_bytes() == b"01\0\0\0x\0\0\0\0\0\0\0"


def test_behind_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.seek(4)
        written(file, [Hole(2), b"x"])
    assert path.read_bytes() == b"\0\0\0\0\0\0x"


def test_holes_in_memory_are_zeros() -> None:
    file = io.BytesIO(b"0123")
    file.seek(2)
    written(file, [Hole(1), b"x", Hole(2)])
    assert file.getvalue() == b"01\0x\0\0"


def test_holes_in_a_pipe_are_zeros() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as file, open(writing, "wb") as pipe:
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.append(file.read()))
        reader.start()
        assert written(pipe, [b"a", Hole(STREAM_PACKET_MAX + 1), b"b"]) == STREAM_PACKET_MAX + 3
        pipe.close()
        reader.join()
    assert read == [b"a" + bytes(STREAM_PACKET_MAX + 1) + b"b"]


class Short(io.FileIO):
    """Takes three bytes at a time, and none when told so."""

    takes = 3

    def write(self, data: object) -> int:
        assert isinstance(data, memoryview)
        return super().write(data[: self.takes])


def test_short_writes_are_continued(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with Short(path, "w") as file:
        assert written(file, [b"0123456789", Hole(5), b"x"]) == 16
    assert path.read_bytes() == b"0123456789\0\0\0\0\0x"


def test_a_file_that_takes_nothing(tmp_path: Path) -> None:
    with Short(tmp_path / "file", "w") as file:
        file.takes = 0
        with pytest.raises(BlockingIOError, match="takes nothing"):
            written(file, [b"0123456789"])


@pytest.mark.parametrize("is_buffered", [True, False])
@pytest.mark.parametrize("sections", [[b"data"], [bytes(1_000_000)]], ids=named)
def test_a_full_disk(sections: Sections, is_buffered: bool) -> None:
    with open("/dev/full", "wb", 0) as raw:
        file = io.BufferedWriter(raw) if is_buffered else raw
        with pytest.raises(OSError, match=rf"\[Errno {errno.ENOSPC}\]"):
            written(cast("BinaryIO", file), sections)
        raw.close()  # what is in the buffer would fail again


# Both


@given(
    st.lists(
        st.one_of(
            st.binary(min_size=1, max_size=9),
            st.integers(1, 9).map(Hole),
            st.just(Hole(BLOCK)),
        ),
        max_size=8,
    ),
    st.binary(max_size=12),
    st.integers(0, 20),
)
def test_a_file_is_what_its_sections_say(
    tmp_path_factory: pytest.TempPathFactory, sections: Sections, before: bytes, start: int
) -> None:
    path = tmp_path_factory.mktemp("files") / "file"
    path.write_bytes(before)
    wanted = bytearray(before)
    data = flat(sections)
    if data:
        wanted.extend(bytes(max(0, start - len(wanted))))
        wanted[start : start + len(data)] = data
    with path.open("r+b") as file:
        file.seek(start)
        assert written(file, sections) == len(data)
        assert path.read_bytes() == bytes(wanted)
        file.seek(start)
        rest = bytes(wanted)[start:]
        assert flat(read_sections(file, sparse=True)) == rest


@pytest.mark.parametrize("length", [0, 1, STREAM_PACKET_MAX, STREAM_PACKET_MAX + 1])
def test_zeros(length: int) -> None:
    pieces = list(zeros(length))
    assert b"".join(pieces) == bytes(length)
    assert all(0 < len(piece) <= STREAM_PACKET_MAX for piece in pieces)


@pytest.mark.parametrize("buffering", [-1, 0])
def test_a_device_without_a_size_takes_holes(buffering: int) -> None:
    with open("/dev/null", "wb", buffering) as file:
        assert written(file, [b"data", Hole(10), b"more", Hole(10)]) == 28


@pytest.mark.parametrize("buffering", [-1, 0])
def test_a_pipe_that_does_not_wait_has_not_ended(buffering: int) -> None:
    out, into = os.pipe()
    os.set_blocking(out, False)
    with open(out, "rb", buffering) as file:
        sections = read_sections(file, sparse=False)
        os.write(into, b"first")
        assert next(sections) == b"first"
        with pytest.raises(BlockingIOError, match="nothing is there"):
            next(sections)
        os.write(into, b"second")
        os.close(into)
        assert flat(read_sections(file, sparse=False)) == b"second"
