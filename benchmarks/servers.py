"""Servers that answer the same tiny request: ours, libvirtd, grpcio's, and what C could do.

All of them run while one is under load; those at rest take no processor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypeAlias

from benchmarks import native, report
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
from benchmarks.peers import Rate, libvirtd, wire_load
from benchmarks.peers.grpc_load import GRPCIO, H2LOAD, GrpcLoad, grpcio, h2load
from benchmarks.peers.wire_load import WireLoad
from benchmarks.processes import Missing, python, server

Run: TypeAlias = Callable[[int, int, float], Rate]
"""Connections, calls in flight on each, seconds."""

_ONE, _EIGHT = "1 connection", "8 connections"

LOADS: Final = {
    _ONE: (1, 1),
    _EIGHT: (8, 1),
    "64 connections": (64, 1),
    "8, each 16 in flight": (8, 16),
}

LIMIT, LIBVIRTD = "C, a fixed answer", "libvirtd"

ASYNC, NONBLOCKING, WORKERS = "rpcgen, async def", "rpcgen, nonblocking", "rpcgen, workers"

_HANDLERS: Final = {ASYNC: "async", NONBLOCKING: "nonblocking", WORKERS: "plain"}

_AIO, _AIO_OWN = f"grpcio aio ({H2LOAD})", f"grpcio aio ({GRPCIO})"

_TARGETS: Final = (
    (ASYNC, LIBVIRTD, _EIGHT, 3.0),
    (ASYNC, _AIO, _EIGHT, 25.0),
    (ASYNC, _AIO, _ONE, 5.0),
    (ASYNC, _AIO_OWN, _EIGHT, None),
    (ASYNC, _AIO_OWN, _ONE, None),
    (WORKERS, LIBVIRTD, _EIGHT, 0.5),
    (NONBLOCKING, ASYNC, _EIGHT, None),
    (f"{ASYNC}, uvloop", LIBVIRTD, _EIGHT, None),
)
"""Ours, theirs, under which load, and how many times as fast we want to be."""


class _Stage:
    """Where servers are started, each once; they end with the stack."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self._started: dict[str, tuple[int, Path]] = {}
        self.load = native.compiled("load", folder)

    def server(self, name: str, command: Sequence[str | Path], *behind: str) -> tuple[int, Path]:
        """The pid and the socket of a server, whose command ends with its socket and ``behind``."""
        if name not in self._started:
            path, log = self.folder / name, self.folder / f"{name}.log"
            pid = self.stack.enter_context(server([*command, path, *behind], path, log))
            self._started[name] = pid, path
        return self._started[name]

    def wire(self, pid: int, path: Path, opened: str = "test:///default") -> WireLoad:
        """Our load on one of them."""
        return WireLoad(self.load, pid, path, opened)


def run(folder: Path, effort: Effort) -> Section:
    """Start everyone, measure, and sum up.

    Raises:
        Missing: the load cannot be compiled.
    """
    missing: list[str] = []
    with ExitStack() as stack:
        everyone = _contestants(_Stage(stack, folder), missing)
        results = {
            load: interleave(
                {name: _loaded(one, load, effort.seconds) for name, one in everyone.items()},
                effort.rounds,
            )
            for load in LOADS
        }
    return Section(_text(results), _targets(results), _panels(results), missing)


def _loaded(one: Run, load: str, seconds: float) -> Callable[[], Cost]:
    def cost() -> Cost:
        rate = one(*LOADS[load], seconds)
        return Cost(rate.seconds / rate.calls, rate.load / rate.calls, rate.cpu / rate.calls)

    return cost


# Who takes part


def _contestants(stage: _Stage, missing: list[str]) -> dict[str, Run]:
    found: dict[str, Run] = {}
    for peers in (_ours, _our_uvloop, _limit, _libvirtd, _grpcio, _grpcio_by_h2load):
        try:
            found |= peers(stage)
        except Missing as word:
            missing.append(str(word))
    return found


def _ours(stage: _Stage, loop: str = "asyncio") -> dict[str, Run]:
    command = python("benchmarks.peers.ours_server")
    return {
        title if loop == "asyncio" else f"{title}, {loop}": stage.wire(
            *stage.server(f"{handlers}-{loop}", [*command, handlers, loop])
        )
        for title, handlers in _HANDLERS.items()
    }


def _our_uvloop(stage: _Stage) -> dict[str, Run]:
    _want("uvloop")
    return _ours(stage, "uvloop")


def _limit(stage: _Stage) -> dict[str, Run]:
    program = native.compiled("limit", stage.folder)
    return {LIMIT: stage.wire(*stage.server("limit-socket", [program], wire_load.answer()))}


def _libvirtd(stage: _Stage) -> dict[str, Run]:
    own = stage.folder / "virt"
    own.mkdir()
    daemon = stage.stack.enter_context(libvirtd.running(own))
    return {LIBVIRTD: stage.wire(daemon.pid, daemon.socket, daemon.test)}


def _grpc_servers(stage: _Stage) -> dict[str, tuple[int, Path]]:
    _want("grpc")
    _want("grpc_tools")
    command = python("benchmarks.peers.grpc_server")
    return {kind: stage.server(f"grpc-{kind}", [*command, kind]) for kind in ("aio", "sync")}


def _grpcio(stage: _Stage) -> dict[str, Run]:
    return {
        f"grpcio {kind} ({GRPCIO})": GrpcLoad(pid, grpcio(path))
        for kind, (pid, path) in _grpc_servers(stage).items()
    }


def _grpcio_by_h2load(stage: _Stage) -> dict[str, Run]:
    return {
        f"grpcio {kind} ({H2LOAD})": GrpcLoad(pid, h2load(path, stage.folder))
        for kind, (pid, path) in _grpc_servers(stage).items()
    }


def _want(package: str) -> None:
    if not find_spec(package):
        raise Missing(f"{package}: not installed")


# What came out


def _text(results: Mapping[str, Figures]) -> str:
    names = list(next(iter(results.values())).costs)
    rates = [[name, *(_rate(results[load], name) for load in LOADS)] for name in names]
    cpu = [[name, *(duration(results[load].server(name)) for load in LOADS)] for name in names]
    return (
        f"Calls per second, and times libvirtd's:\n\n{report.table(['server', *LOADS], rates)}\n\n"
        f"Processor time of the server, a call:\n\n{report.table(['server', *LOADS], cpu)}"
    )


def _rate(figures: Figures, name: str) -> str:
    rate = thousands(figures.rate(name))
    if LIBVIRTD not in figures.costs:
        return rate
    return f"{rate} · {figures.times(name, LIBVIRTD):.2f}x"


def _targets(results: Mapping[str, Figures]) -> list[Target]:
    return [
        Target.ratio(f"{ours}, {load}", theirs, wanted, results[load].times(ours, theirs))
        for ours, theirs, load, wanted in _TARGETS
        if {ours, theirs} <= results[load].costs.keys()
    ]


def _panels(results: Mapping[str, Figures]) -> list[Panel]:
    return [
        Panel(f"servers, {load}: calls/s", {name: one.rate(name) for name in one.costs})
        for load, one in results.items()
    ]
