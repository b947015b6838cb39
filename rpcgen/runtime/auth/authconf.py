"""A client's ``auth.conf``: which credentials go to which host, by libvirt's rules.

What is missing in it is asked for elsewhere, and so is what a mechanism makes of the credentials.
"""

from __future__ import annotations

import os
import pwd

from rpcgen.runtime.auth.keyfile import KeyFileError, parse, unescape
from rpcgen.runtime.auth.mechanism import SERVICE, Secret, SecretText
from rpcgen.runtime.errors import AuthError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from rpcgen.runtime.auth.keyfile import Groups

VARIABLE: Final = "LIBVIRT_AUTH_FILE"
SYSTEM: Final = "/etc/libvirt/auth.conf"

DEFAULT: Final = "default"
"""The host whose group serves hosts that have none."""


class HostCredentials:
    """What the file says for one host; None for what it does not say.

    Attributes:
        username: for whom the client acts.
        authname: who logs in.
        password: the password.
        realm: where the name is from; SCRAM and PLAIN have no use for it.
    """

    __slots__ = ("authname", "password", "realm", "username")

    def __init__(
        self,
        username: str | None = None,
        authname: str | None = None,
        password: Secret | None = None,
        realm: str | None = None,
    ) -> None:
        self.username = username
        self.authname = authname
        self.password = password
        self.realm = realm

    @property
    def user(self) -> str:
        """Who logs in, or else for whom the client acts; empty if neither is said."""
        return self.authname or self.username or ""

    def __repr__(self) -> str:
        return f"HostCredentials({', '.join(f'{n}={getattr(self, n)!r}' for n in self.__slots__)})"


class AuthConfig:
    """A file with credentials.

    Args:
        text: what is in it.
        path: what it is called in errors.

    Raises:
        AuthError: a line is none of a group, a key with its value, and a comment.
    """

    def __init__(self, text: str, path: str = "auth.conf") -> None:
        text = SecretText(text)  # also in this frame, if there is a mistake in it
        self.path = path
        self._groups = _groups(text, path)

    def credentials(self, host: str = "localhost") -> HostCredentials:
        """All that the file says for a host.

        Raises:
            AuthError: the host's group names no credentials, or some that there are not.
        """
        said = self._said(SERVICE, host)
        password = _text(said, "password")
        return HostCredentials(
            _text(said, "username"),
            _text(said, "authname"),
            None if password is None else Secret(password),
            _text(said, "realm"),
        )

    def lookup(self, host: str, key: str, service: str = SERVICE) -> str | None:
        """One value as it is, also a password (``virAuthConfigLookup``). None if it is not said.

        Args:
            host: as the URI calls it; ``localhost`` for a URI without a host.
            key: ``username``, ``authname``, ``password`` or ``realm``.
            service: ``libvirt``, or another's whose credentials are in the same file.

        Raises:
            AuthError: the host's group names no credentials, or some that there are not.
        """
        return _text(self._said(service, host), key)

    def _said(self, service: str, host: str) -> Mapping[str, str]:
        groups = self._groups
        name = next((g for h in (host, DEFAULT) if (g := f"auth-{service}-{h}") in groups), None)
        if name is None:
            return {}
        credentials = _text(groups[name], "credentials")
        if credentials is None:
            raise AuthError(f"{self.path}: expected a key 'credentials' in the group [{name}]")
        if (found := groups.get(f"credentials-{credentials}")) is None:
            raise AuthError(
                f"{self.path}: expected a group [credentials-{credentials}], which [{name}] names"
            )
        return found


def find_file(
    authfile: str | None = None, *, environ: Mapping[str, str] = os.environ
) -> str | None:
    """The file that libvirt would read; None if there is none.

    It is the one that ``LIBVIRT_AUTH_FILE`` or else the URI names, whether it is there or not, and
    then the user's or the system's, if it can be read.

    Args:
        authfile: the parameter of that name, from a URI.
        environ: where ``LIBVIRT_AUTH_FILE``, ``XDG_CONFIG_HOME`` and ``HOME`` are looked up.
    """
    named = environ.get(VARIABLE, authfile)
    if named is not None:
        return named
    files = (f"{_config_folder(environ)}/libvirt/auth.conf", SYSTEM)
    return next((path for path in files if os.access(path, os.R_OK)), None)


def load(path: str) -> AuthConfig:
    """Read a file with credentials.

    Raises:
        AuthError: it cannot be read, or has a mistake in it; with the line.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            text = SecretText(file.read())
    except (OSError, ValueError) as error:  # the last for a NUL in the path
        reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else "no such path"
        raise AuthError(f"{path}: {reason}") from None
    return AuthConfig(text, path)


def _groups(text: str, path: str) -> Groups:
    """No error keeps the text, which has passwords in it, nor shows a value."""
    try:
        groups = parse(text)
    except KeyFileError as error:
        reason = str(error)
    else:
        return {
            name: {key: SecretText(value) for key, value in group.items()}
            for name, group in groups.items()
        }
    raise AuthError(f"{path}:{reason}")


def _text(group: Mapping[str, str], key: str) -> str | None:
    value = group.get(key)
    return None if value is None else unescape(value)


def _config_folder(environ: Mapping[str, str]) -> str:
    if folder := environ.get("XDG_CONFIG_HOME"):
        return folder
    if home := environ.get("HOME"):
        return f"{home}/.config"
    try:
        return f"{pwd.getpwuid(os.geteuid()).pw_dir}/.config"
    except KeyError:
        return "/.config"
