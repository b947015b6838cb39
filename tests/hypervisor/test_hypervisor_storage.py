"""Pools, volumes and what is in them."""

from __future__ import annotations

from collections.abc import Callable
from errno import ENOSPC
from typing import Final

import pytest
from hypervisor.hosts import UUID, Watched, refusal
from hypothesis import given, settings
from hypothesis import strategies as st

from rpcgen.examples.hypervisor.model import pools as pools_module
from rpcgen.examples.hypervisor.model import volumes
from rpcgen.examples.hypervisor.model.errors import LibvirtError
from rpcgen.examples.hypervisor.model.events import PoolChange, PoolLifecycle, PoolRefreshed, Ref
from rpcgen.examples.hypervisor.model.flags import PoolList, VolumeResize
from rpcgen.examples.hypervisor.model.identity import parse_uuid
from rpcgen.examples.hypervisor.model.limits import PAGE, POOL_CAPACITY
from rpcgen.examples.hypervisor.model.pool import PoolDefinition
from rpcgen.examples.hypervisor.model.sparse import Budget, DiskFullError, SparseBytes
from rpcgen.examples.hypervisor.model.transfer import transfer
from rpcgen.examples.hypervisor.model.volumes import VolumeRef

ID: Final = parse_uuid(UUID) or b""
REF: Final = Ref("disks", ID)
VOLUME: Final = VolumeRef("disks", "v", "/disks/v")
OTHER: Final = "11111111-2222-3333-4444-666666666666"


def definition(name: str = "disks", uuid: str = UUID, path: str = "/disks") -> PoolDefinition:
    return PoolDefinition.parse(
        f"<pool type='dir'><name>{name}</name><uuid>{uuid}</uuid>"
        f"<target><path>{path}</path></target></pool>"
    )


def request(name: str = "v", capacity: int = 1000, allocation: int = 0) -> volumes.VolumeRequest:
    return volumes.VolumeRequest(name, capacity, allocation, "raw")


@pytest.fixture
def host() -> Watched:
    """A host with an active pool and a volume of three pages."""
    host = Watched()
    host.pools.define(definition())
    host.pools.start(ID)
    host.pools.create_volume(ID, request(capacity=3 * PAGE))
    host.happened()
    return host


def write(host: Watched, data: bytes, offset: int = 0, length: int = 0) -> None:
    with transfer(host.pools, VOLUME, offset, length) as volume:
        volume.write(data)


def read(host: Watched, offset: int = 0, length: int = 0) -> list[bytes | int]:
    with transfer(host.pools, VOLUME, offset, length) as volume:
        return list(volume.read())


# Contents

SIZE: Final = 4 * PAGE + 100
SPAN: Final = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(sorted)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(SPAN, st.booleans(), st.integers(1, 255)), max_size=8), SPAN)
def test_contents_are_bytes(actions: list[tuple[list[int], bool, int]], span: list[int]) -> None:
    plain, budget = bytearray(SIZE), Budget(5 * PAGE)
    content = SparseBytes(SIZE, budget)
    for (start, end), is_data, value in actions:
        if is_data:
            content.write(start, bytes([value]) * (end - start))
            plain[start:end] = bytes([value]) * (end - start)
        else:
            content.clear(start, end - start)
            plain[start:end] = bytes(end - start)
    position, end, found = span[0], span[1], b""
    for length, is_stored in content.sections(*(position, end - position)):
        part = content.read(position, length) if is_stored else bytes(length)
        assert len(part) == length > 0
        found += part
        position += length
    assert found == plain[span[0] : end]
    content.resize(end)
    content.resize(SIZE)
    assert content.read(end, 1) in (b"", b"\0")
    content.discard()
    assert content.stored == 0
    budget.take(5 * PAGE)


def test_a_huge_hole_costs_nothing() -> None:
    content = SparseBytes(1 << 60, Budget(PAGE))
    content.write((1 << 60) - 1, b"x")
    hole = (1 << 60) - PAGE
    assert list(content.sections(0, 1 << 60)) == [(hole, False), (PAGE, True)]


def test_memory_is_bounded_and_given_back() -> None:
    budget = Budget(PAGE)
    first, second = (SparseBytes(10 * PAGE, budget) for _ in range(2))
    first.write(0, b"x")
    with pytest.raises(DiskFullError):
        second.write(0, b"x")
    first.clear(0, PAGE)
    second.write(0, b"x")
    with pytest.raises(DiskFullError):
        first.copy(second)


# Pools


def test_a_pool_comes_and_goes() -> None:
    host = Watched()
    pools = host.pools
    assert pools.define(definition()) == REF
    for act in (pools.build, pools.start, pools.refresh, pools.stop, pools.erase, pools.undefine):
        act(ID)
    assert pools.listed(PoolList(0)) == []
    changes = [PoolLifecycle(REF, PoolChange(number)) for number in (0, 4, 2, 3, 5, 1)]
    assert host.happened() == [*changes[:3], PoolRefreshed(REF), *changes[3:]]


