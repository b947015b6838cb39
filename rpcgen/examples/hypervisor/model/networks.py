"""The virtual networks of a host: their definitions and whether they are active.

Every method takes the lock for as long as it lasts; ``locked`` gives it to others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self
from xml.etree.ElementTree import Element

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.examples.hypervisor.model import documents
from rpcgen.examples.hypervisor.model.catalogue import Catalogue
from rpcgen.examples.hypervisor.model.documents import attribute_at, put, text_at
from rpcgen.examples.hypervisor.model.errors import LibvirtError, invalid_operation
from rpcgen.examples.hypervisor.model.events import NetworkChange, NetworkLifecycle, Publish, Ref
from rpcgen.examples.hypervisor.model.flags import NetworkList, passes
from rpcgen.examples.hypervisor.model.identity import check_name, new_uuid, parse_uuid, uuid_text

E = VirErrorNumber
_FROM: Final = VirErrorDomain.VIR_FROM_NETWORK
_ORDER: Final = documents.ranks(
    *("name", "uuid", "metadata", "forward", "bridge", "mtu", "mac", "domain", "dns", "vlan"),
    *("bandwidth", "portgroup", "ip", "route"),
)


class NetworkDefinition:
    """What a network is made of.

    Attributes:
        root: its ``<network>``, in libvirt's form.
        name, uuid: unique on the host.
        bridge: the name of its bridge; empty if it has none.
    """

    def __init__(self, root: Element) -> None:
        self.root = root
        self.name = text_at(root, "name")
        self.uuid = parse_uuid(text_at(root, "uuid")) or bytes(16)
        self.bridge = attribute_at(root, "bridge", "name")

    @classmethod
    def parse(cls, xml: str) -> Self:
        """Read a description, and fill in what it leaves open.

        Raises:
            LibvirtError: it is not well-formed, or does not make a network.
        """
        root = documents.parse(xml, "network_definition", "network", _FROM)
        name = text_at(root, "name")
        if not name:
            raise LibvirtError(E.VIR_ERR_NO_NAME, domain=_FROM)
        put(root, "name", check_name(name, _FROM))
        text = text_at(root, "uuid")
        uuid = parse_uuid(text) if text else new_uuid()
        if uuid is None:
            raise LibvirtError(E.VIR_ERR_INTERNAL_ERROR, "malformed uuid element", _FROM)
        put(root, "uuid", uuid_text(uuid))
        _complete_bridge(root)
        documents.arrange(root, _ORDER)
        return cls(root)

    def xml(self) -> str:
        """The description."""
        return documents.write(
            self.root, expanded=frozenset({"ip"}), foreign=frozenset({"metadata"})
        )


def _complete_bridge(root: Element) -> None:
    bridge = root.find("bridge")
    if bridge is None:
        bridge = put(root, "bridge")
    bridge.attrib.setdefault("stp", "on")
    bridge.attrib.setdefault("delay", "0")


class Network:
    """A network.

    Attributes:
        definition: what it is made of.
        is_active: whether it is up.
        is_persistent: whether it is kept when it goes down.
        autostart: whether it starts with its host.
    """

    def __init__(self, definition: NetworkDefinition, *, is_persistent: bool) -> None:
        self.definition = definition
        self.is_active = False
        self.is_persistent = is_persistent
        self.autostart = False

    @property
    def name(self) -> str:
        """Its name."""
        return self.definition.name

    @property
    def uuid(self) -> bytes:
        """16 bytes."""
        return self.definition.uuid

    @property
    def ref(self) -> Ref:
        """How others see it."""
        return Ref(self.name, self.uuid)


class Networks:
    """All networks of a host.

    Args:
        publish: is told of what happens to them.
    """

    def __init__(self, publish: Publish) -> None:
        self._all: Catalogue[Network] = Catalogue("network", _FROM)
        self._publish = publish

    def by_name(self, name: str) -> Ref:
        """The network of that name.

        Raises:
            LibvirtError: there is none (VIR_ERR_NO_NETWORK).
        """
        with self._all.lock:
            return _found(self._all.by_name(name), f"name '{name}'").ref

    def by_uuid(self, uuid: bytes) -> Ref:
        """The network with that UUID; errors as with ``by_name``."""
        with self.locked(uuid) as network:
            return network.ref

    def listed(self, flags: NetworkList) -> list[Ref]:
        """Those that the filters let through."""
        with self._all.lock:
            return [one.ref for one in self._all if is_listed(one, flags)]

    @contextmanager
    def locked(self, uuid: bytes) -> Iterator[Network]:
        """A network, for as long as the block lasts; errors as with ``by_name``."""
        with self._all.lock:
            yield _found(self._all.by_uuid(uuid), f"uuid '{uuid_text(uuid)}'")

    def define(self, definition: NetworkDefinition) -> Ref:
        """Make a network persistent, or change what it is made of.

        Raises:
            LibvirtError: name or UUID are another's.
        """
        with self._all.lock:
            network = self._admit(definition, is_persistent=True)
            self._tell(network, NetworkChange.DEFINED)
            return network.ref

    def create(self, definition: NetworkDefinition) -> Ref:
        """Bring up a network that is not kept; errors as with ``define`` and ``start``."""
        with self._all.lock:
            network = self._admit(definition, is_persistent=False)
            self.start(network.uuid)
            return network.ref

    def start(self, uuid: bytes) -> None:
        """Bring a network up.

        Raises:
            LibvirtError: it is not there, or is up already.
        """
        with self.locked(uuid) as network:
            _check_inactive(network, "already")
            network.is_active = True
            self._tell(network, NetworkChange.STARTED)

    def stop(self, uuid: bytes) -> None:
        """Take a network down.

        Raises:
            LibvirtError: it is not there, or is down already.
        """
        with self.locked(uuid) as network:
            if not network.is_active:
                raise invalid_operation(f"Network '{network.name}' is not active")
            network.is_active = False
            if not network.is_persistent:
                self._all.discard(network)
            self._tell(network, NetworkChange.STOPPED)

    def undefine(self, uuid: bytes) -> None:
        """Forget a network.

        Raises:
            LibvirtError: it is not there, or is up.
        """
        with self.locked(uuid) as network:
            _check_inactive(network, "still")
            self._all.discard(network)
            self._tell(network, NetworkChange.UNDEFINED)

    def _admit(self, definition: NetworkDefinition, *, is_persistent: bool) -> Network:
        network = self._all.place_for(definition.name, definition.uuid)
        if network is None:
            network = Network(definition, is_persistent=is_persistent)
            self._all.add(network)
        elif network.is_active and not is_persistent:
            raise invalid_operation(f"network is already active as '{network.name}'", _FROM)
        network.definition = definition
        network.is_persistent |= is_persistent
        return network

    def _tell(self, network: Network, change: NetworkChange) -> None:
        self._publish(NetworkLifecycle(network.ref, change))


def is_listed(network: Network, flags: NetworkList) -> bool:
    """Whether a list with these filters has it."""
    active, persistent, autostart = network.is_active, network.is_persistent, network.autostart
    return passes(
        flags,
        {NetworkList.ACTIVE: active, NetworkList.INACTIVE: not active},
        {NetworkList.PERSISTENT: persistent, NetworkList.TRANSIENT: not persistent},
        {NetworkList.AUTOSTART: autostart, NetworkList.NO_AUTOSTART: not autostart},
    )


def _found(network: Network | None, what: str) -> Network:
    if network is None:
        raise LibvirtError(E.VIR_ERR_NO_NETWORK, f"no network with matching {what}")
    return network


def _check_inactive(network: Network, when: str) -> None:
    if network.is_active:
        raise invalid_operation(f"Network '{network.name}' is {when} running")
