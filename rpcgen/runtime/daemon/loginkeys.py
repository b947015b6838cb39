"""What a daemon's configuration file may say of logins at a server: how, by which file, and who.

The names are libvirtd's, and those of its SASL where that has another file. A key that is not in
the file stands for what the program has chosen. How clients log in is not known here.
"""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from rpcgen.runtime.auth.users import UserStore
from rpcgen.runtime.daemon.configuration import absolute, text, texts
from rpcgen.runtime.errors import AuthError

if TYPE_CHECKING:
    from typing import Self

    from rpcgen.runtime.daemon.configuration import Check, Configuration

_USERS: Final = "sasl_users_file"

_ARGUMENTS: Final = {
    "auth_unix_rw": "unix",
    "auth_tcp": "tcp",
    "auth_tls": "tls",
    "sasl_mech_list": "mechanisms",
    "sasl_keytab": "keytab",
    _USERS: "users",
    "sasl_allowed_username_list": "allowed_users",
}
"""Keys, and the argument of ``rpcgen.libvirt.Authentication`` that each is."""

LOGIN_KEYS: Final[dict[str, Check]] = {
    **dict.fromkeys(_ARGUMENTS, text),
    "sasl_mech_list": texts,
    "sasl_keytab": absolute,
    _USERS: absolute,
    "sasl_allowed_username_list": texts,
}

_BEGINNINGS: Final = {
    "unix:": "auth_unix_rw",
    "tcp:": "auth_tcp",
    "tls:": "auth_tls",
    "GSSAPI:": "sasl_keytab",
    "SASL mechanism": "sasl_mech_list",
}
"""How errors begin, and the key that each is about."""


class Logins(Protocol):
    """How clients of a server log in: ``rpcgen.libvirt.Authentication``, or what does as it does."""

    def renewed(self, **changes: Any) -> Self:
        """The same with other arguments.

        Raises:
            AuthError: they will not do.
        """

    def become(self, other: Self) -> None:
        """Do as another does from now on; who has logged in stays."""


class LoginKeys:
    """The keys of one server where clients log in.

    Args:
        prefix: what stands before each key.
        logins: as the program has set them.
    """

    def __init__(self, prefix: str, logins: Logins) -> None:
        self._prefix = prefix
        self._logins = logins
        self._own = copy(logins)  # what the file may say now and not the next time
        self._next = self._own
        self._users: UserStore | None = None

    @property
    def checks(self) -> dict[str, Check]:
        """The keys with their prefix."""
        return {self._prefix + key: check for key, check in LOGIN_KEYS.items()}

    def check(self, file: Configuration) -> None:
        """Read the users, and refuse what will not do.

        Raises:
            ConfigurationError: for a key that is in the file.
        """
        given = {key: file[self._prefix + key] for key in LOGIN_KEYS if self._prefix + key in file}
        try:
            if _USERS in given:
                given[_USERS] = self._store(given[_USERS])
                given[_USERS].names()
        except AuthError as error:
            raise file.error(self._prefix + _USERS, str(error)) from error
        try:
            changes = {_ARGUMENTS[key]: value for key, value in given.items()}
            self._next = self._own.renewed(**changes) if changes else self._own
        except AuthError as error:
            raise file.error(self._prefix + _at_fault(given, error), str(error)) from error

    def apply(self) -> None:
        """Put into force what has been checked."""
        self._logins.become(self._next)

    def _store(self, path: str) -> UserStore:
        """The users; the same as before where the path is: nothing has changed then."""
        if self._users is None or self._users.path != Path(path):
            self._users = UserStore(Path(path))
        return self._users


def _at_fault(given: dict[str, Any], error: AuthError) -> str:
    """Which key an error is about: a place that no mechanism fits may be the program's choice."""
    said = str(error)
    keys = [key for beginning, key in _BEGINNINGS.items() if said.startswith(beginning)]
    return next(key for key in (*keys, "sasl_mech_list", *given) if key in given)
