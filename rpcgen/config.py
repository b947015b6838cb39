"""``[tool.rpcgen]`` of ``pyproject.toml``: found, read, and checked key by key.

Paths in it are relative to the file's own folder; here they become relative to the working
directory, so that messages name files as the user sees them.
"""

from __future__ import annotations

import difflib
import glob
import keyword
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rpcgen.errors import SpecError, SpecErrors

FILE_NAME = "pyproject.toml"


@dataclass(frozen=True, slots=True)
class Output:
    """One ``[[tool.rpcgen.output]]``: which definitions become packages of which folder."""

    inputs: tuple[str, ...]
    directory: str
    package: str = ""
    include: tuple[str, ...] = ()
    wire_lock: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """All of ``[tool.rpcgen]``, each key by its own name; empty where there is none."""

    output: tuple[Output, ...] = ()
    constants: Mapping[str, int] = field(default_factory=dict)
    constants_files: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)


def find_config() -> Config:
    """The configuration of the nearest ``pyproject.toml`` that has one, from the working directory upwards.

    Raises:
        SpecErrors: it cannot be read or says something wrong; all errors at once.
    """
    folder = os.getcwd()
    while True:
        path = os.path.join(folder, FILE_NAME)
        if os.path.isfile(path) and (table := _tool_table(path)) is not None:
            return _Reader(os.path.relpath(folder)).config(table)
        folder, below = os.path.dirname(folder), folder
        if folder == below:
            return Config()


def is_package_name(text: str) -> bool:
    """Whether ``text`` can stand in an import: dotted identifiers, none of them a keyword."""
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in text.split("."))


def _tool_table(path: str) -> object:
    with open(path, "rb") as file:
        try:
            tool = tomllib.load(file).get("tool", {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
            raise SpecErrors([SpecError(f"{os.path.relpath(path)}: {failure}")]) from failure
    return tool.get("rpcgen") if isinstance(tool, dict) else None


_Check = Callable[[str, Any], Any]
"""Takes a key and what stands there; returns what it means. What is wrong is recorded."""


class _Reader:
    """Turns tables into objects and collects what is wrong with them."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._errors: list[SpecError] = []

    def config(self, value: object) -> Config:
        known: dict[str, _Check] = {
            "output": self._outputs,
            "constants": self._constants,
            "constants-files": self._paths,
            "rename": self._names,
        }
        found = self._table("tool.rpcgen", value, known)
        if self._errors:
            raise SpecErrors(self._errors)
        return Config(**found)

    def _table(self, key: str, value: object, known: Mapping[str, _Check]) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._expected(key, "a table", value)
            return {}
        for name in sorted(value.keys() - known.keys()):
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else None
            self._error(f"{key}.{name}", "unknown key", hint)
        given = [name for name in known if name in value]
        return {name.replace("-", "_"): known[name](f"{key}.{name}", value[name]) for name in given}

    def _outputs(self, key: str, value: object) -> tuple[Output | None, ...]:
        if not isinstance(value, list):
            self._expected(key, f"an array of tables, [[{key}]]", value)
            return ()
        return tuple(self._output(f"{key}[{index}]", one) for index, one in enumerate(value))

    def _output(self, key: str, value: object) -> Output | None:
        known: dict[str, _Check] = {
            "inputs": self._inputs,
            "directory": self._path,
            "package": self._package,
            "include": self._paths,
            "wire-lock": self._path,
        }
        found = self._table(key, value, known)
        missing = [name for name in ("inputs", "directory") if name not in found]
        for name in missing:
            self._error(f"{key}.{name}", "missing")
        return None if missing else Output(**found)

    def _inputs(self, key: str, value: object) -> tuple[str, ...]:
        paths: set[str] = set()
        for pattern in filter(None, self._texts(key, value)):
            found = glob.glob(pattern, root_dir=self._root, recursive=True)
            if not found:
                self._error(key, f"no file matches {pattern!r}")
            paths.update(found)
        return tuple(map(self._from_here, sorted(paths)))

    def _paths(self, key: str, value: object) -> tuple[str, ...]:
        return tuple(map(self._from_here, self._texts(key, value)))

    def _path(self, key: str, value: object) -> str:
        return self._from_here(self._text(key, value))

    def _from_here(self, path: str) -> str:
        return os.path.relpath(os.path.join(self._root, path))

    def _package(self, key: str, value: object) -> str:
        if isinstance(value, str) and is_package_name(value):
            return value
        return self._expected(key, "the name of a package", value)

    def _texts(self, key: str, value: object) -> list[str]:
        if not isinstance(value, list):
            self._expected(key, "an array of strings", value)
            return []
        return [self._text(f"{key}[{index}]", one) for index, one in enumerate(value)]

    def _text(self, key: str, value: object) -> str:
        return value if isinstance(value, str) else self._expected(key, "a string", value)

    def _constants(self, key: str, value: object) -> dict[str, int]:
        return self._table_of(key, value, self._integer)

    def _names(self, key: str, value: object) -> dict[str, str]:
        return self._table_of(key, value, self._identifier)

    def _table_of(self, key: str, value: object, check: _Check) -> dict[str, Any]:
        return self._table(
            key, value, dict.fromkeys(value, check) if isinstance(value, dict) else {}
        )

    def _integer(self, key: str, value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self._expected(key, "an integer", value)
        return 0

    def _identifier(self, key: str, value: object) -> str:
        if isinstance(value, str) and value.isidentifier():
            return value
        return self._expected(key, "a Python name", value)

    def _expected(self, key: str, what: str, value: object) -> str:
        self._error(key, f"expected {what}, found {value!r}")
        return ""

    def _error(self, key: str, message: str, hint: str | None = None) -> None:
        path = self._from_here(FILE_NAME)
        self._errors.append(SpecError(f"{path}: {key}: {message}", hint=hint))
