"""The front end: ``.x`` text to a tree of what it says.

The only name for other layers is ``parse``; PLY is not seen outside. Nothing here knows what a
definition means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import merge

from rpcgen.errors import Diagnostics, LexicalError
from rpcgen.syntax import parser
from rpcgen.syntax.preprocess import Preprocessor
from rpcgen.syntax.source import Source, decode
from rpcgen.syntax.stream import Stream, collect
from rpcgen.syntax.tree import Definition, Remarks, Specification

__all__ = ["parse"]


def parse(
    text: str | bytes,
    filename: str,
    *,
    diagnostics: Diagnostics | None = None,
    include_path: Sequence[str] = (),
    defines: Mapping[str, str] | None = None,
) -> Specification:
    """Read one ``.x`` file.

    Args:
        text: the file as it was read; bytes are decoded as UTF-8.
        filename: its name for diagnostics; ``#include "..."`` looks beside it first.
        diagnostics: records the errors, and what could be read is returned; without it they are raised.
        include_path: further folders for ``#include``.
        defines: macros given by ``-D``.

    Raises:
        SpecErrors: the errors, without ``diagnostics``; with it only when there are MAX_ERRORS of them.
    """
    found = Diagnostics() if diagnostics is None else diagnostics
    source = Source(decode(text), filename)
    preprocessor = Preprocessor(found, include_path, defines or {})
    try:
        stream = collect(preprocessor.read(source), source, found)
    except LexicalError as limit:
        found.error(limit)
        stream = Stream(found)
    specification = Specification(
        filename,
        _definitions(stream),
        Remarks(before=tuple(stream.head)),
        tuple(preprocessor.included),
    )
    if diagnostics is None:
        found.check()
    return specification


def _definitions(stream: Stream) -> tuple[Definition, ...]:
    """Definitions and ``%`` lines in the order of the file; a ``%`` line inside a definition follows it."""
    in_order = merge(stream.passed, parser.read(stream), key=lambda numbered: numbered[0])
    return tuple(definition for _, definition in in_order)
