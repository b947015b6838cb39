"""Clients against one libvirtd and its test driver: ours, sync and asyncio, and libvirt's own.

Each client is a process with one connection, which rests while another one is measured. Where one call follows
another, client and daemon take turns: whether the system runs them on one processor or on two decides more than they
do, so both are measured, and nothing is left to chance.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benchmarks import report
from benchmarks.figures import (
    Cost,
    Effort,
    Figures,
    Panel,
    Section,
    Target,
    duration,
    interleave,
    thousands,
)
from benchmarks.peers import libvirtd
from benchmarks.peers.libvirtd import Libvirtd
from benchmarks.processes import Worker, cpu_seconds, place, python, worker

THEIRS: Final = "libvirt-python"
SYNC, ASYNCIO, UVLOOP = "rpcgen sync", "rpcgen asyncio", "rpcgen uvloop"

_OPTIONAL: Final = {THEIRS: "libvirt", UVLOOP: "uvloop"}
"""What has to be installed for whom."""

_STEP: Final = 64
"""Calls are made in multiples of this: of the number of threads, and of calls in flight."""

_TITLES: Final = {
    "sequential": "one at a time",
    "shared": "one at a time, one processor",
    "threads": "8 threads",
    "in flight": "64 in flight",
    "list": "list of 1,000 domains",
}

_OPERATIONS: Final = {"shared": "sequential"}
"""What a worker calls an operation that it calls otherwise."""

_TARGETS: Final = (
    ((SYNC, "sequential"), (THEIRS, "sequential"), 1.0),
    ((SYNC, "shared"), (THEIRS, "shared"), None),
    ((SYNC, "threads"), (THEIRS, "threads"), 0.9),
    ((ASYNCIO, "in flight"), (THEIRS, "sequential"), 3.5),
    ((UVLOOP, "in flight"), (THEIRS, "sequential"), None),
    ((SYNC, "list"), (THEIRS, "list"), 1.0),
    ((ASYNCIO, "list"), (THEIRS, "list"), None),
)
"""Ours, theirs, and how many times as fast we want to be."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One operation of one client."""

    client: Worker
    server: int
    operation: str

    def run(self, number: int) -> Cost:
        """What one of so many calls costs."""
        for pid, processors in zip((self.client.pid, self.server), self._places(), strict=True):
            place(pid, processors)
        before = cpu_seconds(self.server)
        usage = self.client.run(_OPERATIONS.get(self.operation, self.operation), number)
        server = cpu_seconds(self.server) - before
        return Cost(usage.seconds / number, usage.cpu / number, server / number)

    def _places(self) -> tuple[Collection[int], Collection[int]]:
        """The processors of client and server."""
        here = os.sched_getaffinity(0)
        first, *others = sorted(here)
        if self.operation == "sequential":
            return [first], others or [first]
        if self.operation == "shared":
            return [first], [first]
        return here, here

    def number(self, seconds: float) -> int:
        """How many calls take about so long."""
        number = _STEP
        while (spent := self.run(number).seconds * number) < seconds / 4:
            number *= 2
        return max(1, round(number * seconds / spent / _STEP)) * _STEP


def run(folder: Path, effort: Effort) -> Section:
    """Start everyone, measure, and sum up.

    Raises:
        Missing: there is no libvirtd.
    """
    missing: list[str] = []
    with ExitStack() as stack:
        daemon = stack.enter_context(libvirtd.running(folder))
        everyone = _contestants(stack, folder, daemon, missing)
        numbers = {name: one.number(effort.seconds) for name, one in everyone.items()}
        figures = interleave(
            {name: _repeated(one, numbers[name]) for name, one in everyone.items()}, effort.rounds
        )
    return Section(_text(figures), _targets(figures), _panels(figures), missing)


def name_of(client: str, operation: str) -> str:
    """What one operation of one client is called."""
    return f"{client}, {_TITLES[operation]}"


def workers(
    stack: ExitStack,
    folder: Path,
    what: str,
    path: Path,
    name: str,
    missing: list[str],
) -> dict[str, Worker]:
    """Our clients, for calls or for streams, connected to a server; who cannot be is noted."""
    found = {}
    for title, kind in ((SYNC, "sync"), (ASYNCIO, "asyncio"), (UVLOOP, "uvloop")):
        if _is_here(title, missing):
            command = python("benchmarks.peers.ours_worker", kind, what, path, name)
            log = folder / f"{kind}-{what}-{path.name}.log"
            found[title] = stack.enter_context(worker(command, log))
    return found


def theirs(
    stack: ExitStack, folder: Path, what: str, uri: str, missing: list[str]
) -> dict[str, Worker]:
    """libvirt's client, if it is here."""
    if not _is_here(THEIRS, missing):
        return {}
    command = python("benchmarks.peers.libvirt_worker", what, uri)
    return {THEIRS: stack.enter_context(worker(command, folder / f"libvirt-{what}.log"))}


def _is_here(title: str, missing: list[str]) -> bool:
    package = _OPTIONAL.get(title)
    if package is None or find_spec(package):
        return True
    word = f"{title}: no package {package}"
    if word not in missing:
        missing.append(word)
    return False


def _contestants(
    stack: ExitStack, folder: Path, daemon: Libvirtd, missing: list[str]
) -> Mapping[str, Contestant]:
    clients = workers(stack, folder, "calls", daemon.socket, daemon.test, missing)
    clients |= theirs(stack, folder, "calls", daemon.uri(daemon.test), missing)
    return {
        name_of(title, operation): Contestant(client, daemon.pid, operation)
        for title, client in clients.items()
        for operation in _TITLES
        if _OPERATIONS.get(operation, operation) in client.operations
    }


def _repeated(one: Contestant, number: int) -> Callable[[], Cost]:
    return lambda: one.run(number)


def _base(name: str) -> str:
    return name_of(THEIRS, "list" if name.endswith(_TITLES["list"]) else "sequential")


def _text(figures: Figures) -> str:
    rows = [
        [
            name,
            thousands(figures.rate(name)),
            f"{figures.times(name, _base(name)):.2f}x" if _base(name) in figures.costs else "",
            duration(figures.client(name)),
            duration(figures.server(name)),
        ]
        for name in figures.costs
    ]
    head = ["client", "calls/s", f"of {THEIRS}", "its processor, a call", "libvirtd's, a call"]
    return report.table(head, rows)


def _targets(figures: Figures) -> list[Target]:
    found = []
    for (ours, operation), (them, their_operation), wanted in _TARGETS:
        name, base = name_of(ours, operation), name_of(them, their_operation)
        if name in figures.costs and base in figures.costs:
            found.append(Target.ratio(name, base, wanted, figures.times(name, base)))
    return found


def _panels(figures: Figures) -> list[Panel]:
    lists = [name for name in figures.costs if name.endswith(_TITLES["list"])]
    rates = {name: figures.rate(name) for name in figures.costs}
    return [
        Panel(
            "calls of libvirtd, one connection: calls/s",
            {name: rate for name, rate in rates.items() if name not in lists},
        ),
        Panel("lists of 1,000 domains: calls/s", {name: rates[name] for name in lists}),
    ]
