"""What rounds of runs cost: time, processor time on both sides, memory; and how fast one is against another.

Runs are interleaved by ``measure``. Nothing here knows what ran, or how it is printed but for single cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks import measure, report

_MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Cost:
    """What one unit of work took: a call, or a byte.

    Attributes:
        seconds: by the clock.
        client, server: processor seconds of either side.
        client_memory, server_memory: bytes by which either side grew at most in the whole run.
    """

    seconds: float
    client: float
    server: float
    client_memory: int = 0
    server_memory: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """All rounds of a group that ran interleaved."""

    costs: Mapping[str, Sequence[Cost]]

    def rate(self, name: str) -> float:
        """The median: units in a second."""
        return 1 / median(cost.seconds for cost in self.costs[name])

    def times(self, name: str, base: str) -> float:
        """How many times as fast as ``base``: the median over the rounds, each compared in itself."""
        return self._samples().speed(name, base)

    def client(self, name: str) -> float:
        """The median of the client's processor seconds for a unit."""
        return median(cost.client for cost in self.costs[name])

    def server(self, name: str) -> float:
        """The same of the server's."""
        return median(cost.server for cost in self.costs[name])

    def memory(self, name: str) -> tuple[int, int]:
        """The most bytes by which client and server grew in any round."""
        costs = self.costs[name]
        return max(cost.client_memory for cost in costs), max(cost.server_memory for cost in costs)

    def _samples(self) -> measure.Samples:
        return measure.Samples(
            {name: [cost.seconds for cost in costs] for name, costs in self.costs.items()}
        )


def interleave(runs: Mapping[str, Callable[[], Cost]], rounds: int) -> Figures:
    """Run everyone in turn, each round starting with another one."""
    costs: dict[str, list[Cost]] = {name: [] for name in runs}

    def clock(name: str) -> Callable[[], float]:
        def run() -> float:
            costs[name].append(runs[name]())
            return costs[name][-1].seconds

        return run

    measure.interleave({name: clock(name) for name in runs}, rounds)
    return Figures(costs)


@dataclass(frozen=True, slots=True)
class Target:
    """What we want to reach, and what was reached; all of it as it is printed.

    Attributes:
        what: ours.
        against: theirs.
        wanted: empty where a figure only stands beside the others.
    """

    what: str
    against: str
    wanted: str
    reached: str

    @classmethod
    def ratio(cls, what: str, against: str, wanted: float | None, reached: float) -> Target:
        """To be at least so many times as fast."""
        if wanted is None:
            return cls(what, against, "", f"{reached:.2f}x")
        return cls(what, against, f"{wanted:g}x", _marked(f"{reached:.2f}x", reached >= wanted))

    @classmethod
    def size(cls, what: str, wanted: int, reached: int) -> Target:
        """To take at most so many bytes."""
        marked = _marked(mebibytes(reached), reached <= wanted)
        return cls(what, "", f"at most {mebibytes(wanted)}", marked)

    def row(self) -> list[str]:
        """For the table of all targets."""
        return [self.what, self.against, self.wanted, self.reached]


def _marked(reached: str, is_reached: bool) -> str:
    return reached if is_reached else f"{reached} (missed)"


@dataclass(frozen=True, slots=True)
class Panel:
    """One group of bars of the plot.

    Attributes:
        title: with the unit.
        values: of each contestant.
    """

    title: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Section:
    """What one part of the benchmark found.

    Attributes:
        text: its tables, as Markdown.
        targets: what we wanted, and what was reached.
        panels: for the plot.
        missing: who was not there, and why.
    """

    text: str
    targets: Sequence[Target]
    panels: Sequence[Panel]
    missing: Sequence[str]


@dataclass(frozen=True, slots=True)
class Effort:
    """How long a benchmark takes.

    Attributes:
        rounds: of everyone.
        seconds: of one run, about.
        size: bytes of one stream.
    """

    rounds: int
    seconds: float
    size: int


def thousands(rate: float) -> str:
    """A rate for a table: three digits or so, and k for thousands."""
    if rate < 1000:
        return f"{rate:.0f}"
    return f"{rate / 1000:,.{1 if rate < 100_000 else 0}f}k"


def mebibytes(size: float) -> str:
    """A size for a table."""
    return f"{size / _MEBIBYTE:.1f} MiB"


def duration(seconds: float) -> str:
    """Time for a unit, for a table; nothing if there is none."""
    return report.time(seconds) if seconds > 0 else ""
