"""What a domain is like inside: its state, processors, memory, disks, and the labels on it."""

from __future__ import annotations

from typing import Final

from libvirt_rpc.libvirt_common.types import VirErrorDomain
from libvirt_rpc.remote_protocol.constants import REMOTE_CPUMAPS_MAX
from libvirt_rpc.remote_protocol.types import (
    RemoteDomainBlockStatsRet,
    RemoteDomainGetBlockInfoRet,
    RemoteDomainGetControlInfoRet,
    RemoteDomainGetEmulatorPinInfoRet,
    RemoteDomainGetInfoRet,
    RemoteDomainGetSecurityLabelRet,
    RemoteDomainGetStateRet,
    RemoteDomainGetVcpuPinInfoRet,
    RemoteDomainGetVcpusRet,
    RemoteDomainInterfaceStatsRet,
    RemoteDomainMemoryStat,
    RemoteNonnullDomain,
    RemoteVcpuInfo,
)
from rpcgen.examples.hypervisor.handlers import Handlers, function_of
from rpcgen.examples.hypervisor.model import facts, tuning
from rpcgen.examples.hypervisor.model.errors import invalid_argument, invalid_operation
from rpcgen.examples.hypervisor.model.flags import Affect, DomainCount
from rpcgen.examples.hypervisor.model.limits import VCPUS_MAX
from rpcgen.examples.hypervisor.wire import domain_in
from rpcgen.runtime import Call

_RUNNING: Final = 1
"""VIR_VCPU_RUNNING."""

_DISK_CAPACITY: Final = 1_099_506_450_432
_DISK_ALLOCATION: Final = 1_099_511_627_776
"""Bytes of any disk: what libvirt's test driver says."""

_LAST_UPDATE: Final = 627_319_920
"""Seconds since 1970: when it says that memory was looked at."""


