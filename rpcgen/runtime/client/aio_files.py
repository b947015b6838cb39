"""Files of the asyncio client's streams: threads do what may block, and the loop waits for pipes.

How files are cut into pieces is in ``rpcgen.runtime.files``; nothing here knows of streams. Three
kinds are told apart. Work on a file on disk ends soon, and is waited for even if it is cancelled.
A pipe, a terminal or a socket is read and written only while the system says that it does not
block, so that nobody is inside it when it is closed. Anything else is left to itself.
"""

from __future__ import annotations

import asyncio
import io
import select
from concurrent.futures import Future
from functools import partial
from itertools import islice
from os import close, dup
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from rpcgen.runtime.files import SectionWriter, zeros
from rpcgen.runtime.streams import Hole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

T = TypeVar("T")

_AT_ONCE: Final = 4
"""Packets that are read from a file at a time: a thread costs as much as reading one of them."""


class _File:
    """A file, and who works on it.

    Args:
        file: whose it is; it stays open.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._pipe = _pipe(file)
        self._aside = None if file.seekable() else _Aside()

    def close(self) -> None:
        """Nothing more is to be done."""
        if self._aside is not None:
            self._aside.end()

    async def _do(self, work: Callable[..., T], *arguments: object) -> T:
        if self._aside is not None:
            return await self._aside.do(work, *arguments)
        return await _finished(work, *arguments)


class AsyncSectionReader(_File):
    """Reads sections of a file, as ``read_sections`` does, in a thread.

    Args:
        sections: reads from the file.
    """

    def __init__(self, file: BinaryIO, sections: Iterator[bytes | Hole]) -> None:
        super().__init__(file)
        self._sections = sections
        # Who pipes something in wants it sent before the next comes.
        self._count = _AT_ONCE if file.seekable() else 1

    async def some(self) -> list[bytes | Hole]:
        """The next; nothing at the end."""
        if self._pipe is not None:
            await _ready(self._pipe, select.POLLIN)
        return await self._do(_take, self._sections, self._count)


class AsyncSectionWriter(_File):
    """Writes sections into a file, as ``SectionWriter`` does, in a thread."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._writer = SectionWriter(file)
        self._piped = 0

    @property
    def written(self) -> int:
        """Bytes so far, holes included."""
        return self._writer.written + self._piped

    async def write(self, sections: Iterable[bytes | Hole]) -> None:
        """Write data and holes.

        Raises:
            OSError: see ``SectionWriter.write``.
        """
        if self._pipe is None:
            await self._do(_write_all, self._writer, sections)
            return
        if not self._piped:
            await self.flush()  # what its owner has written comes first
        for section in sections:
            for data in zeros(section.length) if isinstance(section, Hole) else (section,):
                await self._pour(self._pipe, data)

    async def flush(self) -> None:
        """Bring everything to where errors are seen."""
        await self._do(self._file.flush)

    async def _pour(self, pipe: io.FileIO, data: bytes) -> None:
        view = memoryview(data)
        while view:
            await _ready(pipe, select.POLLOUT)
            count = await self._do(_write_some, pipe, view)
            self._piped += count
            view = view[count:]


def _pipe(file: BinaryIO) -> io.FileIO | None:
    """The descriptor below a file that may block for ever; None for other files.

    A file of any other class may have data, or take some, when the system says that there is none.
    """
    is_buffered = type(file) in (io.BufferedReader, io.BufferedWriter)
    raw: object = cast("io.BufferedReader", file).raw if is_buffered else file
    return raw if type(raw) is io.FileIO and not raw.seekable() else None


async def _ready(pipe: io.FileIO, event: int) -> None:
    """Wait until a pipe can be read (``POLLIN``) or written (``POLLOUT``), or is broken."""
    poll = select.poll()
    poll.register(pipe, event)
    if poll.poll(0):
        return
    loop, happened = asyncio.get_running_loop(), asyncio.Event()
    fd = dup(pipe.fileno())  # others may watch the pipe, too, or close it
    try:
        if event == select.POLLIN:
            loop.add_reader(fd, happened.set)
        else:
            loop.add_writer(fd, happened.set)
        await happened.wait()
    finally:
        loop.remove_reader(fd)
        loop.remove_writer(fd)
        close(fd)


async def _finished(work: Callable[..., T], *arguments: object) -> T:
    """Do in a thread what ends. It has ended when this is over, be it by a cancellation."""
    doing = asyncio.get_running_loop().run_in_executor(None, work, *arguments)
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait([doing])
        raise


class _Aside:
    """A thread for what may never end, one thing after the other.

    The end of the process waits for the threads of a loop's executor, but not for this one.
    """

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._is_started = False

    async def do(self, work: Callable[..., T], *arguments: object) -> T:
        if not self._is_started:
            self._is_started = True
            Thread(target=_serve, args=(self._work,), name="rpcgen file", daemon=True).start()
        promise: Future[T] = Future()
        self._work.put((promise, partial(work, *arguments)))
        return await asyncio.wrap_future(promise)

    def end(self) -> None:
        """End when what is under way has ended."""
        self._work.put(None)


def _serve(queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]) -> None:
    while (item := queue.get()) is not None:
        promise, work = item
        if not promise.set_running_or_notify_cancel():
            continue
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  (it is for who waits)
            promise.set_exception(error)
        else:
            promise.set_result(result)


def _take(sections: Iterator[bytes | Hole], count: int) -> list[bytes | Hole]:
    return list(islice(sections, count))


def _write_all(writer: SectionWriter, sections: Iterable[bytes | Hole]) -> None:
    for section in sections:
        writer.write(section)


def _write_some(pipe: io.FileIO, view: memoryview) -> int:
    """Write what a pipe takes at once: one that can be written has room for ``PIPE_BUF`` bytes."""
    poll = select.poll()
    poll.register(pipe, select.POLLOUT)
    count = 0
    while count < len(view) and poll.poll(0):
        count += pipe.write(view[count : count + select.PIPE_BUF]) or 0
    return count
