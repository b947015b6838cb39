"""The far side of an SSH tunnel: a program that carries its standard streams to a local daemon.

Clients of libvirt call it as ``virt-ssh-helper``; a link of that name, first in the PATH that sshd
gives, has them find this one. Bytes are carried and not looked at.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from rpcgen.libvirt.sockets import address
from rpcgen.libvirt.uri import parse
from rpcgen.runtime.errors import ConnectError, RpcError
from rpcgen.runtime.transport.address import parse as parse_address
from rpcgen.runtime.transport.dial import dial

_BUFFER: Final = 1_048_576
"""Bytes of one direction that wait for who is to read them before no more are taken."""

_READ_SIZE: Final = 65_536

_HUNG_UP: Final = select.POLLERR | select.POLLHUP


class HelperError(RpcError):
    """The configuration of the helper cannot be used; the message names the file."""


class _Way:
    """One direction: from a descriptor to another."""

    def __init__(self, source: int, target: int) -> None:
        self.source = source
        self.target = target
        self.waiting = bytearray()
        self.has_ended = False

    @property
    def is_done(self) -> bool:
        """Whether all that will ever come has been carried."""
        return self.has_ended and not self.waiting

    def take(self) -> None:
        """Read once."""
        with suppress(BlockingIOError):
            data = os.read(self.source, _READ_SIZE)
            self.waiting += data
            self.has_ended = not data

    def give(self) -> None:
        """Write what can be written now."""
        with suppress(BlockingIOError):
            del self.waiting[: os.write(self.target, self.waiting)]


def carry(one_in: int, one_out: int, other: int) -> None:
    """Carry bytes both ways until either side ends; then what it said last is still delivered.

    Args:
        one_in, one_out: descriptors of one side; may be the same.
        other: of the other side, for both directions.
    """
    with ExitStack() as undo:
        for fd in {one_in, one_out, other}:
            undo.callback(os.set_blocking, fd, os.get_blocking(fd))
            os.set_blocking(fd, False)
        ways = (_Way(one_in, other), _Way(other, one_out))
        with suppress(ConnectionError):  # who is to hear is gone
            while not any(way.is_done for way in ways):
                _carry_once(ways)


def _carry_once(ways: Sequence[_Way]) -> None:
    wanted: dict[int, int] = {}
    for way in ways:
        if len(way.waiting) < _BUFFER and not way.has_ended:
            wanted[way.source] = wanted.get(way.source, 0) | select.POLLIN
        if way.waiting:
            wanted[way.target] = wanted.get(way.target, 0) | select.POLLOUT
    poll = select.poll()
    for fd, events in wanted.items():
        poll.register(fd, events)
    found = dict(poll.poll())
    for way in ways:
        if wanted.get(way.source, 0) & select.POLLIN and found.get(way.source):
            way.take()
        if way.waiting and found.get(way.target, 0) & (select.POLLOUT | _HUNG_UP):
            way.give()


def place(uri: str, *, readonly: bool, environ: Mapping[str, str] = os.environ) -> str:
    """Where to connect: what ``ssh-helper.toml`` says, or where libvirt's daemon of the URI is.

    The file is looked for in ``$XDG_CONFIG_HOME/rpcgen`` (``~/.config/rpcgen``), then in
    ``/etc/rpcgen``; its keys are ``socket`` and ``readonly_socket``, paths.

    Raises:
        UriError: the URI is none of a local daemon's.
        HelperError: the file cannot be read, or says something else.
    """
    home = environ.get("HOME") or os.path.expanduser("~")
    folders = [environ.get("XDG_CONFIG_HOME") or f"{home}/.config", "/etc"]
    for folder in folders:
        path = Path(folder, "rpcgen/ssh-helper.toml")
        if path.exists():
            sockets = _read(path)
            key = "readonly_socket" if readonly and "readonly_socket" in sockets else "socket"
            return f"unix://{sockets[key]}"
    return address(parse(uri), readonly=readonly, environ=environ)


def _read(path: Path) -> dict[str, str]:
    try:
        found = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise HelperError(f"{path}: {error}") from error
    for key, value in found.items():
        if key not in ("socket", "readonly_socket") or not isinstance(value, str):
            raise HelperError(f"{path}: {key}: expected socket or readonly_socket, and a path")
    if "socket" not in found:
        raise HelperError(f"{path}: expected the key socket")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the helper: 0 when a side has ended, 1 if there is nobody to connect to, 130 on Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="virt-ssh-helper", description="Carry standard input and output to a local daemon."
    )
    parser.add_argument("-r", "--readonly", action="store_true", help="only look")
    parser.add_argument("uri", metavar="URI", help="libvirt's, without transport and host")
    options = parser.parse_args(arguments)
    try:
        where = parse_address(place(options.uri, readonly=options.readonly))
        if where.kind != "unix":
            raise ConnectError(f"{where}: expected a daemon on this machine")
        connected = dial(where).detach()
    except RpcError as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return 1
    try:
        carry(0, 1, connected)
    except KeyboardInterrupt:
        return 130  # 128 and SIGINT, as a shell has it
    finally:
        os.close(connected)
    return 0


if __name__ == "__main__":
    sys.exit(main())
