"""Where a libvirt daemon listens: from a URI to the address of its socket.

Paths and ports of libvirt's own daemons. Nothing is connected here, and no daemon is started.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from typing import Final

from rpcgen.libvirt.ssh import ssh_argv
from rpcgen.libvirt.uri import LibvirtUri, Transport, UriError

TCP_PORT: Final = 16509
"""``tcp_port`` of libvirtd.conf, where it says nothing."""

TLS_PORT: Final = 16514
"""The same for ``tls_port``."""

SYSTEM_FOLDER: Final = "/var/run/libvirt"
"""Where the daemons that serve the whole machine have their sockets."""

FAR: Final = (Transport.SSH, Transport.LIBSSH, Transport.LIBSSH2)
"""Those that end at a socket of another machine."""


def address(
    uri: LibvirtUri,
    *,
    readonly: bool = False,
    environ: Mapping[str, str] = os.environ,
    uid: int | None = None,
    exists: Callable[[str], bool] = os.path.exists,
) -> str:
    """The address to connect to, as ``rpcgen.runtime.connect`` takes it.

    Args:
        uri: what was asked for.
        readonly: prefer the socket of a system daemon that lets everybody look.
        environ: for XDG_RUNTIME_DIR, and for XDG_CACHE_HOME and HOME, which stand in for it.
        uid: whose session; by default the effective user's.
        exists: whether a path is there.

    Raises:
        UriError: the URI asks for what needs more than it says.
    """
    if uri.transport is Transport.EXT:
        return f"command:{shlex.quote(uri.parameters['command'])}"
    if uri.transport in (Transport.TCP, Transport.TLS):
        host = uri.host or "localhost"
        port = uri.port or (TCP_PORT if uri.transport is Transport.TCP else TLS_PORT)
        return f"{uri.transport.value}://{f'[{host}]' if ':' in host else host}:{port}"
    path = socket_path(uri, readonly=readonly, environ=environ, uid=uid, exists=exists)
    if uri.transport is Transport.SSH:
        return f"command:{shlex.join(ssh_argv(uri, path, readonly=readonly))}"
    return f"unix://{path if path.startswith('@') else os.path.abspath(path)}"


def socket_path(
    uri: LibvirtUri,
    *,
    readonly: bool = False,
    environ: Mapping[str, str] = os.environ,
    uid: int | None = None,
    exists: Callable[[str], bool] = os.path.exists,
) -> str:
    """The UNIX socket that is meant, here or on the far side of SSH; arguments as for ``address``."""
    user = is_session(uri, os.geteuid() if uid is None else uid)
    folder = user_folder(environ) if user else SYSTEM_FOLDER
    suffix = "-ro" if readonly and not user else ""
    return uri.parameters.get("socket") or _default_socket(uri, folder, suffix, exists)


def is_session(uri: LibvirtUri, uid: int) -> bool:
    """Whether the daemon of one user is meant, not that of the machine: never for root.

    A URI that says nothing means it, and so do the path ``/session`` and the driver ``test``.
    """
    return uid != 0 and (not uri.driver or uri.driver == "test" or uri.path == "/session")


def user_folder(environ: Mapping[str, str]) -> str:
    """Where the daemons of one user have their sockets."""
    home = environ.get("HOME") or os.path.expanduser("~")
    cache = environ.get("XDG_CACHE_HOME") or f"{home}/.cache"
    return os.path.join(environ.get("XDG_RUNTIME_DIR") or cache, "libvirt")


def _default_socket(
    uri: LibvirtUri, folder: str, suffix: str, exists: Callable[[str], bool]
) -> str:
    """The driver's own daemon, if it is there, or else the one for all drivers."""
    mode = uri.parameters.get("mode", "auto")
    legacy = f"{folder}/libvirt-sock{suffix}"
    direct = f"{folder}/virt{uri.driver}d-sock{suffix}"
    has_daemon = uri.driver not in ("", "remote")
    if uri.transport in FAR and mode == "direct":
        raise UriError("parameter mode", "direct is for this machine, not for the far side of SSH")
    if uri.transport in FAR:
        return legacy  # what is there cannot be seen from here
    if mode == "direct" and not has_daemon:
        raise UriError("parameter mode", "direct needs a driver, whose daemon is then called")
    if mode == "direct" or (mode == "auto" and has_daemon and exists(direct)):
        return direct
    return legacy
