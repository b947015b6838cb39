"""Errors in libvirt's words: which code has which text, and how details fill it.

Who raises what is decided elsewhere.
"""

from __future__ import annotations

from typing import Final

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.runtime import RemoteError

E = VirErrorNumber
F = VirErrorDomain

_TEXTS: Final[dict[VirErrorNumber, tuple[str, str]]] = {
    E.VIR_ERR_INTERNAL_ERROR: ("internal error", "internal error: %s"),
    E.VIR_ERR_NO_CONNECT: (
        "no connection driver available",
        "no connection driver available for %s",
    ),
    E.VIR_ERR_INVALID_ARG: ("invalid argument", "invalid argument: %s"),
    E.VIR_ERR_OPERATION_FAILED: ("operation failed", "operation failed: %s"),
    E.VIR_ERR_NO_NAME: ("missing name information", "missing name information in %s"),
    E.VIR_ERR_XML_ERROR: ("XML description is invalid", "XML error: %s"),
    E.VIR_ERR_OPERATION_DENIED: ("operation forbidden", "operation forbidden: %s"),
    E.VIR_ERR_XML_DETAIL: ("XML document is not well formed", "%s"),
    E.VIR_ERR_SYSTEM_ERROR: ("system call error", "%s"),
    E.VIR_ERR_NO_DOMAIN: ("Domain not found", "Domain not found: %s"),
    E.VIR_ERR_NO_NETWORK: ("Network not found", "Network not found: %s"),
    E.VIR_ERR_NO_STORAGE_POOL: ("Storage pool not found", "Storage pool not found: %s"),
    E.VIR_ERR_NO_STORAGE_VOL: ("Storage volume not found", "Storage volume not found: %s"),
    E.VIR_ERR_NO_DOMAIN_SNAPSHOT: (
        "Domain snapshot not found",
        "Domain snapshot not found: %s",
    ),
    E.VIR_ERR_NO_DOMAIN_METADATA: ("metadata not found", "metadata not found: %s"),
    E.VIR_ERR_OPERATION_INVALID: (
        "Requested operation is not valid",
        "Requested operation is not valid: %s",
    ),
    E.VIR_ERR_CONFIG_UNSUPPORTED: (
        "unsupported configuration",
        "unsupported configuration: %s",
    ),
    E.VIR_ERR_OVERFLOW: ("numerical overflow", "numerical overflow: %s"),
    E.VIR_ERR_OPERATION_UNSUPPORTED: ("Operation not supported", "Operation not supported: %s"),
}
"""By code: the text without details, and the template that takes them."""


class LibvirtError(RemoteError):
    """An error as libvirt would report it.

    Args:
        code: what went wrong.
        detail: what fills the code's template; empty for the text without details.
        domain: the part of libvirt that says so.
        int1: an errno, or -1.
    """

    def __init__(
        self,
        code: VirErrorNumber,
        detail: str = "",
        domain: VirErrorDomain = F.VIR_FROM_TEST,
        int1: int = -1,
    ) -> None:
        bare, template = _TEXTS[code]
        text = template if detail else bare
        super().__init__(
            code,
            text.replace("%s", detail),
            domain=domain,
            str1=text,
            str2=detail or None,
            int1=int1,
        )


def invalid_operation(detail: str, domain: VirErrorDomain = F.VIR_FROM_TEST) -> LibvirtError:
    """The object is not in the right state (VIR_ERR_OPERATION_INVALID)."""
    return LibvirtError(E.VIR_ERR_OPERATION_INVALID, detail, domain)


def invalid_argument(detail: str, domain: VirErrorDomain = F.VIR_FROM_TEST) -> LibvirtError:
    """An argument makes no sense (VIR_ERR_INVALID_ARG)."""
    return LibvirtError(E.VIR_ERR_INVALID_ARG, detail, domain)


def unsupported(detail: str, domain: VirErrorDomain = F.VIR_FROM_TEST) -> LibvirtError:
    """A definition asks for what there is not (VIR_ERR_CONFIG_UNSUPPORTED)."""
    return LibvirtError(E.VIR_ERR_CONFIG_UNSUPPORTED, detail, domain)


def bad_argument(
    function: str, argument: str, message: str, domain: VirErrorDomain = F.VIR_FROM_TEST
) -> RemoteError:
    """An argument that the function itself refuses: libvirt names both in ``str1`` and ``str2``."""
    return RemoteError(
        E.VIR_ERR_INVALID_ARG,
        message,
        domain=domain,
        str1=function,
        str2=argument,
        int1=0,
        int2=0,
    )
