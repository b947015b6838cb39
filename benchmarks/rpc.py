"""Compares our clients, server and streams with others: ``python -m benchmarks.rpc``.

Everyone runs in a process of its own, on UNIX sockets, in interleaved rounds of one run. A rate is the median of the
rounds, a ratio the median of the ratios within each round. Who is not installed is left out, with a word.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import clients, handshakes, layers, logins, report, servers, streams
from benchmarks.figures import Effort, Section
from benchmarks.processes import Missing

SECTIONS: Final[Mapping[str, Callable[[Path, Effort], Section]]] = {
    "clients": clients.run,
    "servers": servers.run,
    "streams": streams.run,
    "handshakes": handshakes.run,
    "layers": layers.run,
    "logins": logins.run,
}

_SIZE: Final = 256 << 20

FULL: Final = {
    "clients": Effort(21, 0.3, 0),
    "servers": Effort(9, 0.6, 0),
    "streams": Effort(9, 0, _SIZE),
    "handshakes": Effort(9, 0.3, 0),
    "layers": Effort(15, 0.3, _SIZE // 2),
    "logins": Effort(9, 0.5, 0),
}
"""Six minutes for servers, one and a half for clients and for handshakes, one or less for the others."""

QUICK: Final = {
    "clients": Effort(3, 0.1, 0),
    "servers": Effort(2, 0.2, 0),
    "streams": Effort(2, 0, _SIZE // 4),
    "handshakes": Effort(2, 0.1, 0),
    "layers": Effort(2, 0.1, _SIZE // 8),
    "logins": Effort(2, 0.1, 0),
}

_DISTRIBUTIONS: Final = ("libvirt-python", "grpcio", "uvloop")


def measured(names: Sequence[str], efforts: Mapping[str, Effort]) -> dict[str, Section]:
    """Run some of the sections, each in a folder of its own with a short path."""
    found = {}
    for name in names:
        with TemporaryDirectory(prefix="rpc") as folder:
            try:
                found[name] = SECTIONS[name](Path(folder), efforts[name])
            except Missing as word:
                found[name] = Section("", [], [], [str(word)])
    return found


def text(section: Section, effort: Effort) -> str:
    """One section as it is printed: targets first."""
    caption = f"{_versions()}; {effort.rounds} rounds."
    absent = [f"Left out: {word}." for word in section.missing]
    targets = [target.row() for target in section.targets]
    tables = [report.table(["", "against", "target", "reached"], targets), section.text]
    return "\n\n".join([caption, *absent, *(tables if section.text else ())])


def _versions() -> str:
    present = [name for name in _DISTRIBUTIONS if _is_here(name)]
    return report.versions(*present)


def _is_here(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write where that is wanted."""
    parser = argparse.ArgumentParser(description="Compare clients, servers and streams.")
    parser.add_argument("--quick", action="store_true", help="few and short rounds: a try")
    parser.add_argument("--only", choices=SECTIONS, help="one section")
    parser.add_argument(
        "--markdown", type=Path, help="write the tables into this page's sections, or a new page"
    )
    parser.add_argument("--plot", type=Path, help="draw the rates into this SVG file")
    options = parser.parse_args(arguments)
    efforts = QUICK if options.quick else FULL
    sections = measured([options.only] if options.only else list(SECTIONS), efforts)
    parts = {f"rpc-{name}": text(one, efforts[name]) for name, one in sections.items()}
    for name, part in parts.items():
        print(f"{name}\n\n{part}\n")
    if options.markdown:
        report.write_or_create(parts, options.markdown)
    if options.plot:
        from benchmarks import bars

        bars.draw([panel for one in sections.values() for panel in one.panels], options.plot)


if __name__ == "__main__":
    main()
