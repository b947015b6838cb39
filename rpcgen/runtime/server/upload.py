"""What the client sends on a stream, as its handler reads it: plain or async, with holes or without."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rpcgen.runtime.files import SectionWriter, zeros
from rpcgen.runtime.limits import STREAM_PACKET_MAX
from rpcgen.runtime.streams import Hole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from typing import BinaryIO

    from rpcgen.runtime.server.call import StreamingCall


class Upload:
    """See ``stubs.ServerStream``; everything comes once, to whoever asks first.

    Reading raises RemoteError once the client has aborted the stream, and ConnectionClosed when it
    is gone.
    """

    __slots__ = ("_call", "_rest")

    def __init__(self, call: StreamingCall) -> None:
        self._call = call
        self._rest: memoryview | Hole | None = None  # of what ``read`` took a part of

    @property
    def sparse(self) -> bool:
        """Whether the call's flags allow holes."""
        return self._call.channel.stream.sparse

    def read(self, size: int = STREAM_PACKET_MAX) -> bytes:
        """At most ``size`` bytes as soon as there are any; none at the end. Not on the loop."""
        if size < 1:
            return b""
        item = self._rest or self.take()
        if item is None:
            return b""
        if isinstance(item, Hole):
            self._call.channel.check()
            part = next(zeros(min(size, item.length)))
            self._rest = Hole(item.length - len(part)) if item.length > len(part) else None
            return part
        self._rest = memoryview(item)[size:] or None
        return bytes(item[:size])

    def sections(self) -> Sections:
        """What the client sends, with holes as such, for ``for`` and for ``async for``."""
        return Sections(self)

    def save(self, file: BinaryIO) -> int:
        """Write what the client sends into a file, holes as holes. Not on the loop.

        Returns:
            the bytes that were written, holes included.
        """
        writer = SectionWriter(file)
        for section in self.sections():
            writer.write(section)
        writer.flush()
        return writer.written

    def __iter__(self) -> Iterator[bytes]:
        for section in self.sections():
            for piece in _pieces(section):
                self._call.channel.check()
                yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for section in self.sections():
            for piece in _pieces(section):
                self._call.channel.check()
                yield piece
                if isinstance(section, Hole):
                    await asyncio.sleep(0)  # a hole may have no end, and others have their turn

    def take(self) -> bytes | Hole | None:
        """The next data or hole; None at the end. Not on the loop."""
        self._call.begin()
        return self._take_rest() or self._call.channel.take()

    async def take_async(self) -> bytes | Hole | None:
        """The same on the loop."""
        self._call.begin()
        return self._take_rest() or await self._call.channel.take_async()

    def _take_rest(self) -> bytes | Hole | None:
        rest, self._rest = self._rest, None
        return bytes(rest) if isinstance(rest, memoryview) else rest


class Sections:
    """Data and holes in their order, to be awaited or not."""

    __slots__ = ("_upload",)

    def __init__(self, upload: Upload) -> None:
        self._upload = upload

    def __iter__(self) -> Iterator[bytes | Hole]:
        while (section := self._upload.take()) is not None:
            yield section

    async def __aiter__(self) -> AsyncIterator[bytes | Hole]:
        while (section := await self._upload.take_async()) is not None:
            yield section


def _pieces(section: bytes | Hole) -> Iterable[bytes]:
    """The section as data: a hole may be larger than memory."""
    return zeros(section.length) if isinstance(section, Hole) else (section,)
