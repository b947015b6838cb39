"""``python -m rpcgen.examples.filer FOLDER ADDRESS``: serve a folder until Ctrl-C."""

from __future__ import annotations

import sys

from rpcgen.examples.filer.server import Filer
from rpcgen.runtime import ConnectError, Server

USAGE = "usage: python -m rpcgen.examples.filer FOLDER ADDRESS   (unix:///path, tcp://host:port)"


def main(arguments: list[str]) -> int:
    """Serve, and return the exit code."""
    if len(arguments) != 2:
        print(USAGE, file=sys.stderr)
        return 2
    folder, address = arguments
    try:
        Server([Filer(folder)], listen=[address]).run()
    except ConnectError as error:
        print(f"filer: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
