"""The ``.x`` files that C's tools are asked about: where they are, and which of them C does not take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
RPCSVC = Path("/usr/include/rpcsvc")

SYSTEM = (
    *("bootparam_prot", "key_prot", "klm_prot", "mount", "nfs_prot", "nlm_prot"),
    *("rex", "rquota", "rstat", "rusers", "sm_inter", "spray"),  # so far rpcsvc-proto
    *("nis", "nis_callback", "nis_object", "yp", "yppasswd"),  # libnsl-dev
)
"""Debian's 17 files, by stem."""

REPAIRED: dict[str, Callable[[str], str]] = {
    # Four lines continue a macro that is passed through, and lack their '%': C's rpcgen stops there.
    "nis": lambda text: text.replace("\\\n", " "),
    # gcc stops at a header that no package ships; all it would declare is in nis.h.
    "nis_callback": lambda text: text.replace('%#include "nis_clnt.h"', ""),
}
"""System files that C's tools do not take as they are. Each repair touches pass-through lines only, which
XDR does not see."""

CONSTANTS = {"MAXNETNAMELEN": 255, "LM_MAXSTRLEN": 1024, "MAXNAMELEN": 1025}
"""What key_prot.x leaves to a header of libtirpc, and nlm_prot.x to C text that it passes through. C gets them
from there."""


NOT_IN_C = {"sem_empty_struct": "rpcgen wants a field in every struct"}
"""Our own files that C's tools do not even take in the plainest form."""


def system() -> list[Path]:
    """Debian's 17 files, installed or not."""
    return [RPCSVC / f"{stem}.x" for stem in SYSTEM]


def protocols() -> list[Path]:
    """Our ten."""
    return sorted((ROOT / "protocols").glob("*.x"))


def examples() -> list[Path]:
    """What the examples define."""
    return sorted((ROOT / "rpcgen/examples").glob("*/*.x"))


def specs() -> list[Path]:
    """Our construct-by-construct files."""
    return sorted((ROOT / "tests/specs/good").glob("*.x"))


def repaired(stem: str, text: str) -> str:
    """The text of a ``.x`` file in a form that C takes."""
    return REPAIRED.get(stem, str)(text)
