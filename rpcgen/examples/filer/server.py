"""Filer's handlers: each procedure of ``filer.x`` on a folder, and events to those who watch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import BinaryIO

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from rpcgen.examples.filer.bindings.filer.server import FilerV1Server
from rpcgen.examples.filer.bindings.filer.types import FilerEntry
from rpcgen.examples.filer.folder import Folder
from rpcgen.runtime import Call, RemoteError, Session, StreamCall


class Filer(FilerV1Server):
    """Serves one folder.

    The handlers are plain methods: they run on the server's workers, so disks may take their time.

    Args:
        root: the folder.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._folder = Folder(root)
        self._watchers: dict[Session, set[str]] = {}
        self._lock = Lock()

    def list_folder(self, call: Call, path: str) -> list[FilerEntry]:
        with _system_errors():
            return self._folder.list(path)

    def stat(self, call: Call, path: str, digest: bool) -> FilerEntry:
        with _system_errors():
            return self._folder.entry(path, digest=digest)

    def remove(self, call: Call, path: str) -> None:
        with _system_errors():
            self._folder.remove(path)
        self._tell(path)

    def rename(self, call: Call, path: str, new_path: str) -> None:
        with _system_errors():
            self._folder.rename(path, new_path)
        self._tell(path)
        self._tell(new_path)

    def upload(self, call: StreamCall[None], path: str, overwrite: bool) -> None:
        with _system_errors():
            self._folder.store(path, call.stream, overwrite=overwrite)
        self._tell(path)

    def download(self, call: StreamCall[FilerEntry], path: str) -> BinaryIO:
        with _system_errors():
            file = self._folder.file(path).open("rb")
            call.reply(self._folder.entry(path))
            return file

    def watch(self, call: Call, path: str) -> None:
        with _system_errors():
            self._folder.entry(path)
        with self._lock:
            is_new = call.session not in self._watchers
            self._watchers.setdefault(call.session, set()).add(path)
        if is_new:
            call.session.on_close(lambda: self._forget(call.session))

    def unwatch(self, call: Call, path: str) -> None:
        with self._lock:
            self._watchers.get(call.session, set()).discard(path)

    def _forget(self, session: Session) -> None:
        with self._lock:
            self._watchers.pop(session, None)

    def _tell(self, path: str) -> None:
        """Send an event about an entry to everyone who watches a folder above it."""
        try:
            entry = self._folder.entry(path)
        except RemoteError:
            entry = None
        with self._lock:
            watching = [one for one, paths in self._watchers.items() if _is_below(path, paths)]
        for session in watching:
            self.send_changed(session, path, entry)


def _is_below(path: str, folders: set[str]) -> bool:
    return any(not folder or path == folder or path.startswith(f"{folder}/") for folder in folders)


@contextmanager
def _system_errors() -> Iterator[None]:
    """What the system refuses is an answer, not an accident."""
    try:
        yield
    except OSError as error:
        code = VirErrorNumber.VIR_ERR_SYSTEM_ERROR
        raise RemoteError(code, error.strerror, int1=error.errno or -1) from error
