"""What a libvirt URI says: driver, transport, place, parameters, and the name that the server gets.

The text and nothing else: which sockets exist and how a place is reached is found out in
``sockets``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple
from urllib.parse import unquote

from rpcgen.runtime.errors import RpcError


class UriError(RpcError, ValueError):
    """A libvirt URI is refused.

    Attributes:
        part: which part of it (``scheme``, ``port``, ``parameter mode``).
        reason: what was expected there and what came.
    """

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(part, reason)
        self.part = part
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.part} of the libvirt URI: {self.reason}"


class Transport(Enum):
    """How the bytes travel: what stands behind the ``+`` of the scheme."""

    UNIX = "unix"
    SSH = "ssh"
    LIBSSH = "libssh"
    LIBSSH2 = "libssh2"
    TLS = "tls"
    TCP = "tcp"
    EXT = "ext"


class LibvirtUri(NamedTuple):
    """A libvirt URI, taken apart.

    Attributes:
        driver: whom the server is to use (``qemu``, ``test``); empty if that is up to it.
        transport: what the scheme names, or what the host implies.
        user, host: as they stand before the path, decoded, or None.
        port: 1 to 65535, or None.
        path: with its slash in front, as it was written, or empty.
        parameters: those that are the client's business, by their names in small letters.
        name: what CONNECT_OPEN is given: the URI without all that only the client needs, or
            what the ``name`` parameter says.
    """

    driver: str
    transport: Transport
    user: str | None
    host: str | None
    port: int | None
    path: str
    parameters: Mapping[str, str]
    name: str


_PARTS: Final = re.compile(
    r"(?P<scheme>[^:/?#]*):(?://(?P<place>[^/?#]*))?(?P<path>[^?#]*)"
    r"(?:\?(?P<query>[^#]*))?(?:\#(?P<fragment>.*))?"
)
"""RFC 3986, appendix B, with a scheme that must be there."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9.-]*)(?:\+(.*))?")

_PLACE: Final = re.compile(
    r"(?:(?P<user>[^@]*)@)?"
    r"(?:\[(?P<literal>[0-9A-Fa-f:.]+)(?:%(?:25)?(?P<zone>[A-Za-z0-9._~-]+))?\]"
    r"|(?P<host>(?!-)[^][:@%!$&'()*+,;=\"<>\\^`{|}]*))"
    r"(?::(?P<port>.*))?"
)
"""A host is what names are made of: the user's ``ssh`` may give it to a shell, and to programs that
take a hyphen in front for an option. RFC 6874 has a zone behind ``%25``; people write ``%``.
"""

_USER: Final = re.compile(r"(?!-)[^\x00-\x1f\x7f'`\";&<>|(){}]*")
"""What ``ssh`` takes for one, for the same reason."""

_BROKEN: Final = re.compile("%(?![0-9A-Fa-f]{2})")

_ANYTHING: Final = re.compile(r".*", re.DOTALL)
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,9}")

_CONSUMED: Final = {
    **dict.fromkeys(("name", "command", "socket", "netcat", "keyfile", "pkipath"), _ANYTHING),
    **dict.fromkeys(("auth", "sshauth", "authfile", "known_hosts", "tls_priority"), _ANYTHING),
    **dict.fromkeys(("no_sanity", "no_verify", "no_tty"), _NUMBER),
    "known_hosts_verify": re.compile("normal|auto|ignore"),
    "mode": re.compile("auto|legacy|direct"),
    "proxy": re.compile("auto|netcat|native"),
}
"""The parameters that the client keeps, and what they may say; all others are the server's."""


def parse(text: str) -> LibvirtUri:
    """Take a libvirt URI apart.

    The empty text leaves the choice of a driver to the local server, and so does the driver
    ``remote`` to any server.

    Raises:
        UriError: it is no URI, or asks for what contradicts itself.
    """
    if not text:
        return LibvirtUri("", Transport.UNIX, None, None, None, "", {}, "")
    parts = _match_parts(text)
    driver, transport = _read_scheme(parts["scheme"])
    user, host, port = _read_place(parts["place"] or "")
    path = parts["path"]
    if path and not path.startswith("/"):
        raise UriError("path", f"expected a slash in front, got {path!r}")
    for part in ("path", "fragment"):
        _check_escapes(part, parts[part] or "")
    parameters, rest = _split_query(parts["query"] or "")
    name = parameters.get("name", _name(driver, path, rest, parts["fragment"]))
    chosen = transport or (Transport.TLS if host else Transport.UNIX)
    uri = LibvirtUri(driver, chosen, user, host, port, path, parameters, name)
    _check_transport(uri)
    return uri


