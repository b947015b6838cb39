"""The errors of the admin program, in the words of libvirt's daemons.

Who raises what is decided elsewhere.
"""

from __future__ import annotations

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.runtime.message import RemoteError, worded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rpcgen.runtime.errors import ProcessError

E = VirErrorNumber
F = VirErrorDomain


def invalid(detail: str, domain: VirErrorDomain = F.VIR_FROM_NONE) -> RemoteError:
    """A value cannot be set (VIR_ERR_INVALID_ARG)."""
    return worded(E.VIR_ERR_INVALID_ARG, "invalid argument: %s", detail, domain)


def other_user(pid: int | None, uid: int | None) -> RemoteError:
    """The client is not the daemon's user (VIR_ERR_OPERATION_DENIED)."""
    detail = f"Disallowing client {pid} with uid {uid}"
    return worded(E.VIR_ERR_OPERATION_DENIED, "operation forbidden: %s", detail, F.VIR_FROM_RPC)


def not_logged(error: ProcessError) -> RemoteError:
    """A log setting is malformed, or the system refuses it (VIR_ERR_SYSTEM_ERROR, errno in int1)."""
    if not isinstance(error.__cause__, OSError):
        return invalid(str(error))
    return RemoteError(
        E.VIR_ERR_SYSTEM_ERROR,
        str(error),
        str1="%s",
        str2=str(error),
        int1=error.__cause__.errno or 0,
    )


def no_server(name: str) -> RemoteError:
    """There is none (VIR_ERR_NO_SERVER)."""
    detail = f"No server named '{name}'"
    return worded(E.VIR_ERR_NO_SERVER, "Server not found: %s", detail, F.VIR_FROM_RPC)


def no_client(number: int) -> RemoteError:
    """There is none, or none any more (VIR_ERR_NO_CLIENT)."""
    detail = f"No client with matching ID '{number}'"
    return worded(E.VIR_ERR_NO_CLIENT, "Client not found: %s", detail, F.VIR_FROM_RPC)


def too_many(what: str, count: int, most: int) -> RemoteError:
    """A list is longer than a reply may be (VIR_ERR_INTERNAL_ERROR)."""
    return _internal(f"Too many {what} '{count}' for limit '{most}'", F.VIR_FROM_ADMIN)


def no_tls() -> RemoteError:
    """A server has no TLS files (VIR_ERR_INTERNAL_ERROR)."""
    return _internal("no tls service found, unable to update tls files", F.VIR_FROM_RPC)


def unsupported_parameter(name: str) -> RemoteError:
    """Nothing of that name can be set (VIR_ERR_ARGUMENT_UNSUPPORTED)."""
    template = "argument unsupported: %s"
    detail = f"parameter '{name}' not supported"
    return worded(E.VIR_ERR_ARGUMENT_UNSUPPORTED, template, detail, F.VIR_FROM_NONE)


def wrong_type(name: str, got: str, expected: str) -> RemoteError:
    """A parameter has another type (VIR_ERR_INVALID_ARG)."""
    return invalid(f"invalid type '{got}' for parameter '{name}', expected '{expected}'")


def repeated_parameter(name: str) -> RemoteError:
    """A parameter is there twice (VIR_ERR_INVALID_ARG)."""
    return invalid(f"parameter '{name}' occurs multiple times")


def anonymous_above_all() -> RemoteError:
    """More clients may wait for authentication than there may be (VIR_ERR_INVALID_ARG)."""
    # libvirt's own words say the opposite of what they mean.
    return invalid(
        "The overall maximum number of clients waiting for authentication must not be less than"
        " the overall maximum number of clients",
        F.VIR_FROM_RPC,
    )


def _internal(detail: str, domain: VirErrorDomain) -> RemoteError:
    return worded(E.VIR_ERR_INTERNAL_ERROR, "internal error: %s", detail, domain)
