"""Interleaved measurement: many short samples in turn, then medians and ratios of neighbours.

Knows nothing of what is measured. All tasks of a group take one sample each, then the next round
begins with another of them, so that a slow moment of the machine meets them all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from timeit import Timer
from typing import Any


@dataclass(frozen=True, slots=True)
class Task:
    """Functions called one on the result of another, the first on ``argument``."""

    functions: Sequence[Callable[[Any], Any]]
    argument: Any

    def timer(self) -> Timer:
        """The calls written out in a loop of their own, timed in CPU time, gc at work as always."""
        names = {f"call_{number}": one for number, one in enumerate(self.functions)}
        statement = "argument"
        for name in names:
            statement = f"{name}({statement})"
        return Timer(
            statement,
            "import gc; gc.enable()",
            time.process_time,
            globals={**names, "argument": self.argument},
        )


@dataclass(frozen=True, slots=True)
class Samples:
    """Seconds per call of each task, a list with one for each round."""

    seconds: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        """The median time of one call, in seconds."""
        return median(self.seconds[name])

    def speed(self, name: str, base: str) -> float:
        """How many times as fast as ``base``: the median over the rounds, each compared in itself."""
        pairs = zip(self.seconds[base], self.seconds[name], strict=True)
        return median(theirs / ours for theirs, ours in pairs)


def measure(tasks: Mapping[str, Task], rounds: int, sample: float = 0.004) -> Samples:
    """Run tasks against each other; ``sample`` is about how long one sample takes, in seconds."""
    timers = {name: task.timer() for name, task in tasks.items()}
    numbers = {name: _number(timer, sample) for name, timer in timers.items()}
    return interleave(
        {name: _per_call(timer, numbers[name]) for name, timer in timers.items()}, rounds
    )


def interleave(clocks: Mapping[str, Callable[[], float]], rounds: int) -> Samples:
    """Call functions that return seconds in turn, each round starting with another one."""
    seconds: dict[str, list[float]] = {name: [] for name in clocks}
    names = list(clocks)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            seconds[name].append(clocks[name]())
    return Samples(seconds)


def _number(timer: Timer, sample: float) -> int:
    number = 1
    while timer.timeit(number) < sample:
        number *= 2
    return number


def _per_call(timer: Timer, number: int) -> Callable[[], float]:
    return lambda: timer.timeit(number) / number
