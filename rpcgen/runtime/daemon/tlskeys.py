"""What a daemon's configuration file may say of servers' TLS: files, versions, and who may come.

The names are libvirtd's. A key that is not in the file stands for what the program has chosen;
the files are read again with every reload, whether their names have changed or not.
"""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rpcgen.runtime.daemon.configuration import absolute, text, texts
from rpcgen.runtime.errors import TlsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rpcgen.runtime.daemon.configuration import Check, Configuration
    from rpcgen.runtime.tls.context import ServerTls
    from rpcgen.runtime.tls.credentials import Credentials


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
    "tls_allowed_dn_list": texts,
}


class TlsKeys:
    """The keys of the servers that have the same TLS: one, mostly.

    What the file says of one of them counts for all; what it says of several must be the same.

    Args:
        prefixes: what stands before each key, for each server.
        tls: as the program has set it.
    """

    def __init__(self, prefixes: Sequence[str], tls: ServerTls) -> None:
        self._prefixes = prefixes
        self._prefix = prefixes[0]  # of a server of which the file says something
        self._tls = tls
        self._own = copy(tls)  # what the file may say now and not the next time
        self._next: ServerTls | None = None

    @property
    def checks(self) -> dict[str, Check]:
        """The keys with their prefixes."""
        return {one + key: check for one in self._prefixes for key, check in TLS_KEYS.items()}

    def check(self, file: Configuration) -> None:
        """Read the files, and refuse what will not do.

        Raises:
            ConfigurationError: for a key that is in the file.
            TlsError: where none is.
        """
        self._prefix, given = self._find(file)
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

    def _find(self, file: Configuration) -> tuple[str, list[str]]:
        """Where the file has keys, and which."""
        said = {
            prefix: [key for key in TLS_KEYS if prefix + key in file] for prefix in self._prefixes
        }
        first, *others = [one for one in said if said[one]] or self._prefixes[:1]
        for here, there in [(first, one) for one in others] + [(one, first) for one in others]:
            for key in said[here]:
                if file[here + key] != file.get(there + key):
                    reason = f"{there[:-1]} has the same certificates: expected the same there"
                    raise file.error(here + key, reason)
        return first, said[first]

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
