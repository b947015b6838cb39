"""How TLS is set up on either side: whom it trusts, what it shows, which versions it speaks.

``ClientTls`` and ``ServerTls`` are made once and used for many connections. How a connection
comes to be inside TLS is ``handshake``'s.
"""

from __future__ import annotations

import logging
import ssl
from contextlib import contextmanager

from rpcgen.runtime.errors import TlsError
from rpcgen.runtime.globs import is_allowed, patterns_of
from rpcgen.runtime.tls import pem
from rpcgen.runtime.tls.certificates import Role, check_own, check_peer, crl_covers_all, key_sizes
from rpcgen.runtime.tls.credentials import Credentials, find
from rpcgen.runtime.tls.handshake import Handshake
from rpcgen.runtime.tls.names import distinguished_name
from rpcgen.runtime.tls.priority import DEFAULT, Priority, parse
from rpcgen.runtime.tls.stream import why

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rpcgen.runtime.interfaces import ByteStream

_logger = logging.getLogger(__name__)


class _Tls:
    """What both sides have in common."""

    __slots__ = (
        "_bits",
        "_context",
        "_given",
        "_pkipath",
        "_role",
        "_sanity",
        "_verify",
        "credentials",
        "priority",
    )

    def __init__(
        self,
        role: Role,
        credentials: Credentials | None,
        *,
        pkipath: str | None,
        priority: str,
        verify: bool,
        sanity: bool,
        lazy: bool = False,
    ) -> None:
        if credentials is not None and pkipath is not None:
            raise TypeError("expected credentials or pkipath, not both")
        self._role = role
        self._given = credentials
        self._pkipath = pkipath
        self.priority = priority
        self._verify = verify
        self._sanity = sanity
        self.credentials = credentials
        self._context: ssl.SSLContext | None = None
        self._bits = parse(priority).bits  # whatever else is read later
        if not lazy:
            self.load()

    def load(self) -> None:
        """Read the files, if that has not been done.

        Raises:
            TlsError: no files, or files that do not do.
        """
        if self._context is None:
            credentials = self.credentials or find(self._role, self._pkipath)
            self._context = self._load(credentials)
            self.credentials = credentials

    @property
    def _loaded(self) -> ssl.SSLContext:
        self.load()
        assert self._context is not None  # noqa: S101  (just loaded)
        return self._context

    def _load(self, credentials: Credentials) -> ssl.SSLContext:
        if self._sanity:
            for warning in check_own(credentials, self._role):
                _logger.warning("%s", warning)
        priority = parse(self.priority)
        return _context(self._role, credentials, priority, verify=self._verify)

    def _look(self, certificate: bytes | None, peer: Role) -> str | None:
        """Whom a certificate names, if it may be what the peer shows."""
        if certificate is None:
            return None
        if self._verify:
            check_peer([certificate], peer)
        return distinguished_name(certificate)


class ClientTls(_Tls):
    """TLS as a client has it.

    Args:
        credentials: the files; by default those that libvirt's clients would take.
        pkipath: the directory that has them all, instead.
        priority: versions and ciphers, as a GnuTLS priority string; see ``priority``.
        verify: refuse a server whose certificate is not trusted, or names another host. Without
            it whoever is on the way can be the server.
        sanity: look at the client's own certificates first, and say which file will not do.

    Raises:
        TlsError: no files, or files that do not do.
    """

    __slots__ = ()

    def __init__(
        self,
        credentials: Credentials | None = None,
        *,
        pkipath: str | None = None,
        priority: str = DEFAULT,
        verify: bool = True,
        sanity: bool = True,
    ) -> None:
        super().__init__(
            Role.CLIENT,
            credentials,
            pkipath=pkipath,
            priority=priority,
            verify=verify,
            sanity=sanity,
        )

    def handshake(self, below: ByteStream, host: str) -> Handshake:
        """Begin with a server, whose certificate has to name this host."""
        return Handshake(
            below,
            self._loaded,
            host=host,
            look=lambda one: self._look(one, Role.SERVER),
            bits=self._bits,
        )


