"""Streams both ways, checked on both ends: whole ones, and those that either side breaks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Final

from benchmarks.soaking.deeds import Names
from benchmarks.soaking.patterns import ASYNC, BROKEN, PLAIN, SOUND, Checksum, content, volume
from benchmarks.soaking.tally import Tally, Wrong
from libvirt_rpc.libvirt_common.types import VirErrorNumber
from libvirt_rpc.remote_protocol.client import AsyncRemoteClient, RemoteClient
from libvirt_rpc.remote_protocol.types import RemoteNonnullStorageVol
from rpcgen.runtime import RemoteError

_SIZE_MAX: Final = 8 << 20


class GivenUp(Exception):  # noqa: N818  (on purpose)
    """Leaves a stream's block, which aborts it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One stream.

    Attributes:
        gives_up: bytes after which this side aborts it; None for never.
    """

    vol: RemoteNonnullStorageVol
    size: int
    gives_up: int | None

    def step(self, seen: int) -> None:
        """So many bytes have passed.

        Raises:
            GivenUp: they are enough.
        """
        if self.gives_up is not None and seen >= self.gives_up:
            raise GivenUp

    def judge(self, problem: str | None) -> str:
        """What happened to a stream that went to its end, in a word.

        Raises:
            Wrong: it should not have.
        """
        if self.vol.name == BROKEN:
            raise Wrong(f"{self.vol}: whole, although the server broke it")
        if problem:
            raise Wrong(problem)
        return "whole streams"

    def judge_error(self, error: RemoteError) -> str:
        """The same of one that the server broke.

        Raises:
            Wrong: it should not have.
        """
        wanted = (VirErrorNumber.VIR_ERR_OPERATION_ABORTED, self.vol.key)
        if self.vol.name != BROKEN or (error.code, error.message) != wanted:
            raise Wrong(f"{self.vol}: {error!r}") from error
        return "streams broken by the server"


def plan(random: Random, names: Names) -> Plan:
    """Any stream."""
    kind = BROKEN if random.random() < 0.15 else SOUND
    size = random.randint(2, _SIZE_MAX)
    gives_up = random.randint(0, size - 1) if kind == SOUND and random.random() < 0.15 else None
    vol = volume(random.choice((PLAIN, ASYNC)), kind, names.next())
    return Plan(vol, size, gives_up)


@contextmanager
def _counting(one: Plan, tally: Tally) -> Iterator[None]:
    """Count what becomes of a stream besides its being whole."""
    try:
        yield
        tally.count("bytes of whole streams", one.size)
    except GivenUp:
        tally.count("streams aborted by the client")
    except RemoteError as error:
        tally.count(one.judge_error(error))


def run(remote: RemoteClient, one: Plan, up: bool, tally: Tally) -> None:
    """Upload or download."""
    with _counting(one, tally):
        tally.count(one.judge((_upload if up else _download)(remote, one)))


def _download(remote: RemoteClient, one: Plan) -> str | None:
    check, seen = Checksum(one.vol.key, one.size), 0
    with remote.storage_vol_download(one.vol, 0, one.size) as stream:
        for chunk in stream:
            check.add(chunk)
            seen += len(chunk)
            one.step(seen)
    return check.problem()


def _upload(remote: RemoteClient, one: Plan) -> None:
    seen = 0
    with remote.storage_vol_upload(one.vol, 0, one.size) as stream:
        for piece in content(one.vol.key, one.size):
            stream.write(piece)
            seen += len(piece)
            one.step(seen)


async def run_async(remote: AsyncRemoteClient, one: Plan, up: bool, tally: Tally) -> None:
    """The same for asyncio."""
    with _counting(one, tally):
        tally.count(one.judge(await (_upload_async if up else _download_async)(remote, one)))


async def _download_async(remote: AsyncRemoteClient, one: Plan) -> str | None:
    check, seen = Checksum(one.vol.key, one.size), 0
    async with remote.storage_vol_download(one.vol, 0, one.size) as stream:
        async for chunk in stream:
            check.add(chunk)
            seen += len(chunk)
            one.step(seen)
    return check.problem()


async def _upload_async(remote: AsyncRemoteClient, one: Plan) -> None:
    seen = 0
    async with remote.storage_vol_upload(one.vol, 0, one.size) as stream:
        for piece in content(one.vol.key, one.size):
            await stream.write(piece)
            seen += len(piece)
            one.step(seen)
