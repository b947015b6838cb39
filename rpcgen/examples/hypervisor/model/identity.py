"""Names and UUIDs: their forms, and what makes one of another."""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID, uuid4

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.examples.hypervisor.model.errors import LibvirtError

_HEX: Final = re.compile("[0-9a-fA-F]{32}")


def new_uuid() -> bytes:
    """Sixteen random bytes."""
    return uuid4().bytes


def parse_uuid(text: str) -> bytes | None:
    """The bytes of a UUID, whose hyphens may stand anywhere; None if it is none."""
    digits = text.strip().replace("-", "")
    return bytes.fromhex(digits) if _HEX.fullmatch(digits) else None


def uuid_text(uuid: bytes) -> str:
    """The usual form, in lower case."""
    return str(UUID(bytes=uuid))


def check_name(name: str, domain: VirErrorDomain) -> str:
    """A name as it is.

    Raises:
        LibvirtError: it cannot be the name of a file.
    """
    if "/" in name:
        raise LibvirtError(
            VirErrorNumber.VIR_ERR_XML_ERROR, f"name {name} cannot contain '/'", domain
        )
    return name
