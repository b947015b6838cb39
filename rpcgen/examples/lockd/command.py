"""The command line of the lock daemon."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TYPE_CHECKING

from rpcgen.examples.lockd.daemon import daemon_of
from rpcgen.examples.lockd.owner import end_owner
from rpcgen.runtime import RpcError
from rpcgen.runtime.daemon import exit_code
from rpcgen.runtime.process.daemonize import StartReport, daemonize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rpcgen.examples.lockd.owner import OwnerProcess

_logger = logging.getLogger(__name__)

_INFO, _WARNING = 2, 3
"""libvirt's levels."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT, SIGQUIT or SIGTERM.

    Args:
        arguments: of the command line; those of the process if None.

    Returns:
        the exit code, libvirt's: 1 if the pidfile is held, 6 if an address cannot be listened at, 7
        if the configuration is wrong, 3 if it cannot start for another reason.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        report = daemonize(parser.prog) if options.daemon else StartReport()
        daemon = daemon_of(
            options.listen,
            pidfile=options.pid_file,
            state_file=options.state_file,
            configuration=options.config,
            admin=options.admin,
            log_level=_INFO if options.verbose else _WARNING,
            owner_left=_spare if options.spare_owners else end_owner,
        )
        with report:
            daemon.run(report)
    except (RpcError, OSError) as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return exit_code(error)
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
    parser.add_argument("-f", "--config", metavar="FILE", help="what else it is to do, in TOML")
    parser.add_argument("--admin", metavar="ADDRESS", help="where virt-admin connects")
    parser.add_argument("-d", "--daemon", action="store_true", help="go into the background")
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
