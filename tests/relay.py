"""A program that carries bytes between its standard streams and a UNIX socket, as ``nc -U`` does."""

from __future__ import annotations

import sys
from pathlib import Path

_PROGRAM = """#!{python}
import os, selectors, socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect({path!r})
ways = {{0: (0, peer.fileno()), peer.fileno(): (peer.fileno(), 1)}}
ready = selectors.DefaultSelector()
for fd in ways:
    ready.register(fd, selectors.EVENT_READ)
while True:
    for key, _ in ready.select():
        source, target = ways[key.fd]
        data = os.read(source, 65536)
        if not data:
            sys.exit()
        while data:
            data = data[os.write(target, data):]
"""


def make_relay(folder: Path, socket_path: Path | str) -> Path:
    """Write the program, for one socket; its path has a space in it."""
    program = folder / "my relay"
    program.write_text(_PROGRAM.format(python=sys.executable, path=str(socket_path)))
    program.chmod(0o700)
    return program
