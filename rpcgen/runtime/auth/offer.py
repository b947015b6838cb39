"""The mechanisms that a server offers, each with what it needs to check a client.

Which of them fit a transport, and what happens when, is known to ``server``.
"""

from __future__ import annotations

from functools import partial

from rpcgen.runtime.auth.mechanism import MECHANISMS, fits
from rpcgen.runtime.errors import AuthError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rpcgen.runtime.auth.mechanism import ServerMechanism
    from rpcgen.runtime.auth.users import UserStore


def makers(
    names: Sequence[str],
    *,
    secure: bool,
    users: UserStore | None = None,
    known: str | None = None,
    keytab: str | None = None,
) -> dict[str, Callable[[], ServerMechanism]]:
    """What ``ServerExchange`` makes mechanisms with, for one connection.

    Args:
        names: of mechanisms, in the order in which they are offered.
        secure: whether nobody reads along: TLS and UNIX sockets.
        users: for mechanisms with a password.
        known: the name that the transport vouches for; without it there is no ``EXTERNAL``.
        keytab: the file with the key of ``libvirt/host`` for ``GSSAPI``; None for the Kerberos
            library's own.

    Raises:
        AuthError: there is no such mechanism here, or users are missing for it.
    """
    return {
        name: _maker(name, secure=secure, users=users, known=known, keytab=keytab)
        for name in names
        if fits(name, secure=secure) and (name != "EXTERNAL" or known)
    }


def _maker(
    name: str, *, secure: bool, users: UserStore | None, known: str | None, keytab: str | None
) -> Callable[[], ServerMechanism]:
    if MECHANISMS[name].needs_password:
        if users is None:
            raise AuthError(f"SASL mechanism {name}: a server needs a file with users for it")
        return _with_password(name, users)
    if name == "EXTERNAL":
        from rpcgen.runtime.auth.external import ExternalServer

        return partial(ExternalServer, known)
    from rpcgen.runtime.auth.gssapi import GssapiServer

    return partial(GssapiServer, keytab, secure=secure)


def _with_password(name: str, users: UserStore) -> Callable[[], ServerMechanism]:
    if name == "PLAIN":
        from rpcgen.runtime.auth.plain import PlainServer

        return partial(PlainServer, users.check)
    from rpcgen.runtime.auth.scram import ScramServer

    return partial(ScramServer, name, users.verifier)