def test_a_transient_pool_ends_with_its_run() -> None:
    host = Watched()
    host.pools.create(definition())
    assert host.pools.listed(PoolList.TRANSIENT | PoolList.ACTIVE) == [REF]
    host.pools.stop(ID)
    assert host.pools.listed(PoolList(0)) == []


def test_pools_refuse(host: Watched) -> None:
    pools = host.pools
    active = "storage pool 'disks' is active"
    acts: list[Callable[[bytes], object]]
    acts = [pools.start, pools.build, pools.erase, pools.undefine]
    for act in acts:
        assert active in refusal(55, act, ID)
    message = refusal(55, lambda: pools.create(definition()))
    assert "pool is already active as 'disks'" in message
    assert active in refusal(55, lambda: pools.define(definition(path="/elsewhere")))
    message = refusal(9, lambda: pools.define(definition("more", OTHER)))
    assert message == "operation failed: Storage source conflict with pool: 'disks'"
    pools.stop(ID)
    inactive = "storage pool 'disks' is not active"
    acts = [pools.stop, pools.refresh, pools.volumes]
    for act in acts:
        assert inactive in refusal(55, act, ID)
    assert inactive in refusal(55, pools.volume_by_name, ID, "v")
    assert inactive in refusal(55, lambda: pools.create_volume(ID, request("w")))
    assert "no storage vol" in refusal(50, pools.volume_by_path, "/disks/v", "path")
    pools.undefine(ID)
    acts = [pools.start, pools.by_uuid, pools.volumes]
    for act in acts:
        message = refusal(49, act, ID)
        assert f"no storage pool with matching uuid '{UUID}'" in message
    assert "target path '/x'" in refusal(49, pools.by_path, "/x")
    assert "matching name 'disks'" in refusal(49, pools.delete_volume, VOLUME)


def test_filters(host: Watched) -> None:
    short = host.pools.create(definition("short", OTHER, "/short"))
    with host.pools.locked(ID) as pool:
        pool.autostart = True
    assert host.pools.listed(PoolList.DIR) == host.pools.listed(PoolList(0)) == [REF, short]
    assert host.pools.listed(PoolList(0x80)) == []
    assert host.pools.listed(PoolList(0x80) | PoolList.DIR | PoolList.AUTOSTART) == [REF]
    assert host.pools.listed(PoolList.TRANSIENT | PoolList.NO_AUTOSTART) == [short]
    assert host.pools.by_path("/short/") == short


# Volumes


def test_volumes_are_found(host: Watched) -> None:
    pools = host.pools
    assert pools.volumes(ID) == [VOLUME]
    assert pools.volume_by_name(ID, "v") == pools.volume_by_path("/disks/v", "key") == VOLUME
    message = refusal(50, pools.volume_by_path, "/disks/w", "key")
    assert message == "Storage volume not found: no storage vol with matching key '/disks/w'"


def test_space_is_counted(host: Watched) -> None:
    host.pools.create_volume(ID, request("thick", 10, 4 * PAGE))
    write(host, b"x" * (PAGE + 1))
    with host.pools.locked(ID) as pool:
        assert (pool.allocation, pool.available) == (6 * PAGE, POOL_CAPACITY - 6 * PAGE)
        assert f"<allocation unit='bytes'>{6 * PAGE}<" in pool.xml()
    with host.pools.locked_volume(VOLUME) as volume:
        assert (volume.capacity, volume.allocation) == (3 * PAGE, 2 * PAGE)
        assert f"<capacity unit='bytes'>{3 * PAGE}<" in volume.xml()


@pytest.mark.parametrize(
    ("made", "code", "message"),
    [
        (request("v"), 9, "storage vol already exists"),
        (request("w", POOL_CAPACITY + 1, POOL_CAPACITY + 1), 1, "Not enough free space in pool"),
        (volumes.VolumeRequest("w", None, None, "raw"), 27, "missing capacity element"),
    ],
)
def test_a_volume_is_not_made(
    host: Watched, made: volumes.VolumeRequest, code: int, message: str
) -> None:
    assert message in refusal(code, host.pools.create_volume, ID, made)
    assert host.pools.volumes(ID) == [VOLUME]


def test_a_copy_has_the_content(host: Watched) -> None:
    write(host, b"abc", PAGE)
    made = volumes.VolumeRequest("w", None, 0, "raw")
    copy = host.pools.create_volume(ID, made, VOLUME)
    write(host, b"x", PAGE)
    with transfer(host.pools, copy, 0, 0) as volume:
        parts = list(volume.read())
    assert parts == [PAGE, b"abc".ljust(PAGE, b"\0"), PAGE]
    with host.pools.locked_volume(copy) as volume:
        assert volume.capacity == 3 * PAGE


