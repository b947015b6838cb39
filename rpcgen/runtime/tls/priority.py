"""GnuTLS's priority strings, in the words of OpenSSL: versions, and ciphers of TLS 1.2.

libvirt configures TLS by them (``tls_priority``). What they mean is here, as far as Python can have
OpenSSL do it; anything else is refused, and nothing is ignored that would make TLS weaker than
asked. Nothing here makes a context.
"""

from __future__ import annotations

from ssl import TLSVersion
from typing import NamedTuple

from rpcgen.runtime.errors import TlsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, TypeAlias

    Choices: TypeAlias = dict[str, list[str]]

DEFAULT: Final = "PFS:-SHA1"
"""Keys that cannot be had later by stealing the private one, and no ciphers in CBC mode."""


class Priority(NamedTuple):
    """What a priority string comes to.

    Attributes:
        minimum: the oldest version of TLS.
        maximum: the newest.
        ciphers: for ``SSLContext.set_ciphers``: security level and suites of TLS 1.2, the best
            first. Those of TLS 1.3 are OpenSSL's own.
        bits: of the cipher's key, at least. OpenSSL offers weaker ones of TLS 1.3 all the same; a
            connection that comes to be with one is refused.
        curve: the only one for the key exchange, or None for OpenSSL's choice.
        keys: how large keys of certificates must be, in words.
    """

    minimum: TLSVersion
    maximum: TLSVersion
    ciphers: str
    bits: int
    curve: str | None
    keys: str


VERSIONS: Final = {"TLS1.2": TLSVersion.TLSv1_2, "TLS1.3": TLSVersion.TLSv1_3}
"""Levels of GnuTLS have TLS 1.0 and 1.1 as well (RFC 8996 says what is wrong with them)."""

CIPHERS: Final = (
    "AES-256-GCM",
    "CHACHA20-POLY1305",
    "AES-256-CCM",
    "AES-256-CBC",
    "AES-128-GCM",
    "AES-128-CCM",
    "AES-128-CBC",
)
FAST_CIPHERS: Final = (
    "AES-128-GCM",
    "AES-256-GCM",
    "CHACHA20-POLY1305",
    "AES-128-CCM",
    "AES-256-CCM",
    "AES-128-CBC",
    "AES-256-CBC",
)
STRONG_CIPHERS: Final = ("AES-256-GCM", "CHACHA20-POLY1305", "AES-256-CBC", "AES-256-CCM")
SECURE_CIPHERS: Final = (*STRONG_CIPHERS, "AES-128-GCM", "AES-128-CBC", "AES-128-CCM")

NEW_CIPHERS: Final = ("AES-256-GCM", "CHACHA20-POLY1305", "AES-128-GCM")
"""Those of TLS 1.3, which OpenSSL always offers, as far as its security level lets it."""

MACS: Final = ("SHA1", "AEAD")
ELLIPTIC: Final = ("ECDHE-ECDSA", "ECDHE-RSA")
FORWARD: Final = (*ELLIPTIC, "DHE-RSA")
EXCHANGES: Final = ("ECDHE-ECDSA", "ECDHE-RSA", "RSA", "DHE-RSA")
FAST_EXCHANGES: Final = ("RSA", *FORWARD)

ANY: Final = "any"
STRONG: Final = "192 bits"
"""How strong ciphers and key exchange are: whatever OpenSSL has, or as strong as this at least."""


class Security(NamedTuple):
    """What OpenSSL is told, to have a strength.

    Attributes:
        level: its security level (``SSL_CTX_set_security_level``).
        bits, curve, keys: as in ``Priority``.
    """

    level: int
    bits: int
    curve: str | None
    keys: str