class GuestHandlers(Handlers):
    """The insides of domains."""

    def domain_get_info(self, call: Call, dom: RemoteNonnullDomain) -> RemoteDomainGetInfoRet:
        with self.host(call).domains.locked(domain_in(dom)) as domain:
            now = domain.current
            return RemoteDomainGetInfoRet(
                domain.state, now.max_memory, now.memory, now.vcpus, domain.cpu_time
            )

    def domain_get_state(
        self, call: Call, dom: RemoteNonnullDomain, flags: int
    ) -> RemoteDomainGetStateRet:
        host = self.host(call)
        self.no_flags(call, flags)
        with host.domains.locked(domain_in(dom)) as domain:
            return RemoteDomainGetStateRet(domain.state, domain.reason)

    def domain_get_control_info(
        self, call: Call, dom: RemoteNonnullDomain, flags: int
    ) -> RemoteDomainGetControlInfoRet:
        host = self.host(call)
        self.no_flags(call, flags)
        with host.domains.locked(domain_in(dom)) as domain:
            _check_active(domain.is_active)
            return RemoteDomainGetControlInfoRet(0, 0, 0)

    def domain_get_os_type(self, call: Call, dom: RemoteNonnullDomain) -> str:
        with self.host(call).domains.locked(domain_in(dom)):
            return facts.OS_TYPE

    def domain_get_hostname(self, call: Call, dom: RemoteNonnullDomain, flags: int) -> str:
        host = self.host(call)
        self.no_flags(call, flags)
        with host.domains.locked(domain_in(dom)) as domain:
            _check_active(domain.is_active)
            return f"{domain.name}host"

    def domain_is_active(self, call: Call, dom: RemoteNonnullDomain) -> int:
        with self.host(call).domains.locked(domain_in(dom)) as domain:
            return int(domain.is_active)

    def domain_is_persistent(self, call: Call, dom: RemoteNonnullDomain) -> int:
        with self.host(call).domains.locked(domain_in(dom)) as domain:
            return int(domain.config is not None)

    def domain_is_updated(self, call: Call, dom: RemoteNonnullDomain) -> int:
        with self.host(call).domains.locked(domain_in(dom)):
            return 0

    def domain_get_autostart(self, call: Call, dom: RemoteNonnullDomain) -> int:
        with self.host(call).domains.locked(domain_in(dom)) as domain:
            return int(domain.autostart)

    def domain_set_autostart(self, call: Call, dom: RemoteNonnullDomain, autostart: int) -> None:
        with self.host(call).domains.locked(domain_in(dom)) as domain:
            if domain.config is None:
                raise invalid_operation("cannot set autostart for transient domain")
            domain.autostart = bool(autostart)

    def domain_get_security_label(
        self, call: Call, dom: RemoteNonnullDomain
    ) -> RemoteDomainGetSecurityLabelRet:
        with self.host(call).domains.locked(domain_in(dom)) as domain:
            label = facts.SECURITY_LABEL.encode() if domain.is_active else b""
            return RemoteDomainGetSecurityLabelRet(label + b"\0", int(domain.is_active))

    # Processors

    def domain_get_max_vcpus(self, call: Call, dom: RemoteNonnullDomain) -> int:
        with self.host(call).domains.locked(domain_in(dom)) as domain:
            return domain.live.max_vcpus if domain.is_active else VCPUS_MAX

    def domain_get_vcpus_flags(self, call: Call, dom: RemoteNonnullDomain, flags: int) -> int:
        host = self.host(call)
        wanted = self.flags(call, DomainCount, flags)
        with host.domains.locked(domain_in(dom)) as domain:
            shown = domain.shown(wanted, function_of(call))
            return shown.max_vcpus if wanted & DomainCount.MAXIMUM else shown.vcpus

    def domain_set_vcpus(self, call: Call, dom: RemoteNonnullDomain, nvcpus: int) -> None:
        with self.host(call).domains.locked(domain_in(dom)) as domain:
            tuning.set_vcpus(domain, nvcpus, DomainCount.LIVE)

    def domain_set_vcpus_flags(
        self, call: Call, dom: RemoteNonnullDomain, nvcpus: int, flags: int
    ) -> None:
        host = self.host(call)
        wanted = self.flags(call, DomainCount, flags)
        with host.domains.locked(domain_in(dom)) as domain:
            tuning.set_vcpus(domain, nvcpus, wanted)

    def domain_get_vcpus(
        self, call: Call, dom: RemoteNonnullDomain, maxinfo: int, maplen: int
    ) -> RemoteDomainGetVcpusRet:
        with self.host(call).domains.locked(domain_in(dom)) as domain:
            if not domain.is_active:
                raise invalid_operation("cannot list vcpus for an inactive domain")
            count = max(0, min(domain.live.vcpus, maxinfo))
            time = domain.cpu_time // domain.live.vcpus
            info = [RemoteVcpuInfo(i, _RUNNING, time, facts.CPUS - 1) for i in range(count)]
            return RemoteDomainGetVcpusRet(info, _cpu_maps(maplen, count))

    def domain_get_vcpu_pin_info(
        self, call: Call, dom: RemoteNonnullDomain, ncpumaps: int, maplen: int, flags: int
    ) -> RemoteDomainGetVcpuPinInfoRet:
        host = self.host(call)
        wanted = self.flags(call, Affect, flags)
        with host.domains.locked(domain_in(dom)) as domain:
            shown = domain.shown(wanted, function_of(call))
            count = max(0, min(shown.vcpus, ncpumaps))
            return RemoteDomainGetVcpuPinInfoRet(_cpu_maps(maplen, count), count)

    def domain_get_emulator_pin_info(
        self, call: Call, dom: RemoteNonnullDomain, maplen: int, flags: int
    ) -> RemoteDomainGetEmulatorPinInfoRet:
        host = self.host(call)
        wanted = self.flags(call, Affect, flags)
        with host.domains.locked(domain_in(dom)) as domain:
            domain.shown(wanted, function_of(call))
            return RemoteDomainGetEmulatorPinInfoRet(_cpu_maps(maplen, 1), 1)

    # Memory

    def domain_get_max_memory(self, call: Call, dom: RemoteNonnullDomain) -> int:
        with self.host(call).domains.locked(domain_in(dom)) as domain:
            return domain.current.max_memory

    def domain_set_max_memory(self, call: Call, dom: RemoteNonnullDomain, memory: int) -> None:
        with self.host(call).domains.locked(domain_in(dom)) as domain:
            tuning.set_memory(domain, memory, DomainCount.MAXIMUM)

    def domain_set_memory(self, call: Call, dom: RemoteNonnullDomain, memory: int) -> None:
        with self.host(call).domains.locked(domain_in(dom)) as domain:
            tuning.set_memory(domain, memory, DomainCount.LIVE)

    def domain_set_memory_flags(
        self, call: Call, dom: RemoteNonnullDomain, memory: int, flags: int
    ) -> None:
        host = self.host(call)
        wanted = self.flags(call, DomainCount, flags)
        with host.domains.locked(domain_in(dom)) as domain:
            tuning.set_memory(domain, memory, wanted)

    def domain_memory_stats(
        self, call: Call, dom: RemoteNonnullDomain, max_stats: int, flags: int
    ) -> list[RemoteDomainMemoryStat]:
        host = self.host(call)
        self.no_flags(call, flags)
        with host.domains.locked(domain_in(dom)) as domain:
            _check_active(domain.is_active)
            stats = _memory_stats(domain.live.memory)
            return [RemoteDomainMemoryStat(*stat) for stat in stats[: max(0, max_stats)]]

    # Devices

    def domain_get_block_info(
        self, call: Call, dom: RemoteNonnullDomain, path: str, flags: int
    ) -> RemoteDomainGetBlockInfoRet:
        host = self.host(call)
        self.no_flags(call, flags)
        with host.domains.locked(domain_in(dom)) as domain:
            domain.current.disk(path)
            return RemoteDomainGetBlockInfoRet(_DISK_ALLOCATION, _DISK_CAPACITY, _DISK_ALLOCATION)

    def domain_block_stats(
        self, call: Call, dom: RemoteNonnullDomain, path: str
    ) -> RemoteDomainBlockStatsRet:
        with self.host(call).domains.locked(domain_in(dom)) as domain:
            _check_active(domain.is_active)
            domain.live.disk(path)
            return RemoteDomainBlockStatsRet(0, 0, 0, 0, 0)

    def domain_interface_stats(
        self, call: Call, dom: RemoteNonnullDomain, device: str
    ) -> RemoteDomainInterfaceStatsRet:
        with self.host(call).domains.locked(domain_in(dom)) as domain:
            _check_active(domain.is_active)
            domain.live.interface(device)
            return RemoteDomainInterfaceStatsRet(0, 0, 0, 0, 0, 0, 0, 0)


