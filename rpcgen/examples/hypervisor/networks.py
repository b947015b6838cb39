"""Virtual networks."""

from __future__ import annotations

from libvirt_rpc.remote_protocol.types import (
    RemoteConnectListAllNetworksRet,
    RemoteNonnullNetwork,
)
from rpcgen.examples.hypervisor.handlers import E, Handlers, shown, some
from rpcgen.examples.hypervisor.model.errors import LibvirtError, invalid_operation
from rpcgen.examples.hypervisor.model.flags import Define, NetworkList, NetworkXml
from rpcgen.examples.hypervisor.model.networks import NetworkDefinition
from rpcgen.examples.hypervisor.wire import network_out
from rpcgen.runtime import Call


class NetworkHandlers(Handlers):
    """The lives of networks."""

    def network_lookup_by_name(self, call: Call, name: str) -> RemoteNonnullNetwork:
        return network_out(self.host(call).networks.by_name(name))

    def network_lookup_by_uuid(self, call: Call, uuid: bytes) -> RemoteNonnullNetwork:
        return network_out(self.host(call).networks.by_uuid(uuid))

    def connect_list_all_networks(
        self, call: Call, need_results: int, flags: int
    ) -> RemoteConnectListAllNetworksRet:
        found = self._networks(call, self.flags(call, NetworkList, flags))
        return RemoteConnectListAllNetworksRet(some(found, need_results), len(found))

    def connect_num_of_networks(self, call: Call) -> int:
        return len(self._networks(call, NetworkList.ACTIVE))

    def connect_list_networks(self, call: Call, maxnames: int) -> list[str]:
        found = self._networks(call, NetworkList.ACTIVE)
        return [net.name for net in found][: max(0, maxnames)]

    def connect_num_of_defined_networks(self, call: Call) -> int:
        return len(self._networks(call, NetworkList.INACTIVE))

    def connect_list_defined_networks(self, call: Call, maxnames: int) -> list[str]:
        found = self._networks(call, NetworkList.INACTIVE)
        return [net.name for net in found][: max(0, maxnames)]

    def _networks(self, call: Call, flags: NetworkList) -> list[RemoteNonnullNetwork]:
        found = self.host(call).networks.listed(flags)
        return [network_out(net) for net in shown(call, found)]

    def network_define_xml(self, call: Call, xml: str) -> RemoteNonnullNetwork:
        return network_out(self.host(call).networks.define(NetworkDefinition.parse(xml)))

    def network_define_xml_flags(self, call: Call, xml: str, flags: int) -> RemoteNonnullNetwork:
        host = self.host(call)
        self.flags(call, Define, flags)
        return network_out(host.networks.define(NetworkDefinition.parse(xml)))

    def network_create_xml(self, call: Call, xml: str) -> RemoteNonnullNetwork:
        return network_out(self.host(call).networks.create(NetworkDefinition.parse(xml)))

    def network_create_xml_flags(self, call: Call, xml: str, flags: int) -> RemoteNonnullNetwork:
        host = self.host(call)
        self.flags(call, Define, flags)
        return network_out(host.networks.create(NetworkDefinition.parse(xml)))

    def network_undefine(self, call: Call, net: RemoteNonnullNetwork) -> None:
        self.host(call).networks.undefine(net.uuid)

    def network_create(self, call: Call, net: RemoteNonnullNetwork) -> None:
        self.host(call).networks.start(net.uuid)

    def network_destroy(self, call: Call, net: RemoteNonnullNetwork) -> None:
        self.host(call).networks.stop(net.uuid)

    def network_get_xml_desc(self, call: Call, net: RemoteNonnullNetwork, flags: int) -> str:
        host = self.host(call)
        self.flags(call, NetworkXml, flags)
        with host.networks.locked(net.uuid) as network:
            return network.definition.xml()

    def network_get_bridge_name(self, call: Call, net: RemoteNonnullNetwork) -> str:
        with self.host(call).networks.locked(net.uuid) as network:
            if not network.definition.bridge:
                detail = f"network '{network.name}' does not have a bridge name."
                raise LibvirtError(E.VIR_ERR_INTERNAL_ERROR, detail)
            return network.definition.bridge

    def network_is_active(self, call: Call, net: RemoteNonnullNetwork) -> int:
        with self.host(call).networks.locked(net.uuid) as network:
            return int(network.is_active)

    def network_is_persistent(self, call: Call, net: RemoteNonnullNetwork) -> int:
        with self.host(call).networks.locked(net.uuid) as network:
            return int(network.is_persistent)

    def network_get_autostart(self, call: Call, net: RemoteNonnullNetwork) -> int:
        with self.host(call).networks.locked(net.uuid) as network:
            return int(network.autostart)

    def network_set_autostart(self, call: Call, net: RemoteNonnullNetwork, autostart: int) -> None:
        with self.host(call).networks.locked(net.uuid) as network:
            if not network.is_persistent:
                raise invalid_operation("cannot set autostart for transient network")
            network.autostart = bool(autostart)
