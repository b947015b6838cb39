"""What a daemon's configuration file may say of a server's TLS: files, versions, and who may come.

The names are libvirtd's. A key that is not in the file stands for what the program has chosen;
the files are read again with every reload, whether their names have changed or not.
"""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rpcgen.runtime.daemon.configuration import absolute, text
from rpcgen.runtime.errors import TlsError

if TYPE_CHECKING:
    from rpcgen.runtime.daemon.configuration import Check, Configuration
    from rpcgen.runtime.tls.context import ServerTls
    from rpcgen.runtime.tls.credentials import Credentials


def _texts(value: Any) -> str | None:
    right = isinstance(value, list) and all(isinstance(one, str) for one in value)
    return None if right else "expected a list of strings"


_FILES: Final = {
    "ca_file": "ca",
    "cert_file": "certificate",
    "key_file": "key",
    "crl_file": "crl",
}
"""Keys, and the attribute of ``Credentials`` that each is."""

TLS_KEYS: Final[dict[str, Check]] = {
    **dict.fromkeys(_FILES, absolute),
    "tls_priority": text,
    "tls_allowed_dn_list": _texts,
}


class TlsKeys:
    """The keys of one server that has TLS.

    Args:
        prefix: what stands before each key.
        tls: as the program has set it.
    """

    def __init__(self, prefix: str, tls: ServerTls) -> None:
        self._prefix = prefix
        self._tls = tls
        self._own = copy(tls)  # what the file may say now and not the next time
        self._next: ServerTls | None = None

    @property
    def checks(self) -> dict[str, Check]:
        """The keys with their prefix."""
        return {self._prefix + key: check for key, check in TLS_KEYS.items()}

    def check(self, file: Configuration) -> None:
        """Read the files, and refuse what will not do.

        Raises:
            ConfigurationError: for a key that is in the file.
            TlsError: where none is.
        """
        given = [key for key in TLS_KEYS if self._prefix + key in file]
        try:
            self._next = self._own.renewed(
                self._files(file, given),
                priority=file.get(f"{self._prefix}tls_priority"),
                allowed_dn=file.get(f"{self._prefix}tls_allowed_dn_list"),
            )
        except TlsError as error:
            if not given:
                raise
            raise file.error(
                self._prefix + self._at_fault(file, given, error), str(error)
            ) from error

    def _at_fault(self, file: Configuration, given: list[str], error: TlsError) -> str:
        """Which key an error is about: it begins with what that says, a path for one."""
        said = str(error)
        for key in given:
            if key in _FILES and said.startswith(file[self._prefix + key]):
                return key
        return "tls_priority" if said.startswith("priority") else given[0]

    def apply(self) -> None:
        """Put into force what has been checked."""
        if self._next is not None:
            self._tls.become(self._next)
            self._next = None

    def _files(self, file: Configuration, given: list[str]) -> Credentials | None:
        from rpcgen.runtime.tls.credentials import Credentials

        named = {_FILES[key]: Path(file[self._prefix + key]) for key in given if key in _FILES}
        if not named:
            return None
        if named.keys() < {"ca", "certificate", "key"}:
            self._own.load()
        own = self._own.credentials
        left = {part: getattr(own, part) for part in _FILES.values()} if own else {}
        return Credentials(**{**left, **named})