class ServerTls(_Tls):
    """TLS as a server has it.

    Args:
        credentials: the files; by default those that libvirt's servers would take.
        pkipath: the directory that has them all, instead.
        priority: versions and ciphers, as a GnuTLS priority string; see ``priority``.
        verify: have clients show a certificate, and refuse those that are not trusted. Without it
            anybody may connect.
        sanity: look at the server's own certificates first, and say which file will not do.
        allowed_dn: who may connect, as patterns of the distinguished name (``C=UK,CN=host*``). None
            lets all in that are trusted, an empty list nobody.
        lazy: leave the files unread until the server starts: a daemon's configuration may name
            others before that.

    Attributes:
        credentials, priority, allowed_dn: what is in force; no credentials until they are loaded.

    Raises:
        TlsError: no files, or files that do not do.
        TypeError: ``allowed_dn`` is no list of patterns.
    """

    __slots__ = ("allowed_dn",)

    def __init__(
        self,
        credentials: Credentials | None = None,
        *,
        pkipath: str | None = None,
        priority: str = DEFAULT,
        verify: bool = True,
        sanity: bool = True,
        allowed_dn: Sequence[str] | None = None,
        lazy: bool = False,
    ) -> None:
        self.allowed_dn = patterns_of(allowed_dn, "allowed_dn")
        if credentials is not None and credentials.certificate is None:
            raise TlsError("expected a server's certificate and its key, got credentials without")
        super().__init__(
            Role.SERVER,
            credentials,
            pkipath=pkipath,
            priority=priority,
            verify=verify,
            sanity=sanity,
            lazy=lazy,
        )

    def handshake(self, below: ByteStream) -> Handshake:
        """Begin with a client."""
        return Handshake(below, self._loaded, host=None, look=self._look_at_client, bits=self._bits)

    def renewed(
        self,
        credentials: Credentials | None = None,
        *,
        priority: str | None = None,
        allowed_dn: Sequence[str] | None = None,
    ) -> ServerTls:
        """The same with the files as they are now, and what is given instead of what it has.

        Raises:
            TlsError: files that do not do.
        """
        credentials = credentials or self._given
        return ServerTls(
            credentials,
            # Where files were looked for, others may have come: a CRL.
            pkipath=None if credentials else self._pkipath,
            priority=self.priority if priority is None else priority,
            verify=self._verify,
            sanity=self._sanity,
            allowed_dn=self.allowed_dn if allowed_dn is None else allowed_dn,
        )

    def become(self, other: ServerTls) -> None:
        """Do as another does, from the next handshake on; connections that are there stay."""
        self._bits = other._bits
        self._context = other._context
        self._given = other._given
        self._pkipath = other._pkipath
        self.credentials = other.credentials
        self.priority = other.priority
        self.allowed_dn = other.allowed_dn

    def reload(self) -> None:
        """Read the files again.

        Raises:
            TlsError: files that do not do. What was in force stays so.
        """
        self.become(self.renewed())

    def _look_at_client(self, certificate: bytes | None) -> str | None:
        name = self._look(certificate, Role.CLIENT)
        if self._verify and name is None:
            raise TlsError("TLS: the client shows no certificate")
        if self.allowed_dn is not None and not (name and is_allowed(name, self.allowed_dn)):
            raise TlsError(f"TLS: the client {name!r} is not one of those that are allowed")
        return name


def _context(
    role: Role, credentials: Credentials, priority: Priority, *, verify: bool
) -> ssl.SSLContext:
    is_client = role is Role.CLIENT
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if is_client else ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = priority.minimum
    context.maximum_version = priority.maximum
    with _said_of("priority"):
        if priority.ciphers:
            context.set_ciphers(priority.ciphers)
    if priority.curve:
        context.set_ecdh_curve(priority.curve)
    context.check_hostname = is_client and verify
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    # Any certificate of the CA file is an anchor, as with GnuTLS; OpenSSL wants it to sign itself.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # A session that is resumed would skip the look at the client's certificate.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    if not is_client:
        context.num_tickets = 0
    _check_files(credentials)
    with _said_of(pem.damaged(credentials.ca, pem.CERTIFICATES)):
        context.load_verify_locations(cafile=credentials.ca)
    if credentials.crl is not None:
        with _said_of(pem.damaged(credentials.crl, pem.LISTS)):
            context.load_verify_locations(cafile=credentials.crl)
        context.verify_flags |= (
            ssl.VERIFY_CRL_CHECK_CHAIN if crl_covers_all(credentials) else ssl.VERIFY_CRL_CHECK_LEAF
        )
    if credentials.certificate is not None and credentials.key is not None:
        _load_own(context, credentials.certificate, credentials.key, priority)
    return context


def _check_files(credentials: Credentials) -> None:
    """See that each is a file of a size that is one: OpenSSL would wait for a pipe, for ever."""
    for path, kind in (
        (credentials.ca, pem.CERTIFICATES),
        (credentials.certificate, pem.CERTIFICATES),
        (credentials.key, pem.KEY),
        (credentials.crl, pem.LISTS),
    ):
        if path is not None:
            pem.text(path, kind)


def _load_own(context: ssl.SSLContext, certificate: Path, key: Path, priority: Priority) -> None:
    with _said_of(f"{certificate} or {key}"):
        try:
            # An empty password, or else OpenSSL would ask for one at the terminal.
            context.load_cert_chain(certificate, key, lambda: "")
        except ssl.SSLError as error:
            raise TlsError(_blamed(error, certificate, key, priority)) from error


def _blamed(error: ssl.SSLError, certificate: Path, key: Path, priority: Priority) -> str:
    """Which of the two files is bad, for OpenSSL does not say."""
    if error.reason in {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}:
        return f"{key}: not the key of {certificate}"
    if error.reason in {"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL"}:
        sizes = f"a key is too small ({key_sizes(certificate)})"
        return f"{certificate}: {sizes}; the priority asks for {priority.keys}"
    if error.reason == "CA_MD_TOO_WEAK":
        return f"{certificate}: signed with a hash that is too weak for the priority"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=certificate)
    except ssl.SSLError:
        return pem.damaged(certificate, pem.CERTIFICATES)
    return pem.damaged(key, pem.KEY)


@contextmanager
def _said_of(what: object) -> Iterator[None]:
    """What OpenSSL says of a file, with its name."""
    try:
        yield
    except ssl.SSLError as error:
        raise TlsError(f"{what}: {why(error)}") from error
    except OSError as error:
        raise TlsError(f"{what}: {error.strerror or error}") from error
