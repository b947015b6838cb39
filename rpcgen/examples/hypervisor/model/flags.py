"""The flags of libvirt's functions that the hypervisor understands, under libvirt's numbers.

A flag that is not here is refused where it is given.
"""

from __future__ import annotations

from enum import IntFlag
from typing import TypeVar

from libvirt_rpc.libvirt_common.types import VirErrorDomain
from rpcgen.examples.hypervisor.model.errors import bad_argument


class Affect(IntFlag):
    """Which definition is meant (virDomainModificationImpact); none: as the state suggests."""

    LIVE = 1
    CONFIG = 2


class DomainList(IntFlag):
    """Which domains to list (virConnectListAllDomainsFlags)."""

    ACTIVE = 1
    INACTIVE = 2
    PERSISTENT = 4
    TRANSIENT = 8
    RUNNING = 16
    PAUSED = 32
    SHUTOFF = 64
    OTHER = 128
    MANAGEDSAVE = 256
    NO_MANAGEDSAVE = 512
    AUTOSTART = 1024
    NO_AUTOSTART = 2048
    HAS_SNAPSHOT = 4096
    NO_SNAPSHOT = 8192
    HAS_CHECKPOINT = 16384
    NO_CHECKPOINT = 32768


class DomainStats(IntFlag):
    """Of which domains to give statistics, and what if some are not known (virConnectGetAllDomainStatsFlags)."""

    ACTIVE = 1
    INACTIVE = 2
    PERSISTENT = 4
    TRANSIENT = 8
    RUNNING = 16
    PAUSED = 32
    SHUTOFF = 64
    OTHER = 128
    NOWAIT = 1 << 29
    ENFORCE_STATS = 1 << 31


class DomainStart(IntFlag):
    """How to start (virDomainCreateFlags)."""

    PAUSED = 1
    BYPASS_CACHE = 4
    FORCE_BOOT = 8
    VALIDATE = 16


class Define(IntFlag):
    """How to define anything: no schema is at hand, so validating is left out (virDomainDefineFlags)."""

    VALIDATE = 1


class DomainUndefine(IntFlag):
    """What to remove with a definition (virDomainUndefineFlagsValues)."""

    MANAGED_SAVE = 1
    SNAPSHOTS_METADATA = 2
    NVRAM = 4
    KEEP_NVRAM = 8
    CHECKPOINTS_METADATA = 16
    TPM = 32
    KEEP_TPM = 64


class DomainXml(IntFlag):
    """Which description (virDomainXMLFlags)."""

    SECURE = 1
    INACTIVE = 2
    UPDATE_CPU = 4
    MIGRATABLE = 8


class DomainReboot(IntFlag):
    """How to ask the guest (virDomainRebootFlagValues, virDomainShutdownFlagValues)."""

    ACPI_POWER_BTN = 1
    GUEST_AGENT = 2
    INITCTL = 4
    SIGNAL = 8
    PARAVIRT = 16


class DomainDestroy(IntFlag):
    """How to stop (virDomainDestroyFlagsValues)."""

    GRACEFUL = 1
    REMOVE_LOGS = 2


class ManagedSave(IntFlag):
    """How to save a domain, and the state in which it is restored (virDomainSaveRestoreFlags)."""

    BYPASS_CACHE = 1
    RUNNING = 2
    PAUSED = 4


class DomainCount(IntFlag):
    """Which number of virtual processors or amount of memory (virDomainVcpuFlags, ...MemoryModFlags)."""

    LIVE = 1
    CONFIG = 2
    MAXIMUM = 4


class SnapshotCreate(IntFlag):
    """How to take a snapshot (virDomainSnapshotCreateFlags)."""

    REDEFINE = 1
    CURRENT = 2
    NO_METADATA = 4
    HALT = 8
    ATOMIC = 128
    VALIDATE = 512


class SnapshotDelete(IntFlag):
    """What to delete of and with a snapshot (virDomainSnapshotDeleteFlags)."""

    CHILDREN = 1
    METADATA_ONLY = 2
    CHILDREN_ONLY = 4


class SnapshotRevert(IntFlag):
    """The state to end in, where it is not the snapshot's (virDomainSnapshotRevertFlags)."""

    RUNNING = 1
    PAUSED = 2
    FORCE = 4
    RESET_NVRAM = 8