SECURITY: Final = {
    ANY: Security(2, 128, None, "2048 bits of RSA or 224 of an elliptic curve"),
    STRONG: Security(3, 256, "secp384r1", "3072 bits of RSA or 256 of an elliptic curve"),
}
"""At 192 bits GnuTLS asks for certificates of 128 only, which is OpenSSL's level 3: level 4 would
refuse those that ``certtool`` makes. What level 3 lets pass of ciphers and groups, ``bits`` and
``curve`` do not. The hash of a signature may be SHA-256, which is as strong as such keys are. In
TLS 1.2 an elliptic key of a certificate has to be of that curve, too.
"""

LEVELS: Final = {
    "NORMAL": (CIPHERS, MACS, EXCHANGES, ANY),
    "PERFORMANCE": (FAST_CIPHERS, MACS, FAST_EXCHANGES, ANY),
    "PFS": (CIPHERS, MACS, FORWARD, ANY),
    "SECURE128": (SECURE_CIPHERS, MACS, EXCHANGES, ANY),
    "SECURE192": (STRONG_CIPHERS, ("AEAD",), EXCHANGES, STRONG),
    "SECURE256": (STRONG_CIPHERS, ("AEAD",), EXCHANGES, STRONG),
}
"""What a level gives: ciphers, MACs, key exchanges, and how strong everything else has to be.

As in GnuTLS, whose SECURE256 is SECURE192. At that strength OpenSSL has no plain RSA, and cannot be
kept from groups of DHE that are too small, so that there is none.
"""

NAMES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    **{name: ("cipher", (name,)) for name in CIPHERS},
    **{name: ("mac", (name,)) for name in ("SHA1", "SHA256", "SHA384", "AEAD")},
    **{name: ("exchange", (name,)) for name in EXCHANGES},
    **{f"VERS-{name}": ("version", (name,)) for name in VERSIONS},
    "CIPHER-ALL": ("cipher", CIPHERS),
    "MAC-ALL": ("mac", MACS),
    "KX-ALL": ("exchange", EXCHANGES),
    "VERS-ALL": ("version", tuple(VERSIONS)),
    "VERS-TLS-ALL": ("version", tuple(VERSIONS)),
    "SIGN-ALL": ("signature", (ANY, STRONG)),
    "GROUP-ALL": ("group", (ANY, STRONG)),
    "CURVE-ALL": ("group", (ANY, STRONG)),
}
"""What follows ``+`` or ``-``, of what kind it is, and what it chooses."""

ALWAYS: Final = {
    *("CTYPE-ALL", "CTYPE-X509", "CTYPE-X.509", "COMP-ALL", "COMP-NULL"),
    *("%SERVER_PRECEDENCE", "%SAFE_RENEGOTIATION", "%NO_TICKETS", "%PROFILE_MEDIUM"),
}
"""How it is, whatever is said of it: certificates are X.509, and nothing is compressed."""

NEVER: Final = {
    *("VERS-TLS1.0", "VERS-TLS1.1", "VERS-SSL3.0", "VERS-DTLS-ALL"),
    *("VERS-DTLS0.9", "VERS-DTLS1.0", "VERS-DTLS1.2"),
    *("3DES-CBC", "DES-CBC", "RC2-40", "ARCFOUR-128", "NULL"),
    *("AES-192-CBC", "AES-192-GCM", "AES-128-CCM-8", "AES-256-CCM-8"),
    *("CAMELLIA-128-CBC", "CAMELLIA-192-CBC", "CAMELLIA-256-CBC"),
    *("CAMELLIA-128-GCM", "CAMELLIA-256-GCM"),
    *("MD5", "SHA512", "COMP-DEFLATE", "CTYPE-OPENPGP", "CTYPE-RAWPK"),
    *("DHE-DSS", "ANON-DH", "ANON-ECDH", "RSA-EXPORT", "PSK", "RSA-PSK", "DHE-PSK", "ECDHE-PSK"),
    *("SRP", "SRP-RSA", "SRP-DSS"),
    *("SIGN-RSA-MD5", "SIGN-RSA-SHA1", "SIGN-ECDSA-SHA1", "SIGN-DSA-SHA1"),
}
"""What can be taken away, for it was never there, but not be added."""

