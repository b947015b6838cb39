"""Compares the generated codecs with others, on six shapes: ``python -m benchmarks.codec``.

First it proves that every contestant gives back every field of what it encoded, and that the bytes
of ours are those of xdrlib3. Then it measures, prints, and writes the tables and the plot of
``docs/performance.md``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks import plot, report
from benchmarks.contestants import Codec, fused, generated, msgpack, protobuf, xdrlib
from benchmarks.measure import Samples, Task, measure
from benchmarks.shapes import FIXED, Plain, shapes

Codecs = Mapping[str, Mapping[str, Codec]]
"""Contestant to shape to codec."""

TITLES: Final = {
    "header": "header",
    "info": "info",
    "domain": "domain",
    "domains": "1,000 domains",
    "params": "1,000 params",
    "opaque": "256 KiB",
}

HEADINGS: Final = {
    "decode": "Decoding",
    "read": "Decoding and reading every field",
    "encode": "Encoding",
}

TARGETS: Final = {
    "decode": {"header": 7.0, "info": 7.0, "domain": 3.0, "domains": 3.0, "params": 2.5},
    "encode": {"header": 11.0, "info": 11.0, "domain": 6.0, "domains": 5.0, "params": 4.5},
}
"""Times the speed of xdrlib3 that we want to reach."""

READ_TARGET: Final = 1.5
"""Times the speed of protobuf that decoding and reading a fixed shape is to reach."""


def contestants(plain: Mapping[str, Plain]) -> Codecs:
    """Everyone, ours first."""
    modules = (generated, xdrlib, protobuf, msgpack, fused)
    return {module.NAME: module.codecs(plain) for module in modules}


def prove(everyone: Codecs, plain: Mapping[str, Plain]) -> None:
    """Everyone decodes what it encoded to the same values, and everyone's XDR is the same bytes.

    Raises:
        ValueError: one does not.
    """
    for shape, wanted in plain.items():
        for name, codecs in everyone.items():
            codec = codecs[shape]
            if codec.read(codec.decode(codec.encode(codec.value))) != wanted:
                raise ValueError(f"{name} does not give back the {shape}")
        ours, theirs = everyone[generated.NAME][shape], everyone[xdrlib.NAME][shape]
        data = theirs.encode(theirs.value)
        by_hand = everyone[fused.NAME][shape]
        if not data == ours.encode(ours.value) == by_hand.encode(by_hand.value):
            raise ValueError(f"the bytes of the {shape} differ")
        if ours.decode(data) != theirs.decode(data):
            raise ValueError(f"the values of the {shape} differ")


def tasks(everyone: Codecs, operation: str, shape: str) -> dict[str, Task]:
    """What each contestant does for one operation."""
    found = {}
    for name, codecs in everyone.items():
        codec = codecs[shape]
        data = codec.encode(codec.value)
        found[name] = {
            "encode": Task((codec.encode,), codec.value),
            "decode": Task((codec.decode,), data),
            "read": Task((codec.decode, codec.read), data),
        }[operation]
    return found


def run(everyone: Codecs, rounds: int) -> dict[str, dict[str, Samples]]:
    """Operation to shape to samples."""
    return {
        operation: {shape: measure(tasks(everyone, operation, shape), rounds) for shape in TITLES}
        for operation in HEADINGS
    }


def table(results: Mapping[str, Samples]) -> str:
    """One operation: a row for each contestant, time and speed for each shape."""
    names = next(iter(results.values())).seconds
    rows = [[name, *(_cell(one, name) for one in results.values())] for name in names]
    return report.table(["", *(TITLES[shape] for shape in results)], rows)


def _cell(samples: Samples, name: str) -> str:
    return f"{report.time(samples.median(name))} · {samples.speed(name, xdrlib.NAME):.1f}x"


def targets(results: Mapping[str, Mapping[str, Samples]]) -> str:
    """What we wanted to reach, and what we did."""
    rows = [
        _target(f"{operation}, {TITLES[shape]}", results[operation][shape], xdrlib.NAME, wanted)
        for operation, wants in TARGETS.items()
        for shape, wanted in wants.items()
    ]
    rows += [
        _target(
            f"decode and read, {TITLES[shape]}", results["read"][shape], protobuf.NAME, READ_TARGET
        )
        for shape in FIXED
    ]
    return report.table(["", "against", "target", "reached"], rows)


def _target(what: str, samples: Samples, against: str, wanted: float) -> list[str]:
    reached = samples.speed(generated.NAME, against)
    mark = "" if reached >= wanted else " (missed)"
    return [what, against, f"{wanted:g}x", f"{reached:.2f}x{mark}"]


def text(results: Mapping[str, Mapping[str, Samples]]) -> str:
    """All tables."""
    parts = [f"{HEADINGS[operation]}:\n\n{table(one)}" for operation, one in results.items()]
    return "\n\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prove, measure, print, write."""
    parser = argparse.ArgumentParser(description="Compare the generated codecs with others.")
    parser.add_argument("--rounds", type=int, default=61, help="samples of each (%(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="leave docs/ alone")
    options = parser.parse_args(arguments)
    plain = shapes()
    everyone = contestants(plain)
    prove(everyone, plain)
    results = run(everyone, options.rounds)
    caption = report.versions("xdrlib3", "protobuf", "msgspec") + f"; {options.rounds} rounds."
    all_of_it, summary = f"codec-{report.version()}", f"targets-{report.version()}"
    sections = {
        all_of_it: f"{caption}\n\n{text(results)}",
        summary: f"{caption}\n\n{targets(results)}",
    }
    print(*sections.values(), sep="\n\n")
    if not options.dry_run and all_of_it in report.write(sections):
        shown = {operation: results[operation] for operation in ("decode", "encode")}
        plot.draw(shown, TITLES, xdrlib.NAME, report.DOCS / "codec.svg")


if __name__ == "__main__":
    main()
