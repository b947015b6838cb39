"""Contents of volumes: bytes in memory, of which zeros that nobody wrote take none."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from threading import Lock
from typing import Final

from rpcgen.examples.hypervisor.model.limits import PAGE
from rpcgen.runtime.xdr import Buffer

_ZEROS: Final = bytes(PAGE)


class DiskFullError(Exception):
    """There is no memory for more content."""


class Budget:
    """Memory that several contents share.

    Args:
        size: bytes.
    """

    def __init__(self, size: int) -> None:
        self._left = size
        self._lock = Lock()

    def take(self, size: int) -> None:
        """Use some; what is negative is given back.

        Raises:
            DiskFullError: there is not as much left.
        """
        with self._lock:
            if size > self._left:
                raise DiskFullError
            self._left -= size


class SparseBytes:
    """A run of bytes, zeros at first, stored in pages where something was written.

    Who shares it between threads locks it.

    Args:
        size: bytes.
        budget: where the memory comes from.
    """

    def __init__(self, size: int, budget: Budget) -> None:
        self.size = size
        self._budget = budget
        self._pages: dict[int, bytearray] = {}
        self._numbers: list[int] = []  # of the pages, in order

    @property
    def stored(self) -> int:
        """Bytes of memory in use."""
        return len(self._pages) * PAGE

    def write(self, offset: int, data: Buffer) -> None:
        """Write within the size.

        Raises:
            DiskFullError: there is no memory; some of the data may have been written.
        """
        view = memoryview(data).cast("B")
        while view:
            number, start = divmod(offset, PAGE)
            part = view[: PAGE - start]
            self._page(number)[start : start + len(part)] = part
            offset += len(part)
            view = view[len(part) :]

    def clear(self, offset: int, length: int) -> None:
        """Make zeros of what is there, and give memory back where whole pages are."""
        end = min(offset + length, self.size)
        for number in self._stored(offset, end):
            first = number * PAGE
            start, stop = max(0, offset - first), min(PAGE, end - first)
            if start == 0 and (stop == PAGE or end == self.size):
                self._drop(number)
            else:
                self._pages[number][start:stop] = _ZEROS[start:stop]

    def read(self, offset: int, length: int) -> bytes:
        """Bytes within the size; all of one page at most."""
        number, start = divmod(offset, PAGE)
        page: Buffer = self._pages.get(number, _ZEROS)
        return bytes(memoryview(page)[start : min(PAGE, start + length)])

    def sections(self, offset: int, length: int) -> Iterator[tuple[int, bool]]:
        """The lengths of what is stored and of what is not, in their order, with which it is.

        A section is data within one page, or a whole hole.
        """
        end = offset + length
        while offset < end:
            number = offset // PAGE
            place = bisect_left(self._numbers, number)
            following = self._numbers[place] if place < len(self._numbers) else end
            is_stored = following == number
            stop = min(end, (number + 1 if is_stored else following) * PAGE)
            yield stop - offset, is_stored
            offset = stop

    def copy(self, other: SparseBytes) -> None:
        """Write what another one stores; errors as with ``write``."""
        for number, page in other._pages.items():
            self._page(number)[:] = page

    def resize(self, size: int) -> None:
        """Cut off at the end, or add zeros there."""
        self.clear(size, self.size - size)
        self.size = size

    def discard(self) -> None:
        """Give all memory back."""
        self.clear(0, self.size)

    def _stored(self, offset: int, end: int) -> list[int]:
        """The pages that have bytes from ``offset`` to ``end``."""
        first = bisect_left(self._numbers, offset // PAGE)
        return self._numbers[first : bisect_left(self._numbers, -(-end // PAGE))]

    def _page(self, number: int) -> bytearray:
        page = self._pages.get(number)
        if page is None:
            self._budget.take(PAGE)
            page = self._pages[number] = bytearray(PAGE)
            insort(self._numbers, number)
        return page

    def _drop(self, number: int) -> None:
        del self._pages[number]
        del self._numbers[bisect_left(self._numbers, number)]
        self._budget.take(-PAGE)
