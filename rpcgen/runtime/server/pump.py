"""From what a handler of ``@readstream`` returns to what the client gets, pulled while there is room."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from rpcgen.runtime.files import read_sections

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
    from typing import BinaryIO

    from rpcgen.runtime.server.call import StreamingCall
    from rpcgen.runtime.streams import Hole
    from rpcgen.runtime.xdr import Buffer

_END: Final = b"the end of data"
"""Stands in for an item that is not there; known by its identity."""


def pump(call: StreamingCall, data: Iterable[Buffer | Hole] | BinaryIO) -> None:
    """Send all, or as much as the client wants, and close what can be closed. Not on the loop."""
    channel = call.channel
    items = _items(call, data)
    try:
        while channel.wait_for_room():
            item = next(items, _END)
            if item is _END:
                return
            call.begin()
            channel.send(item)
    finally:
        for source in (items, data):
            close = getattr(source, "close", None)
            if close is not None:
                close()


async def pump_async(call: StreamingCall, data: AsyncIterable[Buffer | Hole]) -> None:
    """The same for what is iterated on the loop."""
    channel = call.channel
    items = aiter(data)
    try:
        while await channel.wait_for_room_async():
            item = await _next(call, items)
            if item is _END:
                return
            call.begin()
            channel.send(item)
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()


async def _next(call: StreamingCall, items: AsyncIterator[Buffer | Hole]) -> Buffer | Hole:
    """The next item, or ``_END``, also when the client wants no more."""
    channel, task = call.channel, asyncio.current_task()
    channel.producer = task
    try:
        return await anext(items, _END)
    except asyncio.CancelledError:
        if task is None or not channel.has_cancelled:
            raise
        task.uncancel()
        return _END
    finally:
        channel.producer = None


def _items(
    call: StreamingCall, data: Iterable[Buffer | Hole] | BinaryIO
) -> Iterator[Buffer | Hole]:
    if hasattr(data, "read"):
        return read_sections(cast("BinaryIO", data), sparse=call.channel.stream.sparse)
    return iter(data)
