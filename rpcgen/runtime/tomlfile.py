"""TOML files: reading them, and the line of what is wrong in one, which ``tomllib`` does not keep.

What a file may say is not known here.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from typing import TYPE_CHECKING, Any, Final

from rpcgen.runtime.errors import RpcError

if TYPE_CHECKING:
    from collections.abc import Iterator

NESTING_MAX: Final = 50
"""Tables and lists in each other: whoever walks over them, or shows them, does so by recursion."""

_REFUSED: Final = (ValueError, RecursionError)
"""What ``tomllib`` raises: also for numbers of too many digits, and for lists too deep in each other."""

_PLACE: Final = re.compile(r" \(at line ([0-9]+), column ([0-9]+)\)$")
"""What ``tomllib`` says of most errors."""


class TomlError(RpcError):
    """A file is refused.

    Attributes:
        path: the file; empty if there is none.
        line: where, from 1; None if there is no file, or it cannot be read at all.
        key: the key at fault; empty if the file is no TOML.
    """

    def __init__(self, path: str, line: int | None, key: str, reason: str) -> None:
        super().__init__(path, line, key, reason)
        self.path, self.line, self.key, self.reason = path, line, key, reason

    def __str__(self) -> str:
        parts = [self.path, None if self.line is None else str(self.line), self.key, self.reason]
        return ": ".join(part for part in parts if part)


def read_toml(path: str, refuse: type[TomlError]) -> tuple[dict[str, Any], str]:
    """What the file at ``path`` says, and its text.

    Raises:
        TomlError: of the kind ``refuse``: it cannot be read, or is no TOML.
    """
    try:
        if stat.S_ISFIFO(os.stat(path).st_mode):  # it would be waited for, for ever maybe
            raise refuse(path, None, "", "expected a file, got a pipe")
        with open(path, encoding="utf-8", newline="") as file:
            source = file.read().replace("\r\n", "\n")
        return _parsed(source), source
    except OSError as error:
        raise refuse(path, None, "", error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise refuse(path, line, "", "expected UTF-8") from error
    except _REFUSED as error:
        raise refuse(path, *_broken(source, str(error))) from error


def statements(source: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Each statement with its line, from 1, and what it alone means; an unfinished one ends them."""
    begun, chunk = 0, ""
    for number, line in enumerate(source.split("\n"), 1):
        if not chunk:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            begun = number
        chunk += line + "\n"
        try:
            values = _parsed(chunk)
        except _REFUSED:
            continue
        yield begun, chunk.lstrip(), values
        chunk = ""


def _parsed(text: str) -> dict[str, Any]:
    values = tomllib.loads(text)
    _check_nesting(values, NESTING_MAX)
    return values


def _check_nesting(value: object, room: int) -> None:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if not room:
        raise ValueError(f"more than {NESTING_MAX} tables and lists in each other")
    for one in inner:
        _check_nesting(one, room - 1)


def _broken(source: str, reason: str) -> tuple[int, str, str]:
    """The line, no key, and the reason: what ``tomllib`` says of the line, said once."""
    if match := _PLACE.search(reason):
        return int(match[1]), "", f"{reason[: match.start()]} (column {match[2]})"
    return _broken_line(source), "", reason


def _broken_line(source: str) -> int:
    """The line of the statement after which TOML no longer reads ``source``."""
    lines, done = source.split("\n"), 0
    for line, statement, _ in statements(source):
        end = line + statement.count("\n") - 1
        try:
            _parsed("\n".join(lines[:end]) + "\n")
        except _REFUSED:
            return line
        done = end
    rest = enumerate(lines[done:], done + 1)
    return next((n for n, line in rest if line.strip() and line.lstrip()[0] != "#"), 1)