class SnapshotList(IntFlag):
    """Which snapshots to list (virDomainSnapshotListFlags).

    The first means roots in a question about a domain, and descendants in one about a snapshot.
    """

    ROOTS_OR_DESCENDANTS = 1
    METADATA = 2
    LEAVES = 4
    NO_LEAVES = 8
    NO_METADATA = 16
    INACTIVE = 32
    ACTIVE = 64
    DISK_ONLY = 128
    INTERNAL = 256
    EXTERNAL = 512
    TOPOLOGICAL = 1024


class NetworkList(IntFlag):
    """Which networks to list (virConnectListAllNetworksFlags)."""

    INACTIVE = 1
    ACTIVE = 2
    PERSISTENT = 4
    TRANSIENT = 8
    AUTOSTART = 16
    NO_AUTOSTART = 32


class PoolList(IntFlag):
    """Which pools to list (virConnectListAllStoragePoolsFlags): folders, or any of the others."""

    INACTIVE = 1
    ACTIVE = 2
    PERSISTENT = 4
    TRANSIENT = 8
    AUTOSTART = 16
    NO_AUTOSTART = 32
    DIR = 64
    OTHER_TYPES = 0xFFF80


class NetworkXml(IntFlag):
    """Which description (virNetworkXMLFlags)."""

    INACTIVE = 1


class PoolXml(IntFlag):
    """Which description (virStorageXMLFlags)."""

    INACTIVE = 1


class PoolCreate(IntFlag):
    """What to build first (virStoragePoolCreateFlags)."""

    WITH_BUILD = 1
    WITH_BUILD_OVERWRITE = 2
    WITH_BUILD_NO_OVERWRITE = 4


class PoolBuild(IntFlag):
    """How to build (virStoragePoolBuildFlags)."""

    REPAIR = 1
    RESIZE = 2
    NO_OVERWRITE = 4
    OVERWRITE = 8


class PoolDelete(IntFlag):
    """How to delete (virStoragePoolDeleteFlags)."""

    ZEROED = 1


class VolumeCreate(IntFlag):
    """How to make a volume (virStorageVolCreateFlags)."""

    PREALLOC_METADATA = 1
    REFLINK = 2
    VALIDATE = 4


class VolumeDelete(IntFlag):
    """How to delete a volume (virStorageVolDeleteFlags)."""

    ZEROED = 1
    WITH_SNAPSHOTS = 2


class VolumeInfo(IntFlag):
    """Which sizes (virStorageVolInfoFlags)."""

    PHYSICAL = 1


class VolumeStream(IntFlag):
    """How a volume travels (virStorageVolDownloadFlags, virStorageVolUploadFlags)."""

    SPARSE = 1


class ConsoleOpen(IntFlag):
    """How to open a console (virDomainConsoleFlags)."""

    FORCE = 1
    SAFE = 2


class VolumeResize(IntFlag):
    """How to resize a volume (virStorageVolResizeFlags)."""

    ALLOCATE = 1
    DELTA = 2
    SHRINK = 4


Flags = TypeVar("Flags", bound=IntFlag)


def understood(kind: type[Flags], flags: int, function: str) -> Flags:
    """Flags as what they are; errors as with ``check``."""
    known = 0
    for flag in kind.__members__.values():
        known |= int(flag)  # the inverse of a flag is not that of a number
    check(flags, known, function)
    return kind(flags)


def check(flags: int, known: int, function: str) -> None:
    """Refuse flags that are not known.

    Args:
        function: libvirt's name of what was called, for the error.

    Raises:
        RemoteError: some are not (VIR_ERR_INVALID_ARG).
    """
    if flags & ~known:
        text = f"unsupported flags (0x{flags & ~known:x}) in function {function}"
        raise bad_argument(function, "flags", text, VirErrorDomain.VIR_FROM_TEST)


def passes(flags: int, *groups: dict[int, bool]) -> bool:
    """Whether an object is wanted: of each group with a flag given, one given must be true of it."""
    for group in groups:
        given = [is_true for flag, is_true in group.items() if flags & flag]
        if given and not any(given):
            return False
    return True
