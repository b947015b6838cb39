"""The command line of the lock daemon."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TYPE_CHECKING

from rpcgen.examples.lockd import daemon
from rpcgen.examples.lockd.owner import end_owner
from rpcgen.runtime import ConnectError
from rpcgen.runtime.process import ProcessError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rpcgen.examples.lockd.owner import OwnerProcess

_logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT, SIGQUIT or SIGTERM.

    Args:
        arguments: of the command line; those of the process if None.

    Returns:
        the exit code: 1 if the pidfile is held or the address cannot be listened at.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    level = logging.INFO if options.verbose else logging.WARNING
    logging.basicConfig(level=level, format=f"{parser.prog}: %(levelname)s: %(message)s")
    try:
        daemon.run(
            options.listen,
            pid_file=options.pid_file,
            state_file=options.state_file,
            owner_left=_spare if options.spare_owners else end_owner,
        )
    except (ConnectError, ProcessError, OSError) as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rpcgen-lockd",
        description="A lock daemon for whatever speaks to libvirt's virtlockd.",
    )
    parser.add_argument(
        "--listen",
        action="append",
        required=True,
        metavar="ADDRESS",
        help="where clients connect, as unix:///path; may be given several times",
    )
    parser.add_argument("-p", "--pid-file", metavar="FILE", help="hold this pidfile meanwhile")
    parser.add_argument(
        "--state-file", metavar="FILE", help="what is left for the same command at SIGUSR1"
    )
    parser.add_argument(
        "--spare-owners",
        action="store_true",
        help="do not end a process that disconnects while it has leases",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="say what is done")
    return parser


def _spare(process: OwnerProcess) -> None:
    _logger.warning("process %d had leases when it disconnected", process.pid)
