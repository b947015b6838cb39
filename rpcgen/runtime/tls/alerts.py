"""What OpenSSL says of a handshake that failed, in sentences for whoever has to put it right.

Words only: where they come from is ``handshake``'s business. Alerts are those of RFC 8446, 6.2, and
OpenSSL puts the version before them that introduced each, which is not the one that is spoken.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

ALERT: Final = re.compile(r"^\S+ alert (.+)$")

ALERTS: Final = {
    "bad certificate": "the {peer} refuses our certificate",
    "certificate expired": "the {peer} refuses our certificate: it has expired, or the clock differs",
    "certificate revoked": "the {peer} refuses our certificate: it has been revoked",
    "certificate unknown": "the {peer} refuses our certificate",
    "unsupported certificate": "the {peer} refuses our certificate: it is not for a {side}",
    "certificate required": "the {peer} wants a certificate, and we have shown none",
    "unknown ca": "the {peer} refuses our certificate: it does not know the CA that has signed it",
    "access denied": "the {peer} knows us, and does not want us",
    "handshake failure": (
        "the {peer} agrees to nothing that we offer: no cipher, or no certificate of ours"
    ),
    "protocol version": "the {peer} does not speak the versions of TLS that we do",
    "insufficient security": "the {peer} wants stronger ciphers than we offer",
    "unrecognized name": "the {peer} is not the host that we name",
    "unexpected message": "the {peer} got what it had not expected",
    "bad record mac": "the {peer} got bytes that were changed on the way",
    "decrypt error": "the {peer} cannot verify a signature or the handshake",
    "internal error": "the {peer} failed for a reason of its own",
}
"""By the name of the alert that the peer has sent."""

SIGNED_BY_NOBODY: Final = "the {peer}'s certificate is not signed by a CA that we trust"
NO_TLS: Final = "what the {peer} speaks is no TLS"

REASONS: Final = {
    "unable to get local issuer certificate": SIGNED_BY_NOBODY,
    "unable to get issuer certificate": SIGNED_BY_NOBODY,
    "unable to verify the first certificate": SIGNED_BY_NOBODY,
    "self-signed certificate": SIGNED_BY_NOBODY,
    "self signed certificate": SIGNED_BY_NOBODY,
    "self-signed certificate in certificate chain": SIGNED_BY_NOBODY,
    "self signed certificate in certificate chain": SIGNED_BY_NOBODY,
    "certificate signature failure": (
        "the {peer}'s certificate is signed by another CA of the same name as ours"
    ),
    "certificate has expired": "the {peer}'s certificate has expired",
    "certificate is not yet valid": "the {peer}'s certificate is not valid yet",
    "certificate revoked": "the {peer}'s certificate has been revoked",
    "certificate verify failed": "the {peer}'s certificate is not trusted",
    "unsuitable certificate purpose": "the {peer}'s certificate is not for a {peer}",
    "unsupported certificate purpose": "the {peer}'s certificate is not for a {peer}",
    "unable to get certificate crl": (
        "the CA of the {peer}'s certificate has no list in our file of revoked certificates"
    ),
    "crl has expired": "our list of revoked certificates has expired",
    "ee certificate key too weak": "the key of the {peer}'s certificate is too small for us",
    "ca certificate key too weak": "the key of the {peer}'s CA is too small for us",
    "ca md too weak": "the {peer}'s certificate is signed with a hash that is too weak for us",
    "peer did not return a certificate": "the {peer} shows no certificate, and we want one",
    "no shared cipher": (
        "we and the {peer} have no cipher in common that goes with the server's key"
    ),
    "no suitable signature algorithm": "the {peer} takes no signature that our key can make",
    "no shared signature algorithms": "the {peer} takes no signature that our key can make",
    "no suitable key share": "we and the {peer} have no group for the key exchange in common",
    "unsupported protocol": "the {peer} does not speak the versions of TLS that we do",
    "wrong version number": NO_TLS,
    "http request": NO_TLS,
    "https proxy request": NO_TLS,
    "unknown protocol": NO_TLS,
    "packet length too long": NO_TLS,
    "record layer failure": "what the {peer} sent cannot be deciphered",
    "decryption failed or bad record mac": "what the {peer} sent was changed on the way",
}
"""By what OpenSSL says, in lower case: of the peer's certificate, or of what the peer has sent."""


def explained(reason: str, *, is_client: bool) -> str:
    """Say what a reason means, with OpenSSL's word in parentheses; or that alone, if unknown.

    Args:
        reason: OpenSSL's, in words, as ``stream.why`` has them.
        is_client: whether we are the client.
    """
    alert = ALERT.match(reason)
    sentence = ALERTS.get(alert[1]) if alert else REASONS.get(reason.lower())
    said = f"alert {alert[1]}" if alert else reason
    if sentence is None:
        return said
    side, peer = ("client", "server") if is_client else ("server", "client")
    return f"{sentence.format(side=side, peer=peer)} ({said})"
