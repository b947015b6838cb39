"""What calls and streams carry, so that both ends know it without telling each other.

Everything follows from a name, which is different for every call: an answer to another call cannot pass for one's own.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from hashlib import blake2b
from random import Random
from typing import Final

from libvirt_rpc.remote_protocol.types import (
    RemoteNonnullDomain,
    RemoteNonnullNetwork,
    RemoteNonnullStorageVol,
)

PLAIN, ASYNC = "plain", "async"
"""Pools, after which the server chooses how a stream of a volume is handled."""

SOUND, BROKEN = "sound", "broken"
"""Volumes, and those whose stream the server breaks half way."""

_BLOCK: Final = 1 << 16

_SLICE_MAX: Final = 300_000
"""More than fits a packet of a stream."""


class Deliberate(Exception):  # noqa: N818  (no error: what a handler is to fail with)
    """A failure that the soak asked for."""


def uuid(name: str) -> bytes:
    """A UUID that belongs to a name."""
    return blake2b(name.encode(), digest_size=16).digest()


def domain(name: str) -> RemoteNonnullDomain:
    """The domain of that name."""
    return RemoteNonnullDomain(name, uuid(name), len(name))


def network(name: str) -> RemoteNonnullNetwork:
    """The network of that name."""
    return RemoteNonnullNetwork(name, uuid(name))


def volume(pool: str, kind: str, key: str) -> RemoteNonnullStorageVol:
    """A volume; what is in it depends on its key only."""
    return RemoteNonnullStorageVol(pool, kind, key)


def content(key: str, size: int) -> Iterator[bytes]:
    """What is in a volume, in slices of all sizes."""
    random = Random(key)  # noqa: S311  (bytes that are known on both ends, no secrets)
    block = random.randbytes(_BLOCK)
    data = block * (_SLICE_MAX // _BLOCK + 2)
    offset = 0
    while offset < size:
        length = min(random.randint(1, _SLICE_MAX), size - offset)
        start = offset % _BLOCK
        yield data[start : start + length]
        offset += length


class Checksum:
    """What came of a volume's content, compared with what should have."""

    def __init__(self, key: str, size: int) -> None:
        self._key = key
        self._size = size
        self._seen = 0
        self._sum = 0

    def add(self, chunk: bytes) -> None:
        """The next bytes."""
        self._seen += len(chunk)
        self._sum = zlib.crc32(chunk, self._sum)

    def problem(self) -> str | None:
        """What is wrong, if anything is."""
        if self._seen != self._size:
            return f"{self._key}: {self._seen} of {self._size} bytes"
        wanted = 0
        for chunk in content(self._key, self._size):
            wanted = zlib.crc32(chunk, wanted)
        return None if wanted == self._sum else f"{self._key}: {self._size} wrong bytes"
