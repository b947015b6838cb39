"""Priority strings: what OpenSSL makes of them, on the wire, and what is refused."""

from __future__ import annotations

import re
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tls.hello import offered

from rpcgen.runtime.errors import TlsError
from rpcgen.runtime.tls.priority import DEFAULT, LEVELS, NAMES, NEVER, Priority, parse

OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

NORMAL_NEW = ["1302", "1303", "1301"]
FORWARD_AEAD = ["c02c", "cca9", "c0ad", "c02b", "c0ac", "c030", "cca8", "c02f"]
FORWARD_AEAD += ["009f", "ccaa", "c09f", "009e", "c09e"]


@pytest.mark.parametrize(
    ("text", "minimum", "maximum", "suites"),
    [
        (DEFAULT, OLD, NEW, NORMAL_NEW + FORWARD_AEAD),
        ("NORMAL:-VERS-TLS1.2", NEW, NEW, NORMAL_NEW),
        ("NORMAL:-KX-ALL", NEW, NEW, NORMAL_NEW),
        ("PFS:-SHA1:-VERS-TLS1.3", OLD, OLD, FORWARD_AEAD),
        ("pfs:!sha1:!vers-tls1.3", OLD, OLD, FORWARD_AEAD),
        ("PFS:-SHA1:-VERS-ALL:+VERS-TLS1.2", OLD, OLD, FORWARD_AEAD),
        ("@SYSTEM:-RSA:-SHA1", OLD, NEW, NORMAL_NEW + FORWARD_AEAD),
        ("@LIBVIRT,SYSTEM:-RSA:-SHA1", OLD, NEW, NORMAL_NEW + FORWARD_AEAD),
        ("NORMAL:-AEAD:-KX-ALL:+ECDHE-RSA", OLD, OLD, ["c014", "c013"]),
        ("NORMAL:-CIPHER-ALL:+AES-128-CBC:-RSA", OLD, OLD, ["c009", "c013", "0033"]),
        ("SECURE192:-DHE-RSA", OLD, NEW, [*NORMAL_NEW, "c02c", "cca9", "c0ad", "c030", "cca8"]),
        ("SECURE256:-VERS-TLS1.2", NEW, NEW, NORMAL_NEW),
        (
            "NONE:+VERS-TLS1.2:+AES-128-GCM:+ECDHE-RSA:+AEAD:+SIGN-ALL:+GROUP-ALL:+CTYPE-X509:+COMP-NULL",
            OLD,
            OLD,
            ["c02f"],
        ),
        (
            "PFS:-SHA1: -VERS-TLS1.1:-3DES-CBC:-SIGN-RSA-SHA1:%NO_TICKETS",
            OLD,
            NEW,
            NORMAL_NEW + FORWARD_AEAD,
        ),
    ],
)
def test_versions_and_suites(
    text: str, minimum: ssl.TLSVersion, maximum: ssl.TLSVersion, suites: list[str]
) -> None:
    """The suites are those of the first message that a client sends."""
    priority = parse(text)
    assert (priority.minimum, priority.maximum) == (minimum, maximum)
    assert offered(priority) == suites


