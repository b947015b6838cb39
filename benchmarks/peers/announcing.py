"""How a server that chooses its own ports tells them: a file, and a socket that accepts once it is written."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FILE, _SOCKET = "addresses", "ready"


def ready(folder: Path) -> Path:
    """The UNIX socket that accepts once the addresses can be read."""
    return folder / _SOCKET


def addresses(folder: Path) -> list[str]:
    """Where the server listens, in its own order."""
    return (folder / _FILE).read_text().splitlines()


@contextmanager
def announced(folder: Path, *where: str) -> Iterator[None]:
    """Tell, as long as the block lasts."""
    (folder / _FILE).write_text("\n".join(where))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(ready(folder)))
        listener.listen()
        yield
