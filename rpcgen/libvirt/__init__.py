"""libvirt sessions: from a URI to an opened, typed client, for threads and for asyncio.

``open("qemu:///system")`` and ``open_async("qemu:///system")``; typed parameters as dictionaries;
the numbers that one meets first. A name is imported when it is first asked for, so that asyncio
is paid for by who uses it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from libvirt_rpc.libvirt_common.types import (
        VirDomainEventID,
        VirDrvFeature,
        VirErrorDomain,
        VirErrorLevel,
        VirErrorNumber,
        VirTypedParameterType,
    )
    from rpcgen.libvirt.aio import AsyncSession, open_async
    from rpcgen.libvirt.aio_registration import AsyncRegistration
    from rpcgen.libvirt.authentication import Authenticating, Authentication
    from rpcgen.libvirt.login import Ask, Question
    from rpcgen.libvirt.parameters import (
        ParameterError,
        from_params,
        to_admin_params,
        to_params,
        types_of,
        value_of,
    )
    from rpcgen.libvirt.registration import Registration
    from rpcgen.libvirt.session import Session, open  # noqa: A004  (libvirt's word)
    from rpcgen.libvirt.uri import UriError
else:
    from rpcgen.runtime.exports import lazy

    __getattr__, __dir__ = lazy(
        globals(),
        {
            "libvirt_rpc.libvirt_common.types": "VirDomainEventID VirDrvFeature VirErrorDomain"
            " VirErrorLevel VirErrorNumber VirTypedParameterType",
            "rpcgen.libvirt.aio": "AsyncSession open_async",
            "rpcgen.libvirt.aio_registration": "AsyncRegistration",
            "rpcgen.libvirt.authentication": "Authenticating Authentication",
            "rpcgen.libvirt.login": "Ask Question",
            "rpcgen.libvirt.parameters": "ParameterError from_params to_admin_params to_params"
            " types_of value_of",
            "rpcgen.libvirt.registration": "Registration",
            "rpcgen.libvirt.session": "Session open",
            "rpcgen.libvirt.uri": "UriError",
        },
    )


__all__ = [
    "Ask",
    "AsyncRegistration",
    "AsyncSession",
    "Authenticating",
    "Authentication",
    "ParameterError",
    "Question",
    "Registration",
    "Session",
    "UriError",
    "VirDomainEventID",
    "VirDrvFeature",
    "VirErrorDomain",
    "VirErrorLevel",
    "VirErrorNumber",
    "VirTypedParameterType",
    "from_params",
    "open",
    "open_async",
    "to_admin_params",
    "to_params",
    "types_of",
    "value_of",
]
