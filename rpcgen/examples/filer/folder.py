"""A folder on disk as filer sees it: paths below a root, and what is known about entries.

It knows files and the types of ``filer.x``, and nothing of connections.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from rpcgen.examples.filer.bindings.filer.constants import FILER_ENTRIES_MAX
from rpcgen.examples.filer.bindings.filer.types import (
    FilerDetails,
    FilerDetailsFilerFile,
    FilerDetailsFilerFolder,
    FilerDetailsFilerLink,
    FilerEntry,
    FilerError,
)
from rpcgen.runtime import RemoteError

_UNFINISHED = ".filer-unfinished-"
"""How files begin that are still being stored: nobody sees them."""


class Folder:
    """Everything below a root.

    Methods raise RemoteError with a ``FilerError`` as its code, or as VIR_ERR_SYSTEM_ERROR (38)
    with the errno as ``int1`` where the system refuses.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(os.path.realpath(root))

    def list(self, path: str) -> list[FilerEntry]:
        """The entries of a folder, sorted by path."""
        folder = self._find(path)
        if not folder.is_dir():
            raise _error(FilerError.FILER_WRONG_KIND, path, "is not a folder")
        found = sorted(one for one in os.listdir(folder) if not one.startswith(_UNFINISHED))
        if len(found) > FILER_ENTRIES_MAX:
            raise _error(FilerError.FILER_WRONG_KIND, path, f"has over {FILER_ENTRIES_MAX} entries")
        return [self.entry(f"{path}/{name}" if path else name) for name in found]

    def entry(self, path: str, *, digest: bool = False) -> FilerEntry:
        """What is known about an entry, with a file's digest if it is asked for."""
        place = self._find(path)
        details = _details(place)
        is_file = isinstance(details, FilerDetailsFilerFile)
        return FilerEntry(
            path,
            details,
            int(place.lstat().st_mtime),
            _digest(place) if digest and is_file else None,
        )

    def file(self, path: str) -> Path:
        """Where a file is on disk."""
        place = self._find(path)
        if not place.is_file() or place.is_symlink():
            raise _error(FilerError.FILER_WRONG_KIND, path, "is not a file")
        return place

    def store(self, path: str, data: Iterable[bytes], *, overwrite: bool) -> None:
        """Make a file of data; it appears when all of it is there, or not at all."""
        place = self._place(path)
        self._refuse_existing(path, place, overwrite=overwrite)
        with NamedTemporaryFile(dir=place.parent, prefix=_UNFINISHED, delete=False) as file:
            try:
                for chunk in data:
                    file.write(chunk)
                file.close()
                if overwrite:
                    os.replace(file.name, place)
                else:
                    os.link(file.name, place)  # fails where somebody was faster
            except FileExistsError as error:
                raise _error(FilerError.FILER_EXISTS, path, "exists already") from error
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(file.name)

    def remove(self, path: str) -> None:
        """Remove a file, a link or an empty folder."""
        place = self._find(path)
        if place == self.root:
            raise _error(FilerError.FILER_BAD_PATH, path, "is the served folder itself")
        if stat.S_ISDIR(place.lstat().st_mode):
            place.rmdir()
        else:
            place.unlink()

    def rename(self, path: str, new_path: str) -> None:
        """Give an entry another path, which must be free."""
        place, target = self._find(path), self._place(new_path)
        self._refuse_existing(new_path, target, overwrite=False)
        place.rename(target)

    def _find(self, path: str) -> Path:
        place = self._place(path)
        if not os.path.lexists(place):
            raise _error(FilerError.FILER_NOT_FOUND, path, "is not there")
        return place

    def _place(self, path: str) -> Path:
        """Where a path leads; every folder on the way must be below the root, links or not."""
        parts = path.split("/") if path else []
        if any(part in ("", ".", "..") for part in parts):
            raise _error(FilerError.FILER_BAD_PATH, path, "is not a path below the served folder")
        place = self.root.joinpath(*parts)
        if parts and not Path(os.path.realpath(place.parent)).is_relative_to(self.root):
            raise _error(FilerError.FILER_BAD_PATH, path, "leads out of the served folder")
        return place

    def _refuse_existing(self, path: str, place: Path, *, overwrite: bool) -> None:
        if not place.parent.is_dir():
            raise _error(FilerError.FILER_NOT_FOUND, path, "is in a folder that is not there")
        if os.path.lexists(place) and not (overwrite and place.is_file()):
            raise _error(FilerError.FILER_EXISTS, path, "exists already")


def _details(place: Path) -> FilerDetails:
    status = place.lstat()
    if stat.S_ISLNK(status.st_mode):
        return FilerDetailsFilerLink(os.readlink(place))
    if stat.S_ISDIR(status.st_mode):
        return FilerDetailsFilerFolder(len(os.listdir(place)))
    return FilerDetailsFilerFile(status.st_size)


def _digest(place: Path) -> bytes:
    with place.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _error(code: FilerError, path: str, why: str) -> RemoteError:
    return RemoteError(code, f"{path!r} {why}")
