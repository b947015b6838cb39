"""Streams of many megabytes, both ways: our clients with our server, libvirtd's storage driver, and a raw copy.

A MB is a million bytes. The volume lies in memory where that can be had, so that no disk is measured.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import clients, report
from benchmarks.clients import ASYNCIO, SYNC, THEIRS, UVLOOP
from benchmarks.figures import (
    Cost,
    Effort,
    Figures,
    Panel,
    Section,
    Target,
    interleave,
    mebibytes,
)
from benchmarks.peers import libvirtd
from benchmarks.processes import (
    Missing,
    Peak,
    Worker,
    cpu_seconds,
    python,
    server,
    worker,
)

OPERATIONS: Final = ("download", "upload")

RAW: Final = "raw copy"

_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108  (a folder of our own in it)

_OURS: Final = {"async": "async def", "plain": "workers"}
"""Kinds of handlers of our server."""

_MEGABYTE: Final = 1_000_000

_FLAT: Final = 16 << 20
"""Bytes that memory may grow by, of client or server, and be called flat: a few buffers, not the stream."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One client with one server."""

    client: Worker
    server: int

    def run(self, operation: str, size: int) -> Cost:
        """What one byte of a stream costs."""
        peak, before = Peak(self.server), cpu_seconds(self.server)
        usage = self.client.run(operation, size)
        cpu = cpu_seconds(self.server) - before
        memory = (usage.memory, peak.growth())
        return Cost(usage.seconds / size, usage.cpu / size, cpu / size, *memory)


def run(folder: Path, effort: Effort) -> Section:
    """Start everyone, measure, and sum up."""
    missing: list[str] = []
    with ExitStack() as stack:
        everyone = _contestants(stack, folder, effort.size, missing)
        for one in everyone.values():
            one.run("upload", effort.size)  # the volume's pages exist from now on
        results = {
            operation: interleave(
                {name: _stream(one, operation, effort.size) for name, one in everyone.items()},
                effort.rounds,
            )
            for operation in OPERATIONS
        }
    return Section(_text(results), _targets(results), _panels(results), missing)


def _stream(one: Contestant, operation: str, size: int) -> Callable[[], Cost]:
    return lambda: one.run(operation, size)


# Who takes part


def _contestants(
    stack: ExitStack, folder: Path, size: int, missing: list[str]
) -> dict[str, Contestant]:
    found = _raw(stack, folder)
    for handlers in _OURS:
        found |= _ours(stack, folder, handlers, missing)
    try:
        found |= _libvirtd(stack, folder, size, missing)
    except Missing as word:
        missing.append(str(word))
    return found


def _raw(stack: ExitStack, folder: Path) -> dict[str, Contestant]:
    path, module = folder / "raw", "benchmarks.peers.raw"
    pid = stack.enter_context(server(python(module, "server", path), path, folder / "raw.log"))
    client = stack.enter_context(worker(python(module, "worker", path), folder / "raw-client.log"))
    return {RAW: Contestant(client, pid)}


def _ours(
    stack: ExitStack, folder: Path, handlers: str, missing: list[str]
) -> dict[str, Contestant]:
    path, log = folder / handlers, folder / f"{handlers}.log"
    command = python("benchmarks.peers.ours_server", handlers, "asyncio", path)
    pid = stack.enter_context(server(command, path, log))
    everyone = clients.workers(stack, folder, "streams", path, "bench:///", missing)
    return {
        f"{title}, rpcgen server ({_OURS[handlers]})": Contestant(one, pid)
        for title, one in everyone.items()
    }


def _libvirtd(
    stack: ExitStack, folder: Path, size: int, missing: list[str]
) -> dict[str, Contestant]:
    own = folder / "virt"
    own.mkdir()
    daemon = stack.enter_context(libvirtd.running(own))
    volumes = stack.enter_context(TemporaryDirectory(dir=_volumes()))
    stack.enter_context(libvirtd.volume(daemon, Path(volumes), size))
    everyone = clients.workers(stack, folder, "streams", daemon.socket, daemon.storage, missing)
    everyone |= clients.theirs(stack, folder, "streams", daemon.uri(daemon.storage), missing)
    return {_with_libvirtd(title): Contestant(one, daemon.pid) for title, one in everyone.items()}


def _volumes() -> Path | None:
    return _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None


def _with_libvirtd(title: str) -> str:
    return f"{title}, libvirtd"


# What came out


def _text(results: Mapping[str, Figures]) -> str:
    names = list(next(iter(results.values())).costs)
    rows = [
        [name, *(_cell(results[one], name) for one in OPERATIONS), *_memory(results, name)]
        for name in names
    ]
    head = ["", *OPERATIONS, "client grew", "server grew"]
    return (
        "MB/s, and processor time of client and server for a MB; by how much their memory grew at most:"
        f"\n\n{report.table(head, rows)}"
    )


def _cell(figures: Figures, name: str) -> str:
    rate = figures.rate(name) / _MEGABYTE
    client, other = (
        report.time(one * _MEGABYTE) for one in (figures.client(name), figures.server(name))
    )
    return f"{rate:,.0f} · {client}, {other}"


def _memory(results: Mapping[str, Figures], name: str) -> list[str]:
    pairs = [figures.memory(name) for figures in results.values()]
    return [mebibytes(max(one)) for one in zip(*pairs, strict=True)]


def _targets(results: Mapping[str, Figures]) -> list[Target]:
    found = []
    for operation, figures in results.items():
        for name in figures.costs:
            base, wanted = _goal(name)
            if name != base and base in figures.costs:
                reached = figures.times(name, base)
                found.append(Target.ratio(f"{operation}: {name}", base, wanted, reached))
    return [*found, Target.size("memory of our clients and servers", _FLAT, _our_memory(results))]


def _our_memory(results: Mapping[str, Figures]) -> int:
    """The most that any of our processes grew by."""
    sizes = [0]
    for figures in results.values():
        for name in figures.costs:
            client, other = figures.memory(name)
            if name.startswith((SYNC, ASYNCIO, UVLOOP)):
                sizes.append(client)
                sizes += [] if name.endswith(_with_libvirtd("")) else [other]
    return max(sizes)


def _goal(name: str) -> tuple[str, float | None]:
    """Whom one is compared with, and what we want."""
    is_ours = name.startswith((SYNC, ASYNCIO))
    if name.endswith(_with_libvirtd("")):
        return _with_libvirtd(THEIRS), 1.0 if is_ours else None
    return RAW, 0.6 if is_ours else None


def _panels(results: Mapping[str, Figures]) -> list[Panel]:
    return [
        Panel(f"{operation}: MB/s", {name: one.rate(name) / _MEGABYTE for name in one.costs})
        for operation, one in results.items()
    ]