SUITE_PREFIX: Final = {"RSA": "", **{name: f"{name}-" for name in FORWARD}}

SUITE_CIPHER: Final = {
    ("AES-256-GCM", "AEAD"): "AES256-GCM-SHA384",
    ("AES-128-GCM", "AEAD"): "AES128-GCM-SHA256",
    ("CHACHA20-POLY1305", "AEAD"): "CHACHA20-POLY1305",
    ("AES-256-CCM", "AEAD"): "AES256-CCM",
    ("AES-128-CCM", "AEAD"): "AES128-CCM",
    ("AES-256-CBC", "SHA1"): "AES256-SHA",
    ("AES-128-CBC", "SHA1"): "AES128-SHA",
    ("AES-256-CBC", "SHA256"): "AES256-SHA256",
    ("AES-128-CBC", "SHA256"): "AES128-SHA256",
    ("AES-256-CBC", "SHA384"): "AES256-SHA384",
}

NO_SUITE: Final = {
    *("CHACHA20-POLY1305", "ECDHE-RSA-AES256-CCM", "ECDHE-RSA-AES128-CCM"),
    *("AES256-SHA384", "DHE-RSA-AES256-SHA384"),
    *("ECDHE-RSA-AES256-SHA256", "ECDHE-ECDSA-AES256-SHA256"),
}
"""Combinations that no RFC has a number for."""


def parse(text: str) -> Priority:
    """Understand a priority string.

    It is a list with colons between: a level, or ``NONE``, or ``@SYSTEM``, which reads as NORMAL;
    then ``+NAME`` to add, ``-NAME`` or ``!NAME`` to take away, or ``%OPTION``. Further levels may
    be added. There is nothing below TLS 1.2, whatever the level.

    Args:
        text: like ``SECURE128:-VERS-TLS1.3``; case does not matter, except in options.

    Raises:
        TlsError: an item is unknown, or cannot be had of OpenSSL, or nothing is left.
    """
    choices: Choices = {
        kind: [] for kind in ("version", "cipher", "mac", "exchange", "signature", "group")
    }
    for place, item in enumerate(text.split(":")):
        try:
            _apply(choices, item.lstrip(), first=place == 0)
        except ValueError as error:
            raise TlsError(f"priority {text!r}: {item!r}: {error}") from None
    try:
        return _result(choices)
    except ValueError as error:
        raise TlsError(f"priority {text!r}: {error}") from None


def _apply(choices: Choices, item: str, *, first: bool) -> None:
    name = item.upper()
    if first and name == "NONE":
        return
    if first and name.startswith("@"):
        name = _system(name)
    if name.removeprefix("+") in LEVELS:
        _add_level(choices, name.removeprefix("+"), first=first)
    elif item.startswith("%"):
        _check_option(item)
    elif item[:1] in {"+", "-", "!"}:
        _add_or_remove(choices, name[1:], add=item[0] == "+")
    else:
        raise ValueError("expected a level, +NAME, -NAME or %OPTION")


def _system(name: str) -> str:
    """``@A,B``: names of the configuration of GnuTLS, of which SYSTEM is the distribution's."""
    if "SYSTEM" not in name[1:].split(","):
        raise ValueError(
            "only @SYSTEM is known of the configuration of GnuTLS, and reads as NORMAL"
        )
    return "NORMAL"


def _add_level(choices: Choices, name: str, *, first: bool) -> None:
    """A level that is first brings the versions, too."""
    ciphers, macs, exchanges, strength = LEVELS[name]
    _add(choices["cipher"], ciphers)
    _add(choices["mac"], macs)
    _add(choices["exchange"], exchanges)
    _add(choices["signature"], (strength,))
    _add(choices["group"], (strength,))
    if first:
        _add(choices["version"], tuple(VERSIONS))


