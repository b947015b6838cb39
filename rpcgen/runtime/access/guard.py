"""The guard: asks a policy before a handler runs, and says no, to the peer and in the log.

What is needed and who has it is known elsewhere.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.runtime.access.policy import Needs, Permission, halves
from rpcgen.runtime.message import RemoteError, worded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from rpcgen.runtime.access.policy import AccessPolicy
    from rpcgen.runtime.interfaces import Identity
    from rpcgen.runtime.program import Procedure

_logger = logging.getLogger(__name__)

_NAMES: Final = {
    "uid": "uid",
    "gid": "gid",
    "pid": "pid",
    "address": "address",
    "certificate": "distinguished_name",
    "sasl": "sasl_user_name",
}
"""What the log calls the attributes of an identity."""


class Guard:
    """Keeps calls from handlers.

    Attributes:
        policy: who decides; another one counts from the next call on.
    """

    __slots__ = ("policy",)

    def __init__(self, policy: AccessPolicy) -> None:
        self.policy = policy

    def protect(
        self,
        procedure: Procedure[Any, Any],
        handler: Callable[..., Any],
        constants: Mapping[str, Any],
    ) -> Callable[..., Any]:
        """The handler behind the guard; itself where nothing is needed.

        Raises:
            ValueError: annotations that are missing or cannot be understood.
        """
        needs = Needs(procedure, constants)
        if not needs:
            return handler

        def guarded(call: Any, *arguments: Any) -> Any:
            self.check(call.session.identity, needs.of(arguments))
            return handler(call, *arguments)

        return guarded

    def check(self, identity: Identity, permissions: Iterable[Permission]) -> None:
        """Let pass who has all of the permissions; the first that is missing is logged.

        Raises:
            RemoteError: VIR_ERR_ACCESS_DENIED.
        """
        for permission in permissions:
            if not self._has(identity, permission):
                _logger.warning("%s", audit_line(identity, permission))
                raise denied(permission)

    def may(self, identity: Identity, permission: str, procedure: Procedure[Any, Any]) -> bool:
        """Whether a peer has a permission, written ``object:name``; nothing is logged.

        Raises:
            ValueError: it is not written like that.
        """
        return self._has(identity, Permission(*halves(permission), procedure))

    def _has(self, identity: Identity, permission: Permission) -> bool:
        # An ``async def`` would allow everything: what it returns is not false.
        return self.policy.is_allowed(identity, permission) is True


def denied(permission: Permission) -> RemoteError:
    """The error for a peer without a permission: in libvirt's words, which do not say why."""
    detail = f"'{permission.procedure.program.name}' denied access"
    code, domain = VirErrorNumber.VIR_ERR_ACCESS_DENIED, VirErrorDomain.VIR_FROM_ACCESS
    return worded(code, "access denied: %s", detail, domain)


def audit_line(identity: Identity, permission: Permission) -> str:
    """One line on a call that was denied: what was called, what was missing, and by whom.

    Text that came from the peer is quoted, with everything escaped that does not print.
    """
    values = ((name, getattr(identity, field)) for name, field in _NAMES.items())
    who = ", ".join(f"{name}={value!r}" for name, value in values if value is not None)
    return f"access denied: {permission.procedure.name} needs {permission}: {who}"