@pytest.mark.parametrize(
    ("text", "item", "why"),
    [
        ("", "", "expected a level"),
        ("NORMAL:", "", "expected a level"),
        ("NORMAL::-RSA", "", "expected a level"),
        ("NORMAL:VERS-TLS1.2", "VERS-TLS1.2", "expected a level"),
        ("NORMAL:NONE", "NONE", "expected a level"),
        ("NORMAL,-RSA", "NORMAL,-RSA", "expected a level"),
        ("LEGACY", "LEGACY", "expected a level"),
        ("-NORMAL", "-NORMAL", "unknown"),
        ("NORMAL:-SECURE128", "-SECURE128", "unknown"),
        ("NORMAL:+", "+", "unknown"),
        ("NORMAL:+NO-SUCH", "+NO-SUCH", "unknown"),
        ("NORMAL:-NO-SUCH", "-NO-SUCH", "unknown"),
        ("NORMAL:+VERS-TLS1.1", "+VERS-TLS1.1", "expected TLS 1.2 or TLS 1.3"),
        ("NORMAL:+vers-tls1.0", "+vers-tls1.0", "expected TLS 1.2 or TLS 1.3"),
        ("NORMAL:+VERS-DTLS1.2", "+VERS-DTLS1.2", "no DTLS"),
        ("NORMAL:+3DES-CBC", "+3DES-CBC", "not available"),
        ("NORMAL:+ANON-ECDH", "+ANON-ECDH", "not available"),
        ("NORMAL:+SIGN-RSA-SHA1", "+SIGN-RSA-SHA1", "not available"),
        ("NORMAL:-SIGN-RSA-SHA256", "-SIGN-RSA-SHA256", "one by one"),
        ("NORMAL:+GROUP-X25519", "+GROUP-X25519", "one by one"),
        ("NORMAL:%COMPAT", "%COMPAT", "option"),
        ("NORMAL:%no_tickets", "%no_tickets", "option"),
        ("@LIBVIRT", "@LIBVIRT", "only @SYSTEM"),
        ("@", "@", "only @SYSTEM"),
    ],
)
def test_an_item_that_is_refused(text: str, item: str, why: str) -> None:
    with pytest.raises(TlsError) as caught:
        parse(text)
    assert str(caught.value).startswith(f"priority {text!r}: {item!r}: ")
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("NONE", "no signature is left"),
        ("-VERS-TLS1.2", "no signature is left"),
        ("NORMAL:-GROUP-ALL", "no group is left"),
        ("SECURE192:-SIGN-ALL", "no signature is left"),
        ("NONE:NORMAL", "no version of TLS is left"),
        ("NORMAL:-VERS-TLS1.2:-VERS-TLS1.3", "no version of TLS is left"),
        ("NORMAL:-CIPHER-ALL", "no version of TLS is left"),
        ("NORMAL:-MAC-ALL", "no version of TLS is left"),
        ("NORMAL:-AES-128-GCM", "TLS 1.3 would have AES-128-GCM all the same"),
        ("SECURE192:-CHACHA20-POLY1305", "TLS 1.3 would have CHACHA20-POLY1305 all the same"),
        ("SECURE192:-KX-ALL:+RSA:-VERS-TLS1.3", "no version of TLS is left"),
        ("SECURE192:+SHA1", "SHA1 does not reach 192 bits"),
        ("SECURE192:+AES-128-GCM", "AES-128-GCM does not reach 192 bits"),
        ("SECURE192:+SIGN-ALL", "same strength"),
    ],
)
def test_what_is_left_is_refused(text: str, why: str) -> None:
    with pytest.raises(TlsError, match=f"^{re.escape(f'priority {text!r}')}: .*{why}"):
        parse(text)


def test_every_name_of_every_level_is_a_cipher_of_openssl() -> None:
    for level in LEVELS:
        names = parse(level).ciphers.split(":")[1:]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for name in names:
            context.set_ciphers(name)
            assert name in {one["name"] for one in context.get_ciphers()}


items = st.sampled_from(
    [*(f"{sign}{name}" for sign in "+-!" for name in (*NAMES, *NEVER)), *LEVELS]
)


@given(level=st.sampled_from(["NONE", *LEVELS]), more=st.lists(items, max_size=6))
def test_what_is_understood_is_what_openssl_does(level: str, more: list[str]) -> None:
    """No string gives versions below TLS 1.2, nor suites that OpenSSL does not then offer."""
    try:
        priority = parse(":".join([level, *more]))
    except TlsError:
        return
    assert OLD <= priority.minimum <= priority.maximum <= NEW
    suites = offered(priority)
    assert len([one for one in suites if one[:2] != "13"]) == _old(priority)


@given(text=st.text(alphabet=":+-!%@,NORMALtls1.23\0 ", max_size=30))
def test_any_text(text: str) -> None:
    try:
        assert parse(text).ciphers.startswith("@SECLEVEL=")
    except TlsError as error:
        assert repr(text) in str(error)  # noqa: PT017  (most texts are refused, some are good)


def _old(priority: Priority) -> int:
    return priority.ciphers.count(":") if priority.minimum is OLD else 0
