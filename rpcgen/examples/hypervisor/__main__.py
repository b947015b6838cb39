"""``python -m rpcgen.examples.hypervisor``: the hypervisor on a socket, until it is interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rpcgen.examples.hypervisor.hypervisor import Hypervisor
from rpcgen.runtime import ConnectError, Server

_STOP = (signal.SIGINT, signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM, and say where and how to get there.

    Args:
        arguments: of the command line; those of the process if None.

    Returns:
        the exit code: 1 if the address cannot be listened at.
    """
    parser = argparse.ArgumentParser(
        prog="python -m rpcgen.examples.hypervisor",
        description="A libvirt hypervisor in memory, for libvirt's clients and for ours.",
    )
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        help="unix:///path or tcp://host:port; a socket in a new temporary folder if not given",
    )
    options = parser.parse_args(arguments)
    with TemporaryDirectory(prefix="hypervisor-") as folder:
        try:
            _serve(options.listen or f"unix://{Path(folder, 'socket')}")
        except ConnectError as error:
            sys.stderr.write(f"{parser.prog}: {error}\n")
            return 1
    return 0


def _serve(address: str) -> None:
    # Before any thread is started: all of them leave the signals to ``sigwait``.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
    with Server([Hypervisor()], listen=[address]) as server:
        sys.stdout.write(f"virsh -c '{_uri(server.addresses[0])}' list --all\n")
        sys.stdout.flush()
        signal.sigwait(_STOP)


def _uri(address: str) -> str:
    """What libvirt's clients call a server at an address."""
    transport, _, place = address.partition("://")
    if transport == "unix":
        return f"test+unix:///default?socket={place}"
    return f"test+{transport}://{place}/default"


if __name__ == "__main__":
    sys.exit(main())
