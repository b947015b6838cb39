"""The configuration file of a daemon: TOML, checked against a table of keys.

Owns the reading, the check and the place of every error. What the values do is not known here.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rpcgen.runtime.errors import RpcError

Check = Callable[[Any], str | None]
"""Takes the value of a key; returns what was expected instead, or None if it is right."""

_REFUSED = (ValueError, RecursionError)
"""What ``tomllib`` raises: also for numbers of too many digits, and for too deep nesting."""


class ConfigurationError(RpcError):
    """A configuration file is refused.

    Attributes:
        path: the file.
        line: where, from 1; None if the file cannot be read at all.
        key: the key at fault, dotted; empty if the file is no TOML.
    """

    def __init__(self, path: str, line: int | None, key: str, reason: str) -> None:
        super().__init__(path, line, key, reason)
        self.path, self.line, self.key, self.reason = path, line, key, reason

    def __str__(self) -> str:
        parts = [self.path, None if self.line is None else str(self.line), self.key, self.reason]
        return ": ".join(part for part in parts if part)


class Configuration(dict[str, Any]):
    """What a file says: values by dotted key. Keys that are not in it are absent.

    Attributes:
        path: the file; empty if there is none.
    """

    def __init__(
        self, values: Mapping[str, Any] | None = None, *, path: str = "", source: str = ""
    ) -> None:
        super().__init__(values or {})
        self.path = path
        self._source = source

    def error(self, key: str, reason: str) -> ConfigurationError:
        """The error to raise for the value of a key that is in the file."""
        return ConfigurationError(self.path, line_of(self._source, key), key, reason)


def whole(least: int, most: int) -> Check:
    """A check for whole numbers from ``least`` to ``most``; booleans are none."""

    def check(value: Any) -> str | None:
        right = type(value) is int and least <= value <= most
        return None if right else f"expected a whole number from {least} to {most}"

    return check


def text(value: Any) -> str | None:
    """A check for strings."""
    return None if isinstance(value, str) else "expected a string"


def read_configuration(path: str, keys: Mapping[str, Check]) -> Configuration:
    """What the file at ``path`` says.

    Raises:
        ConfigurationError: the file cannot be read, is no TOML, or has a key that is not in
            ``keys`` or whose value its check refuses.
    """
    try:
        if stat.S_ISFIFO(os.stat(path).st_mode):  # it would be waited for, for ever maybe
            raise ConfigurationError(path, None, "", "expected a file, got a pipe")
        with open(path, encoding="utf-8", newline="") as file:
            source = file.read().replace("\r\n", "\n")
        values = dict(_leaves(tomllib.loads(source), keys))
    except OSError as error:
        raise ConfigurationError(path, None, "", error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigurationError(path, line, "", "expected UTF-8") from error
    except _REFUSED as error:
        raise ConfigurationError(path, _broken_line(source), "", str(error)) from error
    found = Configuration(values, path=path, source=source)
    for key, value in found.items():
        reason = keys[key](value) if key in keys else "unknown key"
        if reason:
            got = f", got {value!r}" if key in keys else ""
            raise found.error(key, reason + got)
    return found


def line_of(source: str, key: str) -> int:
    """The line, from 1, of the statement of valid TOML that sets the dotted ``key``."""
    table = ""
    for line, statement, values in _statements(source):
        header = statement.startswith("[")
        prefix = "" if header or not table else table + "."
        names = [prefix + name for name, _ in _leaves(values, {})]
        if any(name == key or name.startswith(key + ".") for name in names):
            return line
        if header:
            table = names[0]
    return 1


def _statements(source: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Each statement with its line and what it alone means; an unfinished one ends them."""
    begun, chunk = 0, ""
    for number, line in enumerate(source.split("\n"), 1):
        if not chunk:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            begun = number
        chunk += line + "\n"
        try:
            values = tomllib.loads(chunk)
        except _REFUSED:
            continue
        yield begun, chunk.lstrip(), values
        chunk = ""


def _broken_line(source: str) -> int:
    """The line of the statement after which TOML no longer reads ``source``."""
    lines, done = source.split("\n"), 0
    for line, statement, _ in _statements(source):
        end = line + statement.count("\n") - 1
        try:
            tomllib.loads("\n".join(lines[:end]) + "\n")
        except _REFUSED:
            return line
        done = end
    rest = enumerate(lines[done:], done + 1)
    return next((n for n, line in rest if line.strip() and line.lstrip()[0] != "#"), 1)


def _leaves(
    table: Mapping[str, Any], keys: Mapping[str, Check], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and value and prefix + name not in keys:
            yield from _leaves(value, keys, f"{prefix}{name}.")
        elif not (keys and value == {} and any(k.startswith(f"{prefix}{name}.") for k in keys)):
            yield prefix + name, value