def _check_option(item: str) -> None:
    if item not in ALWAYS:
        raise ValueError("this option cannot be had of OpenSSL")


def _add_or_remove(choices: Choices, name: str, *, add: bool) -> None:
    if name in NAMES:
        kind, values = NAMES[name]
        if add:
            _add(choices[kind], values)
        else:
            choices[kind] = [one for one in choices[kind] if one not in values]
    elif name.startswith("VERS-") and name in NEVER and add:
        raise ValueError("expected TLS 1.2 or TLS 1.3; there is nothing below, and no DTLS")
    elif name in NEVER and add:
        raise ValueError("this is not available")
    elif name.startswith(("SIGN-", "GROUP-", "CURVE-")) and name not in NEVER:
        raise ValueError("signatures and groups cannot be chosen one by one with Python's ssl")
    elif name not in NEVER and name not in ALWAYS:
        raise ValueError("an unknown name")


def _add(names: list[str], more: tuple[str, ...]) -> None:
    names += [name for name in more if name not in names]


def _result(choices: Choices) -> Priority:
    strength = _strength(choices)
    suites = _suites(choices, strength) if "TLS1.2" in choices["version"] else []
    versions = [TLSVersion.TLSv1_2] if suites else []
    if _has_new_suites(choices, strength):
        versions.append(TLSVersion.TLSv1_3)
    if not versions:
        raise ValueError("no version of TLS is left that has a cipher")
    # OpenSSL wants a suite of TLS 1.2 even if it will not speak that.
    names = suites or ["ECDHE-ECDSA-AES256-GCM-SHA384"]
    level, bits, curve, keys = SECURITY[strength]
    ciphers = ":".join((f"@SECLEVEL={level}", *names))
    return Priority(versions[0], versions[-1], ciphers, bits, curve, keys)


def _strength(choices: Choices) -> str:
    """How strong keys, signatures and groups have to be: the weakest that was asked for."""
    for kind, remedy in (("signature", "+SIGN-ALL"), ("group", "+GROUP-ALL")):
        if not choices[kind]:
            raise ValueError(f"no {kind} is left; {remedy} is all that there are")
    both = {ANY if ANY in choices[kind] else STRONG for kind in ("signature", "group")}
    if len(both) > 1:
        raise ValueError("signatures and groups must be of the same strength with Python's ssl")
    (strength,) = both
    chosen = choices["cipher"] + choices["mac"]
    weak = [one for one in chosen if one.startswith("AES-128") or one == "SHA1"]
    if strength == STRONG and weak:
        raise ValueError(f"{weak[0]} does not reach {STRONG}, which this level asks for")
    return strength


def _suites(choices: Choices, strength: str) -> list[str]:
    """In GnuTLS's order: key exchange, then cipher, then MAC."""
    exchanges = [one for one in choices["exchange"] if strength == ANY or one in ELLIPTIC]
    pairs = [(cipher, mac) for cipher in choices["cipher"] for mac in choices["mac"]]
    known = [SUITE_CIPHER[pair] for pair in pairs if pair in SUITE_CIPHER]
    names = [SUITE_PREFIX[exchange] + one for exchange in exchanges for one in known]
    return [name for name in names if name not in NO_SUITE]


def _has_new_suites(choices: Choices, strength: str) -> bool:
    """Whether there is TLS 1.3, with exactly the ciphers that OpenSSL has for it."""
    wanted = [one for one in NEW_CIPHERS if one in choices["cipher"]]
    if "TLS1.3" not in choices["version"] or "AEAD" not in choices["mac"] or not wanted:
        return False
    for one in NEW_CIPHERS if strength == ANY else STRONG_CIPHERS[:2]:
        if one not in wanted:
            raise ValueError(
                f"TLS 1.3 would have {one} all the same, since Python's ssl cannot choose its"
                " ciphers: expected -VERS-TLS1.3 as well"
            )
    return True
