"""The files of a run: reading them, finding the ``.x`` behind ``%#include``, and the order in which to build them.

Knows files and trees, not what definitions mean.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path

from rpcgen import syntax
from rpcgen.errors import Diagnostics, Location, SemanticError, SpecError
from rpcgen.model.cycles import find_cycles
from rpcgen.syntax.tree import PassThrough, Specification

_INCLUDE = re.compile(r"\s*#\s*include\s*(?:\"([^\"]+)\.h\"|<([^>]+)\.h>)")
_DEFINE = re.compile(r"\s*#\s*define\s+(\w+)")


@dataclass(eq=False, slots=True)
class Source:
    """One ``.x`` file.

    Attributes:
        damaged: it had syntax errors, or an import could not be read: definitions are missing.
        imports: the files behind its ``%#include`` lines, each once, with the place of the line.
        absent: the ``.x`` files that such lines name in quotes and that were not found.
        c_only: the macros of its ``%#define`` lines.
    """

    file: str
    specification: Specification
    damaged: bool
    imports: dict[Source, Location] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    c_only: dict[str, Location] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        return os.path.basename(self.file).removesuffix(".x")


class Sources:
    """Reads files, each once however it is named."""

    def __init__(
        self, include_path: Sequence[str], defines: Mapping[str, str], diagnostics: Diagnostics
    ) -> None:
        self._include_path = tuple(include_path)
        self._defines = defines
        self._diagnostics = diagnostics
        self._by_path: dict[str, Source | None] = {}
        self._followed: set[Source] = set()

    def read(self, file: str) -> Source | None:
        """The file and, behind it, everything that it imports; None, with an error, where it cannot be read."""
        first = self._read_one(file, None)
        waiting = [first] if first else []
        while waiting:
            source = waiting.pop()
            if source not in self._followed:
                self._followed.add(source)
                self._follow(source)
                waiting.extend(source.imports)
        return first

    def in_order(self) -> list[Source]:
        """Every file that was read, imported ones first. Files that import each other are an error."""
        sources = [source for source in self._by_path.values() if source]
        while cycles := list(find_cycles(sources, lambda source: source.imports)):
            for cycle in cycles:
                path = " -> ".join(source.file for source in [*cycle, cycle[0]])
                at = cycle[-1].imports.pop(cycle[0])
                cycle[-1].damaged = True
                self._diagnostics.error(SemanticError(f"these files import each other: {path}", at))
        return list(
            TopologicalSorter({source: source.imports for source in sources}).static_order()
        )

    def _read_one(self, file: str, at: Location | None) -> Source | None:
        path = os.path.realpath(file)
        if path not in self._by_path:
            self._by_path[path] = self._parse(file, at)
        return self._by_path[path]

    def _parse(self, file: str, at: Location | None) -> Source | None:
        before = len(self._diagnostics.errors)
        try:
            data = Path(file).read_bytes()
        except OSError as error:
            self._diagnostics.error(SpecError(f"cannot read '{file}': {error.strerror}", at))
            return None
        specification = syntax.parse(
            data,
            file,
            diagnostics=self._diagnostics,
            include_path=self._include_path,
            defines=self._defines,
        )
        return Source(file, specification, damaged=len(self._diagnostics.errors) > before)

    def _follow(self, source: Source) -> None:
        """Read the files that a file imports."""
        for line in source.specification.definitions:
            if not isinstance(line, PassThrough):
                continue
            if match := _INCLUDE.match(line.text):
                self._import(source, line, match[1] or match[2], is_quoted=bool(match[1]))
            elif match := _DEFINE.match(line.text):
                source.c_only.setdefault(match[1], line.at)

    def _import(self, source: Source, line: PassThrough, header: str, is_quoted: bool) -> None:
        folders = [os.path.dirname(line.at.file), os.path.dirname(source.file)]
        found = self._find(header, folders)
        if found is None:
            source.absent.extend([f"{header}.x"] if is_quoted else [])
        elif (imported := self._read_one(found, line.at)) is None:
            source.damaged = True
        elif imported is not source:
            source.imports.setdefault(imported, line.at)

    def _find(self, header: str, folders: Sequence[str]) -> str | None:
        """The ``.x`` of a header: by its whole path or its last part, beside the file or in the include path."""
        for folder in dict.fromkeys([*folders, *self._include_path]):
            for name in dict.fromkeys([header, os.path.basename(header)]):
                if os.path.isfile(path := os.path.join(folder, f"{name}.x")):
                    return path
        return None
