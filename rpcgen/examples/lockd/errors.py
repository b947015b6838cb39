"""Errors in virtlockd's words, with all the fields that clients may look at.

Who raises what is decided elsewhere.
"""

from __future__ import annotations

import os

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.runtime import RemoteError
from rpcgen.runtime.message import worded
from rpcgen.runtime.process import ProcessError

E = VirErrorNumber
F = VirErrorDomain


def _internal(detail: str, domain: VirErrorDomain) -> RemoteError:
    return worded(E.VIR_ERR_INTERNAL_ERROR, "internal error: %s", detail, domain)


def _invalid(detail: str) -> RemoteError:
    template = "Requested operation is not valid: %s"
    return worded(E.VIR_ERR_OPERATION_INVALID, template, detail, F.VIR_FROM_RPC)


def _denied(detail: str) -> RemoteError:
    template = "operation forbidden: %s"
    return worded(E.VIR_ERR_OPERATION_DENIED, template, detail, F.VIR_FROM_RPC)


def _busy(detail: str) -> RemoteError:
    template = "resource busy: %s"
    return worded(E.VIR_ERR_RESOURCE_BUSY, template, detail, F.VIR_FROM_LOCKSPACE)


def system_error(
    error: OSError, what: str, domain: VirErrorDomain = F.VIR_FROM_LOCKSPACE
) -> RemoteError:
    """The system refuses (VIR_ERR_SYSTEM_ERROR); ``int1`` is its errno."""
    number = error.errno or 0
    text = f"{what}: {os.strerror(number)}"
    return RemoteError(
        E.VIR_ERR_SYSTEM_ERROR, text, domain=domain, str1="%s", str2=text, int1=number
    )


def not_opened(error: OSError | ProcessError, what: str) -> RemoteError:
    """The file of a resource cannot be opened, or is none that can be locked."""
    if isinstance(error, OSError):
        return system_error(error, what)
    return _internal(f"{what}: {error}", F.VIR_FROM_LOCKSPACE)


# What is wrong with the client


def other_user(pid: int | None, uid: int | None) -> RemoteError:
    """It is not the daemon's user (VIR_ERR_OPERATION_DENIED)."""
    return _denied(f"Disallowing client {pid} with uid {uid}")


def restricted() -> RemoteError:
    """It has given up its rights (VIR_ERR_OPERATION_DENIED)."""
    return _denied("lock manager connection has been restricted")


def unregistered() -> RemoteError:
    """It has not said for whom it acts (VIR_ERR_OPERATION_INVALID)."""
    return _invalid("lock owner details have not been registered")


# What is wrong with a lock space


def no_lockspace(path: str) -> RemoteError:
    """There is none (VIR_ERR_INTERNAL_ERROR)."""
    return _internal(f"Lockspace for path {path} does not exist", F.VIR_FROM_RPC)


def lockspace_exists(path: str) -> RemoteError:
    """There is one (VIR_ERR_INTERNAL_ERROR)."""
    return _internal(f"Lockspace for path {path} already exists", F.VIR_FROM_RPC)


def default_lockspace_exists() -> RemoteError:
    """The one without a path is always there (VIR_ERR_OPERATION_INVALID)."""
    return _invalid("the default lockspace already exists")


def not_a_directory(path: str) -> RemoteError:
    """Something else is at its path (VIR_ERR_INTERNAL_ERROR)."""
    detail = f"Lockspace location {path} exists, but is not a directory"
    return _internal(detail, F.VIR_FROM_LOCKSPACE)


# What is wrong with a resource


def is_locked(name: str) -> RemoteError:
    """Somebody has a lease on it (VIR_ERR_RESOURCE_BUSY)."""
    return _busy(f"Lockspace resource '{name}' is locked")


def is_not_locked(name: str) -> RemoteError:
    """Nobody has a lease on it (VIR_ERR_RESOURCE_BUSY)."""
    return _busy(f"Lockspace resource '{name}' is not locked")


def not_owner(pid: int) -> RemoteError:
    """Others have the lease (VIR_ERR_INTERNAL_ERROR)."""
    return _internal(f"owner {pid} does not hold the resource lock", F.VIR_FROM_LOCKSPACE)
