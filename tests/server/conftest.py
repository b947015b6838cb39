"""What tests of servers behind TLS start from: certificates, and both sides that know them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rpcgen.runtime import ClientTls, ServerTls


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from pki import write_both
    from tls.authority import dn

    return write_both(tmp_path_factory.mktemp("pki"), dn(C="UK", CN="me"))


@pytest.fixture
def tls(pki: Path) -> ServerTls:
    return ServerTls(pkipath=str(pki))


@pytest.fixture
def ours(pki: Path) -> ClientTls:
    return ClientTls(pkipath=str(pki))
