"""Asking for events, and telling those who asked."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from libvirt_rpc.libvirt_common.types import (
    VirDomainEventID,
    VirErrorDomain,
    VirErrorNumber,
    VirNetworkEventID,
    VirNodeDeviceEventID,
    VirSecretEventID,
    VirStoragePoolEventID,
)
from libvirt_rpc.remote_protocol.types import (
    RemoteDomainEventLifecycleMsg,
    RemoteDomainEventRebootMsg,
    RemoteNonnullDomain,
    RemoteNonnullNetwork,
    RemoteNonnullNodeDevice,
    RemoteNonnullSecret,
    RemoteNonnullStoragePool,
)
from rpcgen.examples.hypervisor.handlers import Handlers, sees
from rpcgen.examples.hypervisor.model.errors import LibvirtError
from rpcgen.examples.hypervisor.model.events import (
    Event,
    Lifecycle,
    MetadataChanged,
    NetworkLifecycle,
    PoolLifecycle,
    PoolRefreshed,
    Rebooted,
)
from rpcgen.examples.hypervisor.registry import Family, Registry
from rpcgen.examples.hypervisor.wire import domain_out, network_out, pool_out
from rpcgen.runtime import Call

_LIFECYCLE: Final = VirDomainEventID.VIR_DOMAIN_EVENT_ID_LIFECYCLE
_LAST_PLAIN: Final = VirDomainEventID.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED
"""Younger kinds of events have no form without a callback number."""

_KINDS: Final[dict[Family, type[IntEnum]]] = {
    Family.DOMAIN: VirDomainEventID,
    Family.NETWORK: VirNetworkEventID,
    Family.POOL: VirStoragePoolEventID,
    Family.NODE_DEVICE: VirNodeDeviceEventID,
    Family.SECRET: VirSecretEventID,
}
"""Kinds that can be asked for, although not all of them ever happen here."""


class SubscriptionHandlers(Handlers):
    """Events of the host, to the clients that want them."""

    def __init__(self) -> None:
        self._registry = Registry()
        super().__init__()

    # Domains, in three forms

    def connect_domain_event_register(self, call: Call) -> int:
        self.host(call)
        self._registry.add_plain(call.session, _LIFECYCLE, hears=sees(call))
        return 0

    def connect_domain_event_deregister(self, call: Call) -> int:
        self.host(call)
        self._registry.remove_plain(call.session, _LIFECYCLE)
        return 0

    def connect_domain_event_register_any(self, call: Call, event_id: int) -> None:
        self.host(call)
        _check_kind(Family.DOMAIN, event_id, _LAST_PLAIN)
        self._registry.add_plain(call.session, event_id, hears=sees(call))

    def connect_domain_event_deregister_any(self, call: Call, event_id: int) -> None:
        self.host(call)
        self._registry.remove_plain(call.session, event_id)

    def connect_domain_event_callback_register_any(
        self, call: Call, event_id: int, dom: RemoteNonnullDomain | None
    ) -> int:
        return self._subscribe(call, Family.DOMAIN, event_id, dom.uuid if dom else None)

    def connect_domain_event_callback_deregister_any(self, call: Call, callback_id: int) -> None:
        self._unsubscribe(call, Family.DOMAIN, callback_id)

    # The other families

    def connect_network_event_register_any(
        self, call: Call, event_id: int, net: RemoteNonnullNetwork | None
    ) -> int:
        return self._subscribe(call, Family.NETWORK, event_id, net.uuid if net else None)

    def connect_network_event_deregister_any(self, call: Call, callback_id: int) -> None:
        self._unsubscribe(call, Family.NETWORK, callback_id)

    def connect_storage_pool_event_register_any(
        self, call: Call, event_id: int, pool: RemoteNonnullStoragePool | None
    ) -> int:
        return self._subscribe(call, Family.POOL, event_id, pool.uuid if pool else None)

    def connect_storage_pool_event_deregister_any(self, call: Call, callback_id: int) -> None:
        self._unsubscribe(call, Family.POOL, callback_id)

    def connect_node_device_event_register_any(
        self, call: Call, event_id: int, dev: RemoteNonnullNodeDevice | None
    ) -> int:
        return self._subscribe(
            call, Family.NODE_DEVICE, event_id, dev.name.encode() if dev else None
        )

    def connect_node_device_event_deregister_any(self, call: Call, callback_id: int) -> None:
        self._unsubscribe(call, Family.NODE_DEVICE, callback_id)

    def connect_secret_event_register_any(
        self, call: Call, event_id: int, secret: RemoteNonnullSecret | None
    ) -> int:
        return self._subscribe(call, Family.SECRET, event_id, secret.uuid if secret else None)

    def connect_secret_event_deregister_any(self, call: Call, callback_id: int) -> None:
        self._unsubscribe(call, Family.SECRET, callback_id)

    def _subscribe(self, call: Call, family: Family, event: int, subject: bytes | None) -> int:
        self.host(call)
        _check_kind(family, event)
        return self._registry.add(call.session, family, event, subject, hears=sees(call))

    def _unsubscribe(self, call: Call, family: Family, number: int) -> None:
        self.host(call)
        self._registry.remove(call.session, family, number)

    # Telling

    def publish(self, event: Event) -> None:
        match event:
            case Lifecycle():
                self._tell_lifecycle(event)
            case Rebooted():
                self._tell_reboot(event)
            case MetadataChanged():
                self._tell_metadata(event)
            case NetworkLifecycle():
                self._tell_network(event)
            case PoolLifecycle() | PoolRefreshed():
                self._tell_pool(event)

    def _tell_lifecycle(self, event: Lifecycle) -> None:
        dom = domain_out(event.domain)
        for one in self._registry.wanting(Family.DOMAIN, _LIFECYCLE, event.domain.uuid):
            if one.callback is None:
                self.send_domain_event_lifecycle(one.session, dom, event.event, event.detail)
            else:
                message = RemoteDomainEventLifecycleMsg(dom, event.event, event.detail)
                self.send_domain_event_callback_lifecycle(one.session, one.callback, message)

    def _tell_reboot(self, event: Rebooted) -> None:
        kind, dom = VirDomainEventID.VIR_DOMAIN_EVENT_ID_REBOOT, domain_out(event.domain)
        for one in self._registry.wanting(Family.DOMAIN, kind, event.domain.uuid):
            if one.callback is None:
                self.send_domain_event_reboot(one.session, dom)
            else:
                message = RemoteDomainEventRebootMsg(dom)
                self.send_domain_event_callback_reboot(one.session, one.callback, message)

    def _tell_metadata(self, event: MetadataChanged) -> None:
        kind, dom = VirDomainEventID.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, domain_out(event.domain)
        for one in self._registry.wanting(Family.DOMAIN, kind, event.domain.uuid):
            if one.callback is not None:
                self.send_domain_event_callback_metadata_change(
                    one.session, one.callback, dom, event.type, event.uri
                )

    def _tell_network(self, event: NetworkLifecycle) -> None:
        kind, net = VirNetworkEventID.VIR_NETWORK_EVENT_ID_LIFECYCLE, network_out(event.network)
        for one in self._registry.wanting(Family.NETWORK, kind, event.network.uuid):
            if one.callback is not None:
                self.send_network_event_lifecycle(one.session, one.callback, net, event.event, 0)

    def _tell_pool(self, event: PoolLifecycle | PoolRefreshed) -> None:
        pool = pool_out(event.pool)
        is_refresh = isinstance(event, PoolRefreshed)
        kind = VirStoragePoolEventID(int(is_refresh))
        for one in self._registry.wanting(Family.POOL, kind, event.pool.uuid):
            if one.callback is None:
                continue
            if isinstance(event, PoolRefreshed):
                self.send_storage_pool_event_refresh(one.session, one.callback, pool)
            else:
                self.send_storage_pool_event_lifecycle(
                    one.session, one.callback, pool, event.event, 0
                )


def _check_kind(family: Family, event: int, last: int | None = None) -> None:
    known = set(_KINDS[family])
    if event not in known or (last is not None and event > last):
        raise LibvirtError(
            VirErrorNumber.VIR_ERR_INTERNAL_ERROR,
            f"unsupported {family.value} event ID {event}",
            VirErrorDomain.VIR_FROM_RPC,
        )
