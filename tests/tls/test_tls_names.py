"""Lists of distinguished names: libvirt's session cases 9 to 14, and bytes that are no certificate."""

from __future__ import annotations

import pytest

from rpcgen.runtime.errors import TlsError
from rpcgen.runtime.globs import is_allowed
from rpcgen.runtime.tls.names import distinguished_name

NAME = "C=UK,CN=libvirt.org"


@pytest.mark.parametrize(
    ("patterns", "allowed"),
    [
        (None, True),
        ([], False),
        (["C=UK,CN=dogfood"], False),
        ([NAME], True),
        (["C=UK,CN=dogfood", NAME], True),
        ([f"{NAME}.more"], False),
        (["C=UK,CN=libvirt*"], True),
        (["C*UK,CN=libvirt*"], True),
        (["c=uk*"], False),
        (["C=U[K]*"], False),
    ],
)
def test_a_list_of_names(patterns: list[str] | None, allowed: bool) -> None:
    assert is_allowed(NAME, patterns) is allowed


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x80", b"\x30\x00", b"\x02\x01\x00"])
def test_what_is_no_certificate_has_no_name(der: bytes) -> None:
    with pytest.raises(TlsError, match="name"):
        distinguished_name(der)
