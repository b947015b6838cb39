"""``@key: value`` lines in comments: found, told from prose, understood.

Works on comments and resolved constants only; which node may carry which key is the caller's
table, and what an annotation changes in a program is decided in ``programs``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rpcgen.errors import Diagnostics, Location, SemanticError
from rpcgen.model import prose
from rpcgen.model.scope import CONSTANT_HINT
from rpcgen.model.types import Access, Annotations
from rpcgen.syntax.tree import Name, Remarks

_LINE = re.compile(r"\s*@(?P<key>\w+)\s*(?::\s*(?P<value>.*))?")
_BEGINNING = re.compile(r"\s*@(?P<key>\w+)")
_ACCESS = re.compile(r"\w+:\w+(?::[\w!|]*(?::\w+:!?\w+)?)?")

Found = Mapping[str, Any]
"""Arguments of ``Annotations``."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One annotation as written; ``value`` is empty where there is none, ``value_at`` then is the key's place."""

    key: str
    value: str
    at: Location
    value_at: Location


def split(
    remarks: Remarks, start: Location, keys: frozenset[str], diagnostics: Diagnostics
) -> tuple[str, list[Pair]]:
    """The prose of a node that begins at ``start``, and those of its annotations that ``keys`` allows.

    An unknown key is a warning where annotations are expected, and prose where none are; a known
    key in the wrong place is a warning.
    """
    _warn_of_mistakes(remarks, diagnostics)
    pairs = []
    for pair in _pairs(remarks):
        if pair.key in keys:
            pairs.append(pair)
        else:
            _warn_of(pair, keys, diagnostics)
    doc = prose.describe(remarks, start, lambda line: not _is_annotation(line, keys))
    return doc, pairs


def prose_of(remarks: Remarks, start: Location) -> str:
    """The prose of a procedure alone, where its annotations are read elsewhere."""
    return prose.describe(remarks, start, lambda line: not _is_annotation(line, PROCEDURE_KEYS))


def is_open(pairs: Iterable[Pair], diagnostics: Diagnostics) -> bool:
    """What the pairs before an enum say."""
    found = list(pairs)
    for pair in found:
        if pair.value:
            _refuse(pair, "no value", diagnostics)
    return bool(found)


def understand(
    pairs: Iterable[Pair], constant: Callable[[Name], int | None], diagnostics: Diagnostics
) -> Annotations:
    """What the pairs before a procedure say; ``constant`` gives the value of a name, None where it has none."""
    pairs = list(pairs)
    reader = _Reader(constant, diagnostics)
    for pair in pairs:
        reader.take(pair)
    if "sparse_flag" in reader.found and "stream" not in reader.found:
        at = next(pair.at for pair in pairs if pair.key == "sparseflag")
        diagnostics.error(
            SemanticError("expected '@readstream' or '@writestream' beside '@sparseflag'", at)
        )
    return Annotations(pairs=tuple((pair.key, pair.value) for pair in pairs), **reader.found)


def _pairs(remarks: Remarks) -> Iterator[Pair]:
    for line in (
        line for comment in remarks.before if "@" in comment.text for line in prose.lines(comment)
    ):
        if match := _LINE.fullmatch(line.text):
            key, value = match["key"], (match["value"] or "").strip()
            at = line.place(match.start("key") - 1, len(key) + 1)
            yield Pair(
                key, value, at, line.place(match.start("value"), len(value)) if value else at
            )


def _warn_of_mistakes(remarks: Remarks, diagnostics: Diagnostics) -> None:
    """A line that begins like a known annotation and is none would be prose, and silently so."""
    for line in (
        line for comment in remarks.before if "@" in comment.text for line in prose.lines(comment)
    ):
        match = _BEGINNING.match(line.text)
        if match and match["key"] in ENUM_KEYS | PROCEDURE_KEYS and not _LINE.fullmatch(line.text):
            diagnostics.warn(
                f"'@{match['key']}' is prose here: an annotation has a line of its own",
                line.place(match.start("key") - 1, len(match["key"]) + 1),
                hint=f"write '@{match['key']}', or '@{match['key']}: value', and nothing else",
            )


def _is_annotation(line: prose.Line, keys: frozenset[str]) -> bool:
    match = _LINE.fullmatch(line.text) if "@" in line.text else None
    return match is not None and (bool(keys) or match["key"] in ENUM_KEYS | PROCEDURE_KEYS)


