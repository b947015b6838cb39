"""``libssh`` and ``libssh2``: SSH without the program ``ssh``, by the package asyncssh.

Where the daemon is, the caller says; what is run there, ``ssh`` says. The user's ``~/.ssh/config``
and ``~/.ssh/known_hosts`` are not read: libvirt has a file of its own for the hosts it knows.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rpcgen.libvirt.login import Ask
from rpcgen.libvirt.ssh import remote_command
from rpcgen.libvirt.sshlibrary.target import read_target
from rpcgen.libvirt.uri import LibvirtUri
from rpcgen.runtime.errors import ConnectError

if TYPE_CHECKING:
    from rpcgen.libvirt.sshlibrary.attempt import Attempt
    from rpcgen.libvirt.sshlibrary.tunnel import TunnelStream


def dial(
    uri: LibvirtUri,
    socket: str,
    *,
    readonly: bool = False,
    timeout: float | None = None,
    ask: Ask | None = None,
    environ: Mapping[str, str] = os.environ,
) -> TunnelStream:
    """Log in, and run the command that carries a connection.

    Args:
        uri: with the transport ``libssh`` or ``libssh2``; its parameters ``keyfile``,
            ``known_hosts``, ``known_hosts_verify``, ``netcat``, ``no_verify``, ``proxy`` and
            ``sshauth`` are minded.
        socket: the daemon's on the far side, for netcat. libvirt's helper finds it by itself.
        readonly: that the helper only looks.
        timeout: seconds, without those in which ``ask`` is asked; None waits for the system.
        ask: gets a ``Question`` whose kind is ``password``, ``passphrase`` (of a key), ``trust``
            (whether to trust an unknown host: ``y`` or ``n``) or ``answer`` (to what else a server
            wants to know); called on the thread that waits here. By default nobody is asked.
        environ: for HOME, XDG_CONFIG_HOME and SSH_AUTH_SOCK.

    Raises:
        UriError: parameters that contradict each other.
        ConnectError: nobody answers there, the host is not the one it should be, nothing that was
            tried lets the user in, or asyncssh is not installed.
    """
    return _attempt(uri, socket, readonly, ask, environ).wait(timeout)


async def dial_async(
    uri: LibvirtUri,
    socket: str,
    *,
    readonly: bool = False,
    timeout: float | None = None,
    ask: Ask | None = None,
    environ: Mapping[str, str] = os.environ,
) -> TunnelStream:
    """``dial`` for asyncio. ``ask`` is called on a thread of the loop's executor."""
    attempt = _attempt(uri, socket, readonly, ask, environ)
    waiting = asyncio.get_running_loop().run_in_executor(None, attempt.wait, timeout)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        attempt.cancel()
        waiting.add_done_callback(_discard)
        raise


def _discard(waiting: asyncio.Future[TunnelStream]) -> None:
    """Nobody waits any more for what comes of it."""
    if not waiting.cancelled() and waiting.exception() is None:
        waiting.result().close()


def _attempt(
    uri: LibvirtUri,
    socket: str,
    readonly: bool,
    ask: Ask | None,
    environ: Mapping[str, str],
) -> Attempt:
    target = read_target(uri, environ)
    command = remote_command(uri, socket, readonly=readonly)
    try:
        from rpcgen.libvirt.sshlibrary.attempt import Attempt
    except ModuleNotFoundError as error:
        raise ConnectError(
            f"{uri.transport.value} needs the package {error.name}: pip install rpcgen[ssh]"
        ) from error
    return Attempt(target, command, ask)