def _check_active(is_active: bool) -> None:
    if not is_active:
        raise invalid_operation("domain is not running", VirErrorDomain.VIR_FROM_DOMAIN)


def _cpu_maps(length: int, count: int) -> bytes:
    """So many maps of so many bytes, in which all processors of a guest are set.

    Raises:
        LibvirtError: they do not fit a reply.
    """
    if not 0 <= length * count <= REMOTE_CPUMAPS_MAX:
        raise invalid_argument(f"{count} maps of {length} bytes exceed {REMOTE_CPUMAPS_MAX}")
    one = bytes([(1 << facts.GUEST_CPUS) - 1])
    return one.ljust(length, b"\0")[:length] * count


def _memory_stats(memory: int) -> list[tuple[int, int]]:
    """Statistics by tag (virDomainMemoryStatTags), from the KiB that a guest has."""
    return [
        (6, memory),  # the balloon
        (0, 0),  # swapped in
        (1, 0),  # swapped out
        (2, 0),  # major faults
        (3, 0),  # minor faults
        (4, memory // 2),  # unused
        (5, memory),  # available
        (8, memory // 2),  # usable
        (9, _LAST_UPDATE),
        (10, memory // 8),  # caches
        (11, 0),  # huge pages that could be had
        (12, 0),  # and those that could not
        (7, memory // 2),  # resident
    ]
