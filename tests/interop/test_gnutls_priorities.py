"""Priority strings beside GnuTLS's own reading of them (``gnutls-cli --list``)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from helpers import require
from interop.daemons import DEADLINE
from tls.authority import Authority, write_pki
from tls.hello import offered

from rpcgen.examples.hypervisor.hypervisor import Hypervisor
from rpcgen.runtime import Server
from rpcgen.runtime.errors import TlsError
from rpcgen.runtime.tls.certificates import Role
from rpcgen.runtime.tls.context import ServerTls
from rpcgen.runtime.tls.handshake import CONFIRMATION
from rpcgen.runtime.tls.priority import DEFAULT, LEVELS, parse

SUITE = re.compile(r"^TLS_\S+\s+0x(..), 0x(..)\s", re.MULTILINE)

NOT_OF_OPENSSL = "1304"
"""TLS_AES_128_CCM_SHA256, which OpenSSL has, but does not offer unless it is told to."""

STRONG = {"SECURE192", "SECURE256"}

NOT_ELLIPTIC = {"009d", "c09d", "009f", "ccaa", "c09f"}
"""Suites of GnuTLS at 192 bits that ours leave out: OpenSSL's DHE may be weaker, its RSA is none."""

REFUSED_LATER = "1301"
"""TLS_AES_128_GCM_SHA256, which Python's ssl offers whatever it is told; nobody may choose it."""

UNDERSTOOD = [
    DEFAULT,
    *LEVELS,
    "normal",
    " NORMAL: -VERS-TLS1.3",
    "+SECURE128",
    "NORMAL:-VERS-ALL:+VERS-TLS1.2",
    "NORMAL:-VERS-ALL:+VERS-TLS1.3",
    "NORMAL:!RSA:!SHA1",
    "NORMAL:-KX-ALL",
    "NORMAL:-KX-ALL:+ECDHE-RSA:+DHE-RSA",
    "NORMAL:-AEAD",
    "NORMAL:-MAC-ALL:+SHA384:+SHA256",
    "NORMAL:+SHA256:+SHA384",
    "NORMAL:-CIPHER-ALL:+AES-128-CBC",
    "NORMAL:-AES-256-GCM:+AES-256-GCM",
    "PFS:-AES-128-CBC:-AES-256-CBC:-AES-128-CCM:-AES-256-CCM",
    "PERFORMANCE:-VERS-TLS1.3:-CHACHA20-POLY1305",
    "SECURE256:SECURE128",
    "SECURE256:+NORMAL:+SHA384",
    "NONE:+NORMAL:+VERS-TLS1.2",
    "NONE:+VERS-ALL:+CIPHER-ALL:+MAC-ALL:+KX-ALL:+SIGN-ALL:+GROUP-ALL",
    "NONE:+VERS-TLS1.2:+AES-128-GCM:+ECDHE-RSA:+AEAD:+SIGN-ALL:+CURVE-ALL:+COMP-NULL:+CTYPE-X509",
    "NORMAL:-3DES-CBC:-ARCFOUR-128:-MD5:-ANON-ECDH:-DHE-DSS:-COMP-DEFLATE:-CTYPE-X.509",
    "NORMAL:%SERVER_PRECEDENCE:%SAFE_RENEGOTIATION:%NO_TICKETS:%PROFILE_MEDIUM",
]

REFUSED = [
    "",
    "NORMAL:",
    "NORMAL::-RSA",
    "NORMAL,-RSA",
    "NORMAL :-RSA",
    "NORMAL:+ RSA",
    "NORMAL:NONE",
    "NORMAL:RSA",
    "NORMAL:-SECURE128",
    "NORMAL:-FOO",
    "NORMAL:%FOO",
    "NORMAL:%no_tickets",
    "-NORMAL",
    "+NONE",
    "NONE",
    "NONE:NORMAL",
    "-VERS-TLS1.2",
    "%NO_TICKETS",
    "VERS-TLS1.2",
]


def gnutls(text: str) -> list[str] | None:
    """The numbers of the suites of TLS 1.2 and 1.3, in its order; None if it refuses the string."""
    program = shutil.which("gnutls-cli")
    require(program, "not installed: gnutls-cli")
    command = [program or "", "--list", "--priority", text]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    return ["".join(one) for one in SUITE.findall(done.stdout)] or None


@pytest.mark.parametrize("text", UNDERSTOOD)
def test_the_same_suites_in_the_same_order(text: str) -> None:
    theirs = gnutls(text)
    assert theirs
    missing = {NOT_OF_OPENSSL, *(NOT_ELLIPTIC if text in STRONG else ())}
    ours = offered(parse(text))
    new, expected_new = ({one for one in both if one[:2] == "13"} for both in (ours, theirs))
    more = {REFUSED_LATER} if text in STRONG else set()
    assert new == expected_new - missing | more  # OpenSSL has an order of its own
    old, expected = ([one for one in both if one[:2] != "13"] for both in (ours, theirs))
    assert old == [one for one in expected if one not in missing]


@pytest.mark.parametrize("text", REFUSED)
def test_what_gnutls_refuses_is_refused(text: str) -> None:
    assert gnutls(text) is None
    with pytest.raises(TlsError, match=r"^priority "):
        parse(text)


@pytest.mark.parametrize(
    ("theirs", "is_good"),
    [
        ("SECURE192", True),
        ("SECURE256:-VERS-TLS1.3", True),
        ("NORMAL", True),
        ("NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM", False),
        ("NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM", False),
        ("NORMAL:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1", False),
    ],
)
def test_gnutls_and_our_server_at_192_bits(theirs: str, is_good: bool, tmp_path: Path) -> None:
    """With a key of RSA as certtool makes it; a client that is accepted gets the confirmation."""
    program = shutil.which("gnutls-cli")
    require(program, "not installed: gnutls-cli")
    key = rsa.generate_private_key(65537, 3072)
    authority = Authority(key=key)
    files = write_pki(tmp_path, authority, authority.issue("localhost", key=key), Role.SERVER)
    tls = ServerTls(files, priority="SECURE192", verify=False)
    with Server([Hypervisor()], listen=["tls://127.0.0.1:0"], tls=tls) as server:
        port = server.addresses[0].rpartition(":")[2]
        command = [program or "", "--priority", theirs, "--x509cafile", str(files.ca)]
        with subprocess.Popen(
            [*command, "--port", port, "localhost"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as client:
            assert client.stdout
            said = b""
            while CONFIRMATION not in said and (more := os.read(client.stdout.fileno(), 4096)):
                said += more
            client.kill()
    assert (CONFIRMATION in said) is is_good, said
