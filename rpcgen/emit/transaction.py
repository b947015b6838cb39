"""Files that change together or not at all.

Problem: a run writes dozens of files, and a full disk, a missing permission or Ctrl-C half-way
would leave a package whose modules do not fit each other. Choice: everything is written beside
its target and flushed to the disk first, which is where nearly all failures happen; then the
files are renamed into place, each with a link to what it replaces, so that even a failure among
the renames is undone. This module knows nothing of Python or ``.x``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from rpcgen.emit.interrupts import interrupts_held


def replace_files(writes: Mapping[str, bytes], removals: Iterable[str] = ()) -> None:
    """Write and remove files; if anything fails, all is as it was, without leftovers.

    Raises:
        OSError: with the path of the file that could not be written, never that of a temporary.
    """
    made: list[str] = []
    steps = [_Step(path, data) for path, data in writes.items()]
    steps += [_Step(path, None) for path in removals]
    try:
        for step in steps:
            with _blaming(step.path):
                _make_folder(os.path.dirname(step.target), made)
                step.stage()
        for step in steps:
            with _blaming(step.path):
                step.swap()
        # Within the try: Ctrl-C comes either before this, and all is undone, or after it.
        with interrupts_held():
            for step in steps:
                step.swapped = False
            _clean(steps)
    except BaseException:
        with interrupts_held():
            for step in reversed(steps):
                step.revert()
            _clean(steps)
            for folder in reversed(made):
                with suppress(OSError):
                    os.rmdir(folder)
        raise


def _clean(steps: Iterable[_Step]) -> None:
    for step in steps:
        for path in (step.staged, step.saved):
            with suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(path)


@contextmanager
def _blaming(path: str) -> Iterator[None]:
    """Name the file that the user knows, whatever its temporary is called."""
    try:
        yield
    except OSError as failure:
        raise OSError(failure.errno, failure.strerror, path) from failure


def _make_folder(path: str, made: list[str]) -> None:
    if os.path.isdir(path):
        return
    _make_folder(os.path.dirname(path), made)
    made.append(path)
    try:
        os.mkdir(path)
    except FileExistsError:
        made.remove(path)
        if not os.path.isdir(path):  # else another run was faster
            raise


class _Step:
    """One file on its way; ``data`` of None removes it."""

    def __init__(self, path: str, data: bytes | None) -> None:
        # A link is followed, so that it stays a link.
        self.target = os.path.realpath(path)
        self.path = path
        self.data = data
        folder, name = os.path.split(self.target)
        # Names are fixed before the files exist: an interrupt between the two leaves nothing unknown.
        hidden = os.path.join(folder, f".{name}.{os.urandom(4).hex()}")
        self.staged, self.saved = f"{hidden}.new", f"{hidden}.old"
        self.swapped = False

    def stage(self) -> None:
        if self.data is None:
            return
        with open(self.staged, "xb") as file:
            file.write(self.data)
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(self.target):
            shutil.copymode(self.target, self.staged)

    def swap(self) -> None:
        if os.path.exists(self.target):
            self._save()
        self.swapped = True
        if self.data is None:
            os.unlink(self.target)
        else:
            os.replace(self.staged, self.target)

    def _save(self) -> None:
        try:
            os.link(self.target, self.saved)
        except OSError:  # a file system without links
            shutil.copy2(self.target, self.saved)

    def revert(self) -> None:
        if not self.swapped:
            return
        if os.path.exists(self.saved):
            os.replace(self.saved, self.target)
        elif not os.path.exists(self.staged):
            os.unlink(self.target)