def test_a_copy_that_does_not_fit_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools_module, "STORED_MAX", PAGE)
    host = Watched()
    host.pools.create(definition())
    host.pools.create_volume(ID, request())
    write(host, b"x")
    message = refusal(1, lambda: host.pools.create_volume(ID, request("w"), VOLUME))
    assert "Not enough free space" in message
    assert host.pools.volumes(ID) == [VOLUME]
    host.pools.delete_volume(VOLUME)
    host.pools.create_volume(ID, request())
    write(host, b"x")


@pytest.mark.parametrize(
    ("capacity", "flags", "size"),
    [
        (4 * PAGE, 0, 4 * PAGE),
        (PAGE, VolumeResize.DELTA, 4 * PAGE),
        (PAGE, VolumeResize.SHRINK, PAGE),
        (PAGE, VolumeResize.SHRINK | VolumeResize.DELTA, 2 * PAGE),
    ],
)
def test_resizing(host: Watched, capacity: int, flags: int, size: int) -> None:
    write(host, b"x" * 3 * PAGE)
    host.pools.resize_volume(VOLUME, capacity, VolumeResize(flags))
    assert sum(len(part) if isinstance(part, bytes) else part for part in read(host)) == size
    with host.pools.locked_volume(VOLUME) as volume:
        assert volume.allocation == min(size, 3 * PAGE)


def test_resizing_may_set_space_aside(host: Watched) -> None:
    host.pools.resize_volume(VOLUME, 5 * PAGE, VolumeResize.ALLOCATE)
    with host.pools.locked(ID) as pool:
        assert pool.allocation == 5 * PAGE
    message = refusal(
        1, lambda: host.pools.resize_volume(VOLUME, 2 * POOL_CAPACITY, VolumeResize.ALLOCATE)
    )
    assert "Not enough free space" in message


@pytest.mark.parametrize(
    ("capacity", "flags"),
    [(PAGE, 0), (4 * PAGE, VolumeResize.DELTA | VolumeResize.SHRINK)],
)
def test_a_volume_is_not_shrunk(host: Watched, capacity: int, flags: int) -> None:
    message = refusal(8, lambda: host.pools.resize_volume(VOLUME, capacity, VolumeResize(flags)))
    assert "Can't shrink capacity below current capacity" in message


# Transfers


def test_data_and_holes(host: Watched) -> None:
    with transfer(host.pools, VOLUME, 10, 0) as volume:
        volume.write(b"x" * PAGE)
        volume.skip(PAGE)
        volume.write(b"y")
    assert read(host, 10, PAGE) == [b"x" * (PAGE - 10), b"x" * 10]
    assert read(host, 2 * PAGE, 12) == [bytes(10) + b"y\0"]
    with transfer(host.pools, VOLUME, 0, 0) as volume:
        volume.skip(2 * PAGE)
    assert read(host, 0, 2 * PAGE) == [2 * PAGE]
    assert read(host, 3 * PAGE) == []


@pytest.mark.parametrize("length", [0, 100])
def test_a_transfer_ends_with_the_volume(host: Watched, length: int) -> None:
    offset = 3 * PAGE - 10
    assert read(host, offset, length) == [10]
    with transfer(host.pools, VOLUME, offset, length) as volume:
        volume.write(b"x" * 4)
        assert "No space left on device" in refusal(38, volume.skip, 7)
        with pytest.raises(LibvirtError, match="No space left on device") as caught:
            volume.write(b"y" * 7)
        assert caught.value.int1 == ENOSPC
        volume.write(b"y" * 6)
    assert read(host, offset) == [b"xxxxyyyyyy"]


def test_a_transfer_ends_where_it_was_told_to(host: Watched) -> None:
    assert refusal(38, write, host, b"abcd", 0, 3)
    write(host, b"abc", 0, 3)
    assert read(host, 0, 4) == [b"abc\0"]


def test_a_transfer_starts_within_the_volume(host: Watched) -> None:
    assert "is behind the end of volume 'v'" in refusal(8, read, host, 3 * PAGE + 1)


def test_a_transfer_without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools_module, "STORED_MAX", PAGE)
    host = Watched()
    host.pools.create(definition())
    host.pools.create_volume(ID, request(capacity=3 * PAGE))
    assert "No space left on device" in refusal(38, write, host, b"x" * 2 * PAGE)


def test_what_is_in_use_stays(host: Watched) -> None:
    used = "volume 'v' is still in use."
    actions: list[Callable[[], object]] = [
        lambda: host.pools.delete_volume(VOLUME),
        lambda: host.pools.stop(ID),
        lambda: host.pools.resize_volume(VOLUME, 4 * PAGE, VolumeResize(0)),
    ]
    with transfer(host.pools, VOLUME, 0, 0):
        assert all(used in refusal(55, action) for action in actions)
    with pytest.raises(ZeroDivisionError), transfer(host.pools, VOLUME, 0, 0):
        _ = 1 // 0
    host.pools.delete_volume(VOLUME)
