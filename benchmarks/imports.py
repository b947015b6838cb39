"""How long the generated packages take to import: ``python -m benchmarks.imports``.

Fresh interpreters, compiled files present, an empty one in every round. What counts is the
time above the empty one.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Final

from benchmarks import report
from benchmarks.measure import interleave
from benchmarks.sandbox import sandbox

_PACKAGE: Final = "libvirt_rpc.remote_protocol"

PROGRAMS: Final = {
    "empty": "pass",
    "asyncio, for comparison": "import asyncio",
    "types": f"import {_PACKAGE}.types",
    "types, encoder, decoder": f"import {_PACKAGE}.encoder, {_PACKAGE}.decoder",
    "everything": f"import {_PACKAGE}.client, {_PACKAGE}.server",
}
"""What is imported; the last is types, both codecs, program, clients and server."""

TARGET: Final = 0.060
"""Seconds above an empty interpreter for everything."""


def main() -> None:
    """Measure, print, and write the section of this Python."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--dry-run", action="store_true", help="print only")
    options = parser.parse_args()
    with sandbox() as box:
        clocks = {title: partial(box.wall, ["-c", program]) for title, program in PROGRAMS.items()}
        samples = interleave(clocks, options.rounds)
    empty = samples.median("empty")
    rows = [
        [title, report.time(samples.median(title) - empty)]
        for title in PROGRAMS
        if title != "empty"
    ]
    rows.append(["everything, at most", report.time(TARGET)])
    text = report.table(["imported", "above an empty interpreter"], rows)
    text = f"{report.versions()}; {options.rounds} rounds.\n\n{text}"
    print(text)
    if not options.dry_run:
        report.write({f"imports-{report.version()}": text})


if __name__ == "__main__":
    main()
