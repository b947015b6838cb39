"""Files as streams see them: runs of data, and holes between them.

Where sections come from and go to is not known here, and nothing waits for anything but the
file. ``OSError`` is the file's own, and stays what it is.
"""

from __future__ import annotations

import errno
import io
import os
import select
from stat import S_ISREG

from rpcgen.runtime.limits import STREAM_PACKET_MAX
from rpcgen.runtime.streams import Hole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO, Final

_ZEROS: Final = bytes(STREAM_PACKET_MAX)
_NOTHING_THERE: Final = errno.ENXIO


def zeros(length: int) -> Iterator[bytes]:
    """A run of zeros in pieces of at most a packet."""
    while length > 0:
        yield _ZEROS[:length]
        length -= STREAM_PACKET_MAX


def read_sections(
    file: BinaryIO, *, sparse: bool, size: int = STREAM_PACKET_MAX
) -> Iterator[bytes | Hole]:
    """What is in a file, from where it stands to its end.

    Args:
        sparse: give holes as such, where the system knows of any (``SEEK_HOLE``); otherwise
            they are data.
        size: bytes of data to give at a time.
    """
    if sparse and _knows_holes(file):
        return _sections(file, size)
    return _data(file, size)


class SectionWriter:
    """Writes sections into a file, from where it stands.

    A hole becomes one where the file ends; what a file holds already is overwritten with zeros.
    Files that cannot seek get zeros.

    Attributes:
        written: bytes so far, holes included.
    """

    __slots__ = ("_file", "_seeks", "written")

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._seeks = file.seekable()
        self.written = 0

    def write(self, section: bytes | Hole) -> None:
        """Write data or a hole.

        Raises:
            OSError: the disk is full, for one. What was written until then stays.
        """
        if not isinstance(section, Hole):
            self._write(section)
            self.written += len(section)
        elif self._seeks:
            self._skip(section.length)
            self.written += section.length
        else:
            self._fill(section.length)
            self.written += section.length

    def flush(self) -> None:
        """Bring everything to where errors are seen."""
        self._file.flush()

    def _write(self, data: bytes) -> None:
        if not isinstance(self._file, io.RawIOBase):
            self._file.write(data)
            return
        view = memoryview(data)
        while view:
            count = self._file.write(view)
            if not count:
                raise BlockingIOError(errno.EAGAIN, "the file takes nothing, and does not wait")
            view = view[count:]

    def _fill(self, length: int) -> None:
        for data in zeros(length):
            self._write(data)

    def _skip(self, length: int) -> None:
        file = self._file
        start = file.tell()
        stop = start + length
        end = file.seek(0, os.SEEK_END)
        file.seek(start)
        self._fill(min(end, stop) - start)
        if stop > end:
            # Now, not in the end: a file opened for appending writes where it ends.
            self._grow(stop)
            end = max(start, file.seek(0, os.SEEK_END))
            if end < stop:  # in memory, truncating never makes larger
                file.seek(end)
                self._fill(stop - end)
        file.seek(stop)

    def _grow(self, stop: int) -> None:
        try:
            self._file.truncate(stop)
        except OSError as error:
            # A device (``/dev/null``) seeks, but has no size: it gets zeros.
            if error.errno != errno.EINVAL or S_ISREG(os.fstat(self._file.fileno()).st_mode):
                raise


def _knows_holes(file: BinaryIO) -> bool:
    if not file.seekable():
        return False
    start = file.tell()
    try:
        file.seek(start, os.SEEK_DATA)
    except OSError as error:
        return error.errno == _NOTHING_THERE
    except (AttributeError, ValueError):  # not on this system, not in memory
        return False
    finally:
        file.seek(start)
    return True


def _sections(file: BinaryIO, size: int) -> Iterator[bytes | Hole]:
    at = file.tell()
    while at < (end := file.seek(0, os.SEEK_END)):
        start = _find(file, at, os.SEEK_DATA, end)
        if start > at:
            yield Hole(start - at)
        at = start
        stop = _find(file, at, os.SEEK_HOLE, at)
        file.seek(at)
        for data in _data(file, size, stop - at):
            at += len(data)
            yield data
        if at < stop:
            return  # it has become shorter meanwhile


def _find(file: BinaryIO, at: int, what: int, otherwise: int) -> int:
    """Where the next data or hole begins."""
    try:
        return file.seek(at, what)
    except OSError as error:
        if error.errno != _NOTHING_THERE:
            raise
        return otherwise


def _data(file: BinaryIO, size: int, length: int | None = None) -> Iterator[bytes]:
    """Data up to the end, or so many bytes of it."""
    # One read of the system: who pipes something in wants it sent before the next comes.
    read = getattr(file, "read1", file.read)
    while length is None or length > 0:
        data: bytes | None = read(size if length is None else min(size, length))
        if not data:
            if data is None or _is_empty_for_now(file):
                raise BlockingIOError(errno.EAGAIN, "nothing is there, and the file does not wait")
            return
        if length is not None:
            length -= len(data)
        yield data


def _is_empty_for_now(file: BinaryIO) -> bool:
    """Whether a buffered file that gave nothing has not ended: it says the same of both."""
    raw: object = file.raw if isinstance(file, io.BufferedReader) else None
    if not isinstance(raw, io.FileIO) or os.get_blocking(raw.fileno()):
        return False
    poll = select.poll()
    poll.register(raw, select.POLLIN)
    return not poll.poll(0)
