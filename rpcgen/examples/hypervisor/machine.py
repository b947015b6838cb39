"""What clients ask about the host itself."""

from __future__ import annotations

from typing import Final

from libvirt_rpc.remote_protocol.types import (
    RemoteNodeGetCpuMapRet,
    RemoteNodeGetInfoRet,
    RemoteNodeGetSecurityModelRet,
)
from rpcgen.examples.hypervisor.handlers import Handlers
from rpcgen.examples.hypervisor.model import facts
from rpcgen.examples.hypervisor.model.errors import invalid_argument
from rpcgen.examples.hypervisor.model.limits import VCPUS_MAX
from rpcgen.runtime import Call

_MODEL_SIZE: Final = 32
"""Bytes of ``model`` in REMOTE_NODE_GET_INFO."""


class MachineHandlers(Handlers):
    """Processors, memory and capabilities of the host."""

    def node_get_info(self, call: Call) -> RemoteNodeGetInfoRet:
        self.host(call)
        return RemoteNodeGetInfoRet(
            facts.CPU_MODEL.encode().ljust(_MODEL_SIZE, b"\0"),
            facts.MEMORY,
            facts.CPUS,
            facts.CPU_MHZ,
            len(facts.NUMA),
            facts.SOCKETS,
            facts.CORES,
            facts.THREADS,
        )

    def node_get_free_memory(self, call: Call) -> int:
        self.host(call)
        return facts.MEMORY

    def node_get_cells_free_memory(self, call: Call, start_cell: int, maxcells: int) -> list[int]:
        self.host(call)
        if not 0 <= start_cell < len(facts.NUMA):
            raise invalid_argument("Range exceeds available cells")
        return [cell.memory for cell in facts.NUMA[start_cell:][: max(0, maxcells)]]

    def node_get_cpu_map(
        self, call: Call, need_map: int, need_online: int, flags: int
    ) -> RemoteNodeGetCpuMapRet:
        self.host(call)
        self.no_flags(call, flags)
        bits = sum(1 << cpu for cpu in facts.ONLINE)
        return RemoteNodeGetCpuMapRet(
            bytes([bits]) if need_map else b"",
            len(facts.ONLINE) if need_online else 0,
            facts.GUEST_CPUS,
        )

    def node_get_security_model(self, call: Call) -> RemoteNodeGetSecurityModelRet:
        self.host(call)
        return RemoteNodeGetSecurityModelRet(facts.SECURITY_MODEL.encode() + b"\0", b"\0")

    def connect_get_capabilities(self, call: Call) -> str:
        self.host(call)
        return facts.capabilities()

    def connect_get_max_vcpus(
        self,
        call: Call,
        type: str | None,  # noqa: A002  (a field of the protocol)
    ) -> int:
        self.host(call)
        return VCPUS_MAX
