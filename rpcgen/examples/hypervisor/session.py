"""Opening and closing the hypervisor, and what a client asks before that."""

from __future__ import annotations

from socket import gethostname
from typing import Final

from libvirt_rpc.libvirt_common.constants import VIR_CONNECT_RO
from libvirt_rpc.libvirt_common.types import VirDrvFeature, VirErrorDomain, VirErrorNumber
from libvirt_rpc.remote_protocol.types import RemoteAuthType, RemoteTypedParam
from rpcgen.examples.hypervisor.handlers import Handlers
from rpcgen.examples.hypervisor.model import facts
from rpcgen.examples.hypervisor.model.errors import LibvirtError
from rpcgen.runtime import Call

E = VirErrorNumber

URI: Final = "test:///default"
"""What clients ask for. Nothing at all does, too: there is only one host."""

_FEATURES: Final = frozenset(
    {
        VirDrvFeature.VIR_DRV_FEATURE_FD_PASSING,
        VirDrvFeature.VIR_DRV_FEATURE_TYPED_PARAM_STRING,
        VirDrvFeature.VIR_DRV_FEATURE_PROGRAM_KEEPALIVE,
        VirDrvFeature.VIR_DRV_FEATURE_REMOTE_EVENT_CALLBACK,
        VirDrvFeature.VIR_DRV_FEATURE_REMOTE_CLOSE_CALLBACK,
        VirDrvFeature.VIR_DRV_FEATURE_NETWORK_UPDATE_HAS_CORRECT_ORDER,
    }
)


class SessionHandlers(Handlers):
    """A client's way in and out."""

    def auth_list(self, call: Call) -> list[RemoteAuthType | int]:
        return [RemoteAuthType.REMOTE_AUTH_NONE]

    def connect_supports_feature(self, call: Call, feature: int) -> int:
        if feature == VirDrvFeature.VIR_DRV_FEATURE_PROGRAM_KEEPALIVE:
            call.session.start_keepalive()
        else:
            self.host(call)
        return int(feature in _FEATURES)

    def connect_open(self, call: Call, name: str | None, flags: int) -> None:
        client = self.client(call)
        if client.is_open:
            raise _already_open()
        if name not in (None, "", URI):
            raise LibvirtError(E.VIR_ERR_NO_CONNECT, str(name), VirErrorDomain.VIR_FROM_NONE)
        client.is_open = True
        client.is_readonly = bool(flags & VIR_CONNECT_RO)

    def connect_close(self, call: Call) -> None:
        call.session.close()

    def connect_set_identity(self, call: Call, params: list[RemoteTypedParam], flags: int) -> None:
        self.host(call)

    def connect_register_close_callback(self, call: Call) -> None:
        self.host(call)

    def connect_unregister_close_callback(self, call: Call) -> None:
        self.host(call)

    def connect_get_type(self, call: Call) -> str:
        self.host(call)
        return facts.TYPE

    def connect_get_version(self, call: Call) -> int:
        self.host(call)
        return facts.VERSION

    def connect_get_lib_version(self, call: Call) -> int:
        self.host(call)
        return facts.LIBVIRT_VERSION

    def connect_get_uri(self, call: Call) -> str:
        self.host(call)
        return URI

    def connect_get_hostname(self, call: Call) -> str:
        self.host(call)
        return gethostname()

    def connect_is_secure(self, call: Call) -> int:
        self.host(call)
        return int(call.session.identity.secure)


def _already_open() -> LibvirtError:
    detail = "connection already open"
    return LibvirtError(E.VIR_ERR_INTERNAL_ERROR, detail, VirErrorDomain.VIR_FROM_RPC)
