"""What waits to be written to one connection: bytes and descriptors in their order.

It writes nothing itself: ``batch`` says what comes next, ``sent`` takes note of it.
"""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rpcgen.runtime.xdr import Buffer

    Item = tuple[Buffer | int, Callable[[], object] | None]

_IOV_MAX = 64
"""Buffers written at once: enough to fill a socket with small packets, far from IOV_MAX."""


class Outbox:
    """A queue of bytes and descriptors, from the first that has not been sent.

    Attributes:
        size: bytes in it.
    """

    __slots__ = ("_items", "size")

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._items)

    def put(self, data: Buffer, done: Callable[[], object] | None = None) -> None:
        """Queue bytes; ``done`` is called when the last of them has been sent."""
        self._items.append((data, done))
        self.size += len(data)

    def put_fd(self, fd: int) -> None:
        """Queue a descriptor, which is the outbox's from now on."""
        self._items.append((fd, None))

    def batch(self) -> list[Buffer]:
        """The bytes before the next descriptor; none if a descriptor is next."""
        found: list[Buffer] = []
        for data, _ in self._items:
            if isinstance(data, int) or len(found) == _IOV_MAX:
                break
            found.append(data)
        return found

    def sent(self, count: int) -> bool:
        """Drop as many bytes as have been sent, from the front; whether those were all of a batch."""
        items = self._items
        self.size -= count
        while items:
            data, done = items[0]
            if isinstance(data, int):
                return True
            if count < len(data):
                if count:
                    items[0] = (memoryview(data)[count:], done)
                return False
            count -= len(data)
            items.popleft()
            if done:
                done()
        return True

    @property
    def fd(self) -> int | None:
        """The descriptor that is next, if one is."""
        first = self._items[0][0] if self._items else None
        return first if isinstance(first, int) else None

    def sent_fd(self) -> int:
        """The descriptor that has been sent: the caller closes it."""
        fd, _ = self._items.popleft()
        assert isinstance(fd, int)  # noqa: S101  (asked for ``fd`` just before)
        return fd

    def release_fds(self) -> list[int]:
        """Drop everything; the caller closes the descriptors that were left."""
        fds = [item for item, _ in self._items if isinstance(item, int)]
        self._items.clear()
        self.size = 0
        return fds
