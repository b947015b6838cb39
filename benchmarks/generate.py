"""How long the command takes: ``python -m benchmarks.generate``.

In a copy of the project with a cache of its own: from nothing, a check as in a fresh clone,
nothing changed, one comment changed, and ``lint`` of the largest file.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import report
from benchmarks.sandbox import Sandbox, sandbox

ROOT: Final = Path(__file__).parents[1]

CONFIGURATION: Final = """
[[tool.rpcgen.output]]
inputs = ["protocols/*.x"]
directory = "generated/libvirt_rpc"
package = "libvirt_rpc"
"""

OURS: Final = """
from glob import glob
from rpcgen.emit.render import render_module
from rpcgen.model import load
for module in load(sorted(glob("protocols/*.x"))):
    render_module(module, package="libvirt_rpc", rename={})
"""
"""Everything that a run from nothing does, but for the formatting and the writing."""

TARGETS: Final = {
    "from nothing": 90.0,
    "of that, our own part": 10.0,
    "nothing changed": 1.0,
    "lint of remote_protocol.x": 1.5,
}
"""Seconds at most."""


def measure(box: Sandbox, rounds: int) -> dict[str, float]:
    """Seconds by the clock for each kind of run; the median of some where it is short."""

    def often(arguments: Sequence[str]) -> float:
        return median(box.wall(arguments) for _ in range(rounds))

    command = ["-m", "rpcgen"]
    seconds = {"from nothing": box.wall([*command, "generate"])}
    seconds["of that, our own part"] = often(["-c", OURS])
    seconds["a check, as in a fresh clone"] = often([*command, "generate", "--check"])
    seconds["nothing changed"] = often([*command, "generate"])
    spec = box.folder / "protocols/lock_protocol.x"
    spec.write_text(spec.read_text().replace("/*", "/* Changed.", 1))
    seconds["one comment changed"] = box.wall([*command, "generate"])
    seconds["lint of remote_protocol.x"] = often([*command, "lint", "protocols/remote_protocol.x"])
    return seconds


def main() -> None:
    """Measure, print, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dry-run", action="store_true", help="print only")
    options = parser.parse_args()
    with sandbox() as box:
        shutil.copytree(ROOT / "protocols", box.folder / "protocols")
        (box.folder / "pyproject.toml").write_text(CONFIGURATION)
        seconds = measure(box, options.rounds)
    rows = [
        [title, f"{taken:.2f} s", f"{TARGETS[title]:g} s" if title in TARGETS else ""]
        for title, taken in seconds.items()
    ]
    text = f"{report.versions('black')}.\n\n{report.table(['run', 'time', 'at most'], rows)}"
    print(text)
    if not options.dry_run:
        report.write({"generate": text})


if __name__ == "__main__":
    main()
