"""Which keys a host has: a file in the format of OpenSSH, and what to do when it does not say.

Nobody is talked to here but the user, who may be asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import asyncssh

from rpcgen.libvirt.sshlibrary.target import PORT, Target
from rpcgen.runtime.errors import ConnectError

Trust: TypeAlias = Callable[[str], str | None]
"""Asks the user whether to trust a host; None is no answer."""

Keys: TypeAlias = Sequence[asyncssh.SSHKey]

_KINDS: Final = {
    "ssh-ed25519": "ssh-ed25519",
    "ecdsa-sha2-nistp256": "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384": "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521": "ecdsa-sha2-nistp521",
    "rsa-sha2-512": "ssh-rsa",
    "rsa-sha2-256": "ssh-rsa",
}
"""How a host may prove who it is, and the kind of key for it: what OpenSSH gives its hosts."""

_CERTIFICATES: Final = "*-cert-v01@openssh.com"


class KnownHosts:
    """What is known of one host."""

    def __init__(self, target: Target) -> None:
        """Read the file, if it is there.

        Raises:
            ConnectError: it cannot be read, or is none.
        """
        self._path = target.known_hosts
        self._verify = target.verify
        host = target.host.lower()
        self._name = f"[{host}]:{target.port}" if target.port != PORT else host
        self._keys: Keys = ()
        self._authorities: Keys = ()
        self._revoked: Keys = ()
        self._new: asyncssh.SSHKey | None = None
        if self._verify != "ignore":
            self._read()

    @property
    def keys(self) -> tuple[Keys, Keys, Keys] | None:
        """As asyncssh takes them; None if they are not to be looked at."""
        if self._verify == "ignore":
            return None
        return self._keys, self._authorities, self._revoked

    @property
    def algorithms(self) -> str:
        """How the host is to prove who it is, as asyncssh takes it: by what is known, if it can.

        If it cannot, it is to show what it has, so that its being another one is seen.
        """
        known = {key.get_algorithm() for key in self._keys}
        kinds = sorted(_KINDS, key=lambda kind: _KINDS[kind] not in known)
        return ",".join([_CERTIFICATES, *kinds] if self._authorities else kinds)

    def judge(self, key: asyncssh.SSHKey, ask: Trust | None) -> str | None:
        """Why a key that is not in the file is refused; None if it is not."""
        shown = f"{key.get_algorithm()} {key.get_fingerprint()}"
        if self._keys or self._authorities:
            return f"the host key {shown} is not the one that {self._path} has for this host"
        if self._verify == "auto" or (ask is not None and self._agrees(shown, ask)):
            self._new = key
            return None
        return f"the host key {shown} is unknown: {self._path} does not have this host"

    def remember(self) -> None:
        """Add the key, if it was unknown, to the file.

        Raises:
            ConnectError: the file cannot be written.
        """
        if self._new is None:
            return
        line = f"{self._name} {self._new.export_public_key().decode().strip()}\n"
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(self._path, "ab+", opener=_private) as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 1))
                is_torn = file.read() not in (b"", b"\n")
                file.write(b"\n" * is_torn + line.encode())
        except OSError as error:
            raise ConnectError(
                f"{self._path}: cannot add a host: {error.strerror or error}"
            ) from error

    def _read(self) -> None:
        try:
            hosts = asyncssh.import_known_hosts(self._path.read_text())
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConnectError(f"{self._path}: cannot read: {error.strerror or error}") from error
        except ValueError as error:
            raise ConnectError(f"{self._path}: {error}") from error
        # By its name only: with a port, asyncssh would also take what it has for another one.
        self._keys, self._authorities, self._revoked, *_ = hosts.match(self._name, "", None)

    def _agrees(self, shown: str, ask: Trust) -> bool:
        answer = ask(f"{self._name} has the unknown host key {shown}. Trust it? (y/n) ")
        return (answer or "").strip().lower() in ("y", "yes")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
