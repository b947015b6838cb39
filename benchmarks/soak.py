"""Minutes of mixed load on our server through our clients, with faults: ``python -m benchmarks.soak --minutes 5``.

Every answer, event and byte of a stream belongs to one caller, who checks it. A first stretch makes caches, pools and
threads as large as they get; after the long one both processes must hold no more than after that. Ends with 1 if
anything was not as it should be.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import report
from benchmarks.processes import python, server
from benchmarks.soaking.faults import Faults
from benchmarks.soaking.loads import Load
from benchmarks.soaking.tally import Tally
from benchmarks.soaking.watch import HEAD, TIDY, Holding, Watch, tidy

_FIRST: Final = 30.0
"""Seconds of the first stretch: enough for everything to have happened a few times."""

_LOOK: Final = 0.5
"""Seconds between two looks at what the processes hold."""


class Soak:
    """A server, and what is done to it.

    Args:
        pid: of the server.
        path: of its socket.
    """

    def __init__(self, pid: int, path: Path) -> None:
        self._path = path
        self._watches = {
            "server": Watch(pid, partial(os.kill, pid, TIDY)),
            "clients": Watch(os.getpid(), tidy),
        }

    def stretch(self, seconds: float, tally: Tally, seed: int) -> None:
        """Load and faults for a time."""
        load = Load(f"unix://{self._path}", tally, seed)
        faults = Faults(self._path, tally, seed)
        load.start()
        faults.start()
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(_LOOK, left))
            for watch in self._watches.values():
                watch.look()
        faults.stop()
        load.stop()

    def most(self) -> dict[str, Holding]:
        """The most that was held, by either side."""
        return {side: watch.most for side, watch in self._watches.items()}

    def rest(self) -> dict[str, Holding]:
        """What both sides hold when all that ends by itself has ended."""
        return {side: watch.rest() for side, watch in self._watches.items()}

    def settled(self, before: Mapping[str, Holding]) -> dict[str, Holding]:
        """What they hold when they are back at what they held, or when time is up."""
        return {side: watch.settled(before[side]) for side, watch in self._watches.items()}


def run(minutes: float, seed: int) -> tuple[str, list[str]]:
    """Soak; returns the tables, and what went wrong."""
    with TemporaryDirectory(prefix="rpc") as folder:
        path, log = Path(folder) / "socket", Path(folder) / "server.log"
        with server(python("benchmarks.soaking.server", path), path, log) as pid:
            soak = Soak(pid, path)
            first, tally = Tally(), Tally()
            soak.stretch(_FIRST, first, seed + 1)
            before = soak.rest()
            soak.stretch(minutes * 60, tally, seed)
            after = soak.settled(before)
        failures = [*first.failures, *tally.failures]
        if said := log.read_text():
            failures.append(f"the server logged:\n{said}")
    failures += [
        f"{side} hold more than before: {after[side]}, not {before[side]}"
        for side in before
        if not after[side].fits(before[side])
    ]
    return _text(minutes, seed, tally, (before, soak.most(), after)), failures


def _text(
    minutes: float, seed: int, tally: Tally, holdings: Sequence[Mapping[str, Holding]]
) -> str:
    done = [[what, f"{number:,}"] for what, number in tally.counts.items()]
    held = [
        [f"{side}, {when}", *one[side].cells()]
        for side in holdings[0]
        for when, one in zip(("before", "at most", "after"), holdings, strict=True)
    ]
    return (
        f"{report.versions()}; {minutes:g} minutes, seed {seed}.\n\n{report.table(['', 'number'], done)}"
        f"\n\n{report.table(['', *HEAD], held)}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, print, and write where that is wanted."""
    parser = argparse.ArgumentParser(description="Soak our server through our clients.")
    parser.add_argument(
        "--minutes", type=float, default=5.0, help="of the long stretch (%(default)g)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of all that is chosen (%(default)s)")
    parser.add_argument(
        "--markdown", type=Path, help="write into this page's section, or a new page"
    )
    options = parser.parse_args(arguments)
    text, failures = run(options.minutes, options.seed)
    print(text)
    if options.markdown:
        report.write_or_create({"soak": text}, options.markdown)
    for failure in failures:
        print(f"\nFAILED: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
