"""libvirtd answers as ``wire_cases`` says: what our server is measured by is what the real one does."""

from __future__ import annotations

import socket

import pytest
from interop.daemons import Libvirtd
from wire_cases import CASES, SESSION_CASES, Case
from wire_replay import replay


@pytest.mark.parametrize("piece", [0, 1], ids=["whole", "bytes"])
@pytest.mark.parametrize("case", [*CASES, *SESSION_CASES], ids=str)
def test_libvirtd_answers(case: Case, piece: int, libvirtd: Libvirtd) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(libvirtd.socket))
        replay(connection, case, piece)
