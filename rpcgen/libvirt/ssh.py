"""What is run to reach a daemon through SSH: the user's own ``ssh``, and a script on the far side.

Word for word what libvirt runs, so that what it is configured for serves both. A library for SSH
runs the same script. Nothing is run here.
"""

from __future__ import annotations

import re
from typing import Final

from rpcgen.libvirt.uri import LibvirtUri, UriError

_SPECIAL: Final = re.compile(r"[\r\t\n !\"#$&'()*;<>?\[\\\]^`{|}~]")
"""What makes libvirt quote a word."""

_NETCAT: Final = (
    'if {netcat} -q 2>&1 | grep "requires an argument" >/dev/null 2>&1; then '
    "ARG=-q0;else ARG=;fi;{netcat} $ARG -U {socket}"
)
"""Without ``-q0`` some netcats stay when the connection is over; others do not know it."""

_HELPER: Final = "virt-ssh-helper {readonly}{uri}"

_EITHER: Final = (
    "which virt-ssh-helper 1>/dev/null 2>&1; if test $? = 0; then"
    "     {helper}; else    {netcat}; fi"
)


def ssh_argv(uri: LibvirtUri, socket: str, *, readonly: bool = False) -> list[str]:
    """The command that carries a connection.

    Args:
        uri: with the transport ``ssh``; its parameters ``command``, ``keyfile``, ``no_tty``,
            ``no_verify``, ``netcat`` and ``proxy`` are minded.
        socket: the daemon's on the far side, for netcat. libvirt's helper finds it by itself.
        readonly: that the helper only looks.

    Raises:
        UriError: parameters that contradict each other.
    """
    parameters = uri.parameters
    argv = [parameters.get("command") or "ssh"]
    if uri.port is not None:
        argv += ["-p", str(uri.port)]
    if uri.user:
        argv += ["-l", uri.user]
    if parameters.get("keyfile"):
        argv += ["-i", parameters["keyfile"]]
    argv += ["-T", "-e", "none"]
    if _is_set(uri, "no_tty"):
        argv += ["-o", "BatchMode=yes"]
    if _is_set(uri, "no_verify"):
        argv += ["-o", "StrictHostKeyChecking=no"]
    command = remote_command(uri, socket, readonly=readonly)
    return [*argv, "--", uri.host or "localhost", command]


def remote_command(uri: LibvirtUri, socket: str, *, readonly: bool = False) -> str:
    """What is run on the far side, for its user's shell: see ``ssh_argv``."""
    return f"sh -c '{_script(uri, socket, readonly)}'"


def _script(uri: LibvirtUri, socket: str, readonly: bool) -> str:
    proxy, netcat = _proxy(uri), uri.parameters.get("netcat")
    by_netcat = _NETCAT.format(
        netcat=_word("nc" if netcat is None else netcat),
        socket=_word(socket) if _SPECIAL.search(socket) else socket,
    )
    if proxy == "netcat":
        return by_netcat
    by_helper = _HELPER.format(readonly="-r " if readonly else "", uri=_word(uri.name))
    if proxy == "native":
        return by_helper
    return _EITHER.format(helper=by_helper, netcat=by_netcat)


def _proxy(uri: LibvirtUri) -> str:
    """Which one: netcat if a socket is named, of which the helper does not hear."""
    parameters = uri.parameters
    proxy = parameters.get("proxy", "netcat" if "socket" in parameters else "auto")
    if "netcat" not in parameters:
        return proxy
    if proxy == "native":
        raise UriError("parameter netcat", "the native proxy needs none")
    return "netcat"


def _is_set(uri: LibvirtUri, name: str) -> bool:
    return int(uri.parameters.get(name, "0")) != 0


def _word(text: str) -> str:
    """A word for the inner of two shells, in the midst of the quotes of the outer one."""
    return f"'{_quoted(_quoted(text))}'"


def _quoted(text: str) -> str:
    if text and not _SPECIAL.search(text):
        return text
    return "'" + text.replace("'", "'\\''") + "'"
