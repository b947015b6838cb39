"""Sizes with units, as XML descriptions give them."""

from __future__ import annotations

from typing import Final

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.examples.hypervisor.model.errors import LibvirtError

_SIZE_MAX: Final = 2**63 - 1
"""Bytes: libvirt keeps sizes in signed numbers."""

_UNITS: Final[dict[str, int]] = {"": 1, "b": 1, "byte": 1, "bytes": 1} | {
    letter + suffix: base ** (power + 1)
    for power, letter in enumerate("kmgtpe")
    for suffix, base in (("", 1024), ("ib", 1024), ("b", 1000))
}


def scaled(number: int, unit: str) -> int:
    """A number of units, in bytes.

    Raises:
        LibvirtError: the unit is unknown, or the size does not fit a hyper.
    """
    factor = _UNITS.get(unit.lower())
    if factor is None:
        raise LibvirtError(
            VirErrorNumber.VIR_ERR_INVALID_ARG,
            f"unknown suffix '{unit}'",
            VirErrorDomain.VIR_FROM_NONE,
        )
    if number * factor > _SIZE_MAX:
        raise LibvirtError(
            VirErrorNumber.VIR_ERR_OVERFLOW,
            f"value too large: {number}{unit}",
            VirErrorDomain.VIR_FROM_NONE,
        )
    return number * factor


def kibibytes(size: int) -> int:
    """Bytes in KiB, a begun one counted."""
    return -(-size // 1024)
