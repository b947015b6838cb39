"""The other end of ``processes.Worker``: repeats operations as told on standard input.

A line in is ``operation number``; a line out, in JSON, is the processor and wall-clock seconds that it took and
by how many bytes memory grew.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

from benchmarks.processes import Peak

Operations: TypeAlias = Mapping[str, Callable[[int], object]]
"""By name; each takes how often it is repeated, or how many bytes it moves."""


def serve(operations: Operations) -> None:
    """Name the operations, then do as told until the input ends."""
    print(json.dumps(list(operations)), flush=True)
    for line in sys.stdin:
        name, number = line.rsplit(maxsplit=1)
        print(json.dumps(_measured(operations[name], int(number))), flush=True)


def _measured(operation: Callable[[int], object], number: int) -> tuple[float, float, int]:
    peak = Peak(os.getpid())
    cpu, started = time.process_time(), time.perf_counter()
    operation(number)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return seconds, cpu, peak.growth()
