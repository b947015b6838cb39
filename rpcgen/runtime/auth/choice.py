"""Which mechanism a client takes of those that a server offers, and with what it starts it.

Never one that gives the secret to somebody who reads along, and never a weaker one than the caller
allows.
"""

from __future__ import annotations

from rpcgen.runtime.auth.mechanism import MECHANISMS, check_fit, fits
from rpcgen.runtime.errors import AuthError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Final

    from rpcgen.runtime.auth.mechanism import ClientMechanism, Secret

SHOWN_MAX: Final = 200
"""Characters of a server's list in an error: it has no end of its own."""


class Credentials:
    """What a client knows of itself.

    Attributes:
        user: who logs in; empty for whoever the ticket or the certificate names.
        password: the password, or None.
    """

    __slots__ = ("password", "user")

    def __init__(self, user: str = "", password: Secret | None = None) -> None:
        self.user = user
        self.password = password


def can_start(name: str) -> bool:
    """Whether this side has what a mechanism starts from, as far as it shows without a user.

    ``GSSAPI`` needs a ticket, and is passed over without one. A missing package for the others is
    an error where they start: a weaker mechanism would be chosen in silence otherwise.
    """
    if name == "GSSAPI":
        from rpcgen.runtime.auth.gssapi import has_ticket

        return has_ticket()
    return True


def choose(
    offer: str,
    *,
    secure: bool,
    wanted: str | None = None,
    allowed: Collection[str] | None = None,
    able: Callable[[str], bool] = can_start,
) -> str:
    """The mechanism to start.

    Args:
        offer: the server's list, with commas.
        secure: whether nobody reads along: TLS and UNIX sockets.
        wanted: the one to take (``auth=sasl.NAME`` of a URI); None for the strongest.
        allowed: those that may be taken at all; None for all.
        able: whether this side could start one.

    Raises:
        AuthError: there is none. It names what the server offers.
    """
    names = {name.strip().upper() for name in offer.split(",")}
    shown = offer[:SHOWN_MAX] or "nothing"
    if wanted is not None:
        return _demanded(wanted.upper(), names, allowed, shown, secure=secure)
    for name in MECHANISMS:
        if name in names and _may(name, allowed) and fits(name, secure=secure) and able(name):
            return name
    where = "on this transport" if secure else "on a transport on which others read along"
    raise AuthError(f"SASL: of what the server offers, {shown!r}, nothing can be used {where}")


def start_with(name: str, credentials: Credentials, *, host: str, secure: bool) -> ClientMechanism:
    """A client's half of a mechanism.

    Args:
        name: as ``choose`` gives it.
        credentials: name and password, where ``MECHANISMS`` says that they are needed.
        host: the server's name, as the client knows it: tickets are for it.
        secure: whether nobody reads along: then no mechanism encrypts once more.

    Raises:
        AuthError: there is no such mechanism, credentials are missing or cannot be used, or the
            mechanism's package is missing.
    """
    check_fit(name, secure=secure)
    user, password = credentials.user, credentials.password
    if not MECHANISMS[name].needs_password:
        return _without_password(name, user, host, secure=secure)
    if not user or password is None:
        raise AuthError(f"SASL mechanism {name} needs a user name and a password")
    if name == "PLAIN":
        from rpcgen.runtime.auth.plain import PlainClient

        return PlainClient(user, password)
    from rpcgen.runtime.auth.scram import ScramClient

    return ScramClient(name, user, password)


def _without_password(name: str, user: str, host: str, *, secure: bool) -> ClientMechanism:
    if name == "EXTERNAL":
        from rpcgen.runtime.auth.external import ExternalClient

        return ExternalClient(user)
    from rpcgen.runtime.auth.gssapi import GssapiClient

    return GssapiClient(host, user, secure=secure)


def _demanded(
    name: str, names: set[str], allowed: Collection[str] | None, shown: str, *, secure: bool
) -> str:
    if not _may(name, allowed):
        raise AuthError(f"SASL mechanism {name} is demanded and not allowed")
    check_fit(name, secure=secure)
    if name not in names:
        raise AuthError(f"SASL mechanism {name}: the server offers {shown!r}")
    return name


def _may(name: str, allowed: Collection[str] | None) -> bool:
    return allowed is None or name in allowed