def _warn_of(pair: Pair, keys: frozenset[str], diagnostics: Diagnostics) -> None:
    if pair.key in ENUM_KEYS | PROCEDURE_KEYS:
        place = "an enum" if pair.key in ENUM_KEYS else "a procedure"
        diagnostics.warn(f"'@{pair.key}' has a meaning only before {place}", pair.at)
    elif keys:
        known = ", ".join(f"@{key}" for key in sorted(keys))
        diagnostics.warn(f"unknown annotation '@{pair.key}'", pair.at, hint=f"known here: {known}")


class _Reader:
    """Turns pairs into the arguments of ``Annotations``."""

    def __init__(self, constant: Callable[[Name], int | None], diagnostics: Diagnostics) -> None:
        self.found: dict[str, Any] = {}
        self._constant = constant
        self._diagnostics = diagnostics
        self._seen: set[str] = set()

    def take(self, pair: Pair) -> None:
        if pair.key in self._seen and pair.key not in _ACCESS_LISTS:
            self._diagnostics.warn(f"'@{pair.key}' is given twice; the last one counts", pair.at)
        self._seen.add(pair.key)
        self.found.update(_MEANING[pair.key](self, pair))

    def choice(self, pair: Pair) -> Found:
        choices = _CHOICES[pair.key]
        if pair.value not in choices:
            *most, last = (f"'{choice}'" for choice in choices)
            return self._refuse(pair, f"{', '.join(most)} or {last}" if most else last)
        return choices[pair.value]

    def mark(self, pair: Pair) -> Found:
        return self._refuse(pair, "no value") if pair.value else {pair.key: True}

    def stream(self, pair: Pair) -> Found:
        """The number is the place of the stream among libvirt's C parameters: nothing to us."""
        if pair.value and not pair.value.isdecimal():
            return self._refuse(pair, "a number or nothing")
        if self.found.get("stream", _STREAMS[pair.key]) == _STREAMS[pair.key]:
            return {"stream": _STREAMS[pair.key]}
        message = "'@readstream' and '@writestream' exclude each other; '@readstream' counts"
        self._diagnostics.warn(message, pair.at)
        return {"stream": "read"}

    def sparse_flag(self, pair: Pair) -> Found:
        if not pair.value.isidentifier():
            return self._refuse(pair, "the name of a constant")
        value = self._constant(Name(pair.value, pair.value_at))
        if value is None:
            message = f"unknown constant '{pair.value}', '@sparseflag' is ignored"
            hint = CONSTANT_HINT.format(name=pair.value)
            self._diagnostics.warn(message, pair.value_at, hint=hint)
        return {"sparse_flag": value}

    def access(self, pair: Pair) -> Found:
        if pair.value != "none" and not _ACCESS.fullmatch(pair.value):
            return self._refuse(pair, "'none' or 'object:permission[:flags[:parameter:value]]'")
        name = _ACCESS_LISTS[pair.key]
        return {name: (*self.found.get(name, ()), Access(*pair.value.split(":")))}

    def _refuse(self, pair: Pair, expected: str) -> Found:
        _refuse(pair, expected, self._diagnostics)
        return {}


def _refuse(pair: Pair, expected: str, diagnostics: Diagnostics) -> None:
    came = f"'{pair.value}'" if pair.value else "nothing"
    diagnostics.error(
        SemanticError(f"expected {expected} after '@{pair.key}', got {came}", pair.value_at)
    )


_CHOICES: Mapping[str, Mapping[str, Found]] = {
    "generate": {one: {"generate": one} for one in ("both", "server", "client", "none")},
    "priority": {one: {"priority": one} for one in ("high", "low")},
    "auth": {"none": {"auth_none": True}},
    "fds": {
        "in": {"fds_in": True, "fds_out": False},
        "out": {"fds_in": False, "fds_out": True},
        "both": {"fds_in": True, "fds_out": True},
    },
}
_STREAMS = {"readstream": "read", "writestream": "write"}
_ACCESS_LISTS = {"acl": "acl", "aclfilter": "acl_filter"}

_MEANING: Mapping[str, Callable[[_Reader, Pair], Found]] = {
    **dict.fromkeys(_CHOICES, _Reader.choice),
    **dict.fromkeys(("event", "nonblocking"), _Reader.mark),
    **dict.fromkeys(_STREAMS, _Reader.stream),
    "sparseflag": _Reader.sparse_flag,
    **dict.fromkeys(_ACCESS_LISTS, _Reader.access),
}

ENUM_KEYS = frozenset({"open"})
PROCEDURE_KEYS = frozenset(_MEANING)
NO_KEYS: frozenset[str] = frozenset()
