"""Whether a run would do anything, told without reading a single definition.

Problem: parsing and rendering everything takes seconds, and most runs in a build change nothing.
Options: times of files (wrong after a checkout), a digest in the committed record (every change of
the generator would touch every record). Choice: a digest of all that goes into a run and all that
came out of it, kept outside the project in the user's cache folder. A stamp that is missing,
damaged or of another machine costs a full run and nothing else.
"""

from __future__ import annotations

import glob
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version

from rpcgen.emit.record import FILE_NAME

_GENERATOR = ("errors.py", "generate.py", "stamp.py", "syntax", "model", "emit")
"""What decides about the output, within our own package."""

_TOOLS = ("ply", "jinja2", "black")


class Stamp:
    """The stamp of one kind of run.

    Args:
        options: all that the command line and the configuration say.
        folders: where imports are looked up and packages are written: what comes or goes there counts.
    """

    def __init__(self, options: str, folders: Iterable[str]) -> None:
        self._started = time.time_ns()
        self._options = f"{os.getcwd()}\n{options}"
        self._folders = sorted({os.path.abspath(folder) for folder in folders})
        self._path = os.path.join(_cache_folder(), f"{_digest([self._options.encode()])}.json")

    def holds(self) -> bool:
        """Whether nothing that the last such run read or wrote has changed."""
        try:
            with open(self._path, encoding="utf-8") as file:
                found = json.load(file)
            return bool(found["state"] == self._state(found["files"]))
        except (OSError, ValueError, LookupError, TypeError):
            return False

    def leave(self, inputs: Iterable[str], outputs: Iterable[str]) -> None:
        """Remember a run that went well; not if an input was changed meanwhile, nor where that fails."""
        read, written = (
            sorted({os.path.abspath(path) for path in paths}) for paths in (inputs, outputs)
        )
        with suppress(OSError):
            if any(os.stat(path).st_mtime_ns >= self._started for path in read):
                return
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            fresh = f"{self._path}.{os.getpid()}"
            with open(fresh, "w", encoding="utf-8") as file:
                json.dump({"files": read + written, "state": self._state(read + written)}, file)
            os.replace(fresh, self._path)

    def _state(self, files: Sequence[str]) -> str:
        return _digest(self._parts(files))

    def _parts(self, files: Sequence[str]) -> Iterator[bytes]:
        yield self._options.encode()
        yield from (f"{tool} {_version(tool)}".encode() for tool in _TOOLS)
        for path in [*_generator_files(), *files]:
            yield os.fsencode(path)
            yield _content(path)
        for folder in self._folders:
            for pattern in ("*.x", os.path.join("*", FILE_NAME)):
                yield from map(os.fsencode, sorted(glob.glob(pattern, root_dir=folder)))


def _cache_folder() -> str:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser(os.path.join("~", ".cache"))
    return os.path.join(home, "rpcgen")


def _generator_files() -> Iterator[str]:
    ours = os.path.dirname(os.path.abspath(__file__))
    for part in _GENERATOR:
        path = os.path.join(ours, part)
        below = glob.glob("**/*", root_dir=path, recursive=True)
        yield from (
            os.path.join(path, name) for name in sorted(below) if name.endswith((".py", ".j2"))
        )
        yield path


def _version(tool: str) -> str:
    try:
        return version(tool)
    except PackageNotFoundError:
        return "missing"


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return b"+" + file.read()
    except OSError:
        return b"-"


def _digest(parts: Iterable[bytes]) -> str:
    whole = blake2b(digest_size=16)
    for part in parts:
        whole.update(b"%d:" % len(part))
        whole.update(part)
    return whole.hexdigest()
