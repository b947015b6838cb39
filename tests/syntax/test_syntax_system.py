"""The ``.x`` files that Debian installs, and our own."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import require

from rpcgen.syntax import parse, tree

SYSTEM = Path("/usr/include/rpcsvc")
PROTOCOLS = Path(__file__).parents[2] / "protocols"

DEFINITIONS = {
    "bootparam_prot": 14,
    "key_prot": 18,
    "klm_prot": 10,
    "mount": 14,
    "nfs_prot": 45,
    "nis": 64,
    "nis_callback": 3,
    "nis_object": 43,
    "nlm_prot": 18,
    "rex": 90,
    "rquota": 6,
    "rstat": 7,
    "rusers": 16,
    "sm_inter": 10,
    "spray": 5,
    "yp": 35,
    "yppasswd": 3,
}
"""How many definitions each file has, ``%`` lines not counted."""


@pytest.mark.parametrize("stem", DEFINITIONS)
def test_system_files(stem: str) -> None:
    path = SYSTEM / f"{stem}.x"
    require(path.exists(), f"not installed: {path}")
    spec = parse(path.read_bytes(), str(path))
    found = [one for one in spec.definitions if not isinstance(one, tree.PassThrough)]
    assert len(found) == DEFINITIONS[stem]


@pytest.mark.parametrize("path", sorted(PROTOCOLS.glob("*.x")), ids=lambda path: path.stem)
def test_our_protocols(path: Path) -> None:
    spec = parse(path.read_bytes(), path.name)
    assert spec.remarks.before
    assert spec.definitions
