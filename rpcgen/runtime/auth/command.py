"""``rpcgen-users``: add, change, remove and list the users of a server.

Passwords come from the terminal, or from standard input, never from the command line, which
everybody on a machine can read.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rpcgen.runtime.auth.mechanism import Secret
from rpcgen.runtime.auth.users import DEFAULT, DIGESTS, UserStore
from rpcgen.runtime.errors import AuthError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

PASSWORD_MAX: Final = 1_024
"""Bytes of a password: a whole file on standard input is a mistake."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0, or 1 after a message on standard error. A wrong command line exits with 2.
    """
    options = _parser().parse_args(arguments)
    store = UserStore(Path(options.file), of_others=os.geteuid() == 0)
    try:
        if options.action == "list":
            sys.stdout.write("".join(f"{name}\n" for name in store.names()))
            sys.stdout.flush()
        elif options.action == "remove":
            store.remove(options.name)
        else:
            store.expect(options.name, is_new=options.action == "add")
            act = store.add if options.action == "add" else store.change
            act(options.name, _password(piped=options.password_stdin), options.mechanism or DEFAULT)
    except AuthError as error:
        sys.stderr.write(f"rpcgen-users: {error}\n")
        return 1
    except OSError as error:  # of standard output: who reads it has gone, or a disk is full
        sys.stderr.write(f"rpcgen-users: standard output: {error.strerror}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would try once more at its end
        return 1
    except (EOFError, KeyboardInterrupt):
        sys.stderr.write("\nrpcgen-users: nothing was changed\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rpcgen-users", description="Users of a server that asks for a password (SASL)."
    )
    parser.add_argument(
        "-f", "--file", required=True, help="the file with the users; add makes it if need be"
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action, text in (("add", "a new user"), ("change", "another password for a user")):
        sub = actions.add_parser(action, help=text, description=text)
        sub.add_argument("name", metavar="NAME")
        sub.add_argument(
            "-p",
            "--password-stdin",
            action="store_true",
            help="read the password from standard input, up to the end of its line",
        )
        sub.add_argument(
            "-m",
            "--mechanism",
            action="append",
            choices=DIGESTS,
            help=f"what the user may log in with, once for each (default: {', '.join(DEFAULT)})",
        )
    sub = actions.add_parser("remove", help="forget a user", description="forget a user")
    sub.add_argument("name", metavar="NAME")
    actions.add_parser("list", help="all names", description="all names, one on a line")
    return parser


def _password(*, piped: bool) -> Secret:
    if piped:
        return Secret(_line())
    if not sys.stdin.isatty():
        raise AuthError("standard input is no terminal: to pipe the password in, say -p")
    from getpass import getpass

    password = Secret(getpass("Password: "))
    if password != Secret(getpass("Again: ")):
        raise AuthError("the passwords are not the same")
    return password


def _line() -> str:
    line = sys.stdin.buffer.readline(PASSWORD_MAX + 1)
    if len(line) > PASSWORD_MAX:
        raise AuthError(f"a password: expected {PASSWORD_MAX} bytes or fewer")
    text = line.rstrip(b"\r\n").decode(errors="replace")
    if "\ufffd" in text:
        raise AuthError("a password: expected text in UTF-8")
    return text


if __name__ == "__main__":
    sys.exit(main())
