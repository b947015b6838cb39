"""Whom a URI asks to log in as, where, and by which means; with libvirt's defaults.

Nothing is read but the URI and the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from rpcgen.libvirt.uri import LibvirtUri, UriError

Verify: TypeAlias = Literal["normal", "auto", "ignore"]

METHODS: Final = {
    "agent": "publickey",
    "privkey": "publickey",
    "password": "password",
    "keyboard-interactive": "keyboard-interactive",
}
"""What ``sshauth`` may name, in the order that libvirt tries it, and SSH's name of it."""

_KEYS: Final = ("identity", "id_dsa", "id_ecdsa", "id_ed25519", "id_rsa")
"""Files in ``~/.ssh`` that may hold a key, as libvirt tries them."""

PORT: Final = 22
_HOST: Final = "localhost"
_USER: Final = "root"
"""libvirt's libraries log in as root where ``ssh`` takes the user's own name."""


class Target(NamedTuple):
    """Where to log in, and how.

    Attributes:
        host, port, user: whom to ask for what.
        methods: names of ``METHODS``, in the order to try them.
        keyfile: the one to use, or None for those of ``keys`` that are there.
        keys: files that may hold one.
        agent: the socket of the agent, or None.
        known_hosts: the file of known hosts; it may be missing.
        verify: whether to refuse unknown hosts, to trust them from now on, or not to look.
    """

    host: str
    port: int
    user: str
    methods: tuple[str, ...]
    keyfile: Path | None
    keys: tuple[Path, ...]
    agent: str | None
    known_hosts: Path
    verify: Verify

    @property
    def place(self) -> str:
        """For errors, and as the peer's address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_target(uri: LibvirtUri, environ: Mapping[str, str] = os.environ) -> Target:
    """What a URI asks for.

    Raises:
        UriError: ``sshauth`` names what is no way to log in.
    """
    home = environ.get("HOME") or os.path.expanduser("~")
    config = environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    parameters = uri.parameters
    keyfile = parameters.get("keyfile")
    return Target(
        uri.host or _HOST,
        uri.port or PORT,
        uri.user or _USER,
        _methods(parameters.get("sshauth")),
        Path(keyfile) if keyfile else None,
        tuple(Path(home, ".ssh", name) for name in _KEYS),
        environ.get("SSH_AUTH_SOCK") or None,
        Path(parameters.get("known_hosts") or f"{config}/libvirt/known_hosts"),
        _verify(parameters),
    )


def _methods(text: str | None) -> tuple[str, ...]:
    if not text:
        return tuple(METHODS)
    names = tuple(dict.fromkeys(name.lower() for name in text.split(",")))
    for name in names:
        if name not in METHODS:
            raise UriError("parameter sshauth", f"expected {', '.join(METHODS)}, got {name!r}")
    return names


def _verify(parameters: Mapping[str, str]) -> Verify:
    match parameters.get("known_hosts_verify"):
        case "auto":
            return "auto"
        case "ignore":
            return "ignore"
        case None if int(parameters.get("no_verify", "0")):
            return "ignore"
    return "normal"