def _match_parts(text: str) -> Mapping[str, str]:
    if not text.isprintable() or " " in text:
        raise UriError("text", f"spaces and control characters must be written as %XX: {text!r}")
    match = _PARTS.fullmatch(text)
    if match is None:
        raise UriError("scheme", f"expected driver:... or driver+transport:..., got {text!r}")
    return match.groupdict()


def _read_scheme(scheme: str) -> tuple[str, Transport | None]:
    match = _SCHEME.fullmatch(scheme)
    if match is None:
        raise UriError("scheme", f"expected driver or driver+transport, got {scheme!r}")
    driver, transport = match[1].lower(), match[2]
    if transport is None:
        return driver, None
    try:
        return driver, Transport(transport.lower())
    except ValueError:
        known = ", ".join(one.value for one in Transport)
        raise UriError("transport", f"expected one of {known}, got {transport!r}") from None


def _read_place(place: str) -> tuple[str | None, str | None, int | None]:
    match = _PLACE.fullmatch(place)
    if match is None:
        raise UriError("host", f"expected [user@]host[:port], got {place!r}")
    user = _decode("user", match["user"]) if match["user"] else None
    if user and not _USER.fullmatch(user):
        raise UriError("user", f"expected a name, got {user!r}")
    zone = f"%{match['zone']}" if match["zone"] else ""
    host = match["literal"] + zone if match["literal"] else match["host"]
    return user, host or None, _read_port(match["port"])


def _read_port(port: str | None) -> int | None:
    if not port:
        return None
    if not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 1 << 16:
        raise UriError("port", f"expected 1 to 65535, got {port!r}")
    return int(port)


def _split_query(query: str) -> tuple[dict[str, str], list[str]]:
    """What the client keeps, decoded, and what the server gets, as it was written."""
    kept: dict[str, str] = {}
    rest = []
    for item in filter(None, re.split("[&;]", query)):
        written, _, value = item.partition("=")
        name = unquote(written).lower()
        if name in _CONSUMED:
            kept[name] = _read_parameter(name, value)
        elif name:  # libvirt drops the others
            _check_escapes(f"parameter {name}", item)
            rest.append(item)
    return kept, rest


def _read_parameter(name: str, text: str) -> str:
    value = _decode(f"parameter {name}", text)
    allowed = _CONSUMED[name]
    if not allowed.fullmatch(value):
        expected = "a number" if allowed is _NUMBER else allowed.pattern.replace("|", ", ")
        raise UriError(f"parameter {name}", f"expected {expected}, got {value!r}")
    return value


def _decode(part: str, text: str) -> str:
    _check_escapes(part, text)
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise UriError(part, f"expected UTF-8 behind the %XX, got {text!r}") from None


def _check_escapes(part: str, text: str) -> None:
    """Refuse what others would read differently, or not to its end."""
    if _BROKEN.search(text):
        raise UriError(part, f"expected two hexadecimal digits behind each %, got {text!r}")
    if "%00" in text:
        raise UriError(part, f"a NUL cannot be passed on: {text!r}")


def _name(driver: str, path: str, rest: list[str], fragment: str | None) -> str:
    if driver == "remote":
        return ""
    query = "?" + "&".join(rest) if rest else ""
    return f"{driver}://{path}{query}" + (f"#{fragment}" if fragment else "")


def _check_transport(uri: LibvirtUri) -> None:
    if uri.transport is Transport.UNIX and uri.host:
        raise UriError("host", f"a UNIX socket is on this machine, not on {uri.host!r}")
    if uri.transport is Transport.EXT and not uri.parameters.get("command"):
        raise UriError("parameter command", "the transport ext needs it: which program to run")
