"""The configuration file of a daemon: TOML, checked against a table of keys.

Owns the check, and the line of every key. What the values do is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from rpcgen.runtime.tomlfile import TomlError, read_toml, statements

Check = Callable[[Any], str | None]
"""Takes the value of a key; returns what was expected instead, or None if it is right."""

NAMES_MAX: Final = 20
"""Known names that an error lists: more than one server has keys."""


class ConfigurationError(TomlError):
    """A configuration file is refused; ``key`` is dotted."""


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


def texts(value: Any) -> str | None:
    """A check for lists of strings."""
    right = isinstance(value, list) and all(isinstance(one, str) for one in value)
    return None if right else "expected a list of strings"


def absolute(value: Any) -> str | None:
    """A check for absolute paths of files."""
    right = isinstance(value, str) and value.startswith("/") and "\0" not in value
    return None if right else "expected an absolute path"


def read_configuration(path: str, keys: Mapping[str, Check]) -> Configuration:
    """What the file at ``path`` says.

    Raises:
        ConfigurationError: the file cannot be read, is no TOML, or has a key that is not in
            ``keys`` or whose value its check refuses.
    """
    values, source = read_toml(path, ConfigurationError)
    found = Configuration(dict(_leaves(values, keys)), path=path, source=source)
    for key, value in found.items():
        reason = keys[key](value) if key in keys else _unknown(key, keys)
        if reason:
            got = f", got {value!r}" if key in keys else ""
            raise found.error(key, reason + got)
    return found


def _unknown(key: str, keys: Mapping[str, Check]) -> str:
    """Which part of a key is not known, and what there is in its place."""
    above = ""
    for part in key.split("."):
        if part not in _names(above, keys):
            place = f" in {above[:-1]}" if above else ""
            return f"unknown key: expected one of {_some(_names(above, keys))}{place}, got {part!r}"
        above += f"{part}."
    return f"expected a table with {_some(_names(above, keys))}"


def _names(above: str, keys: Mapping[str, Check]) -> set[str]:
    return {one.removeprefix(above).split(".")[0] for one in keys if one.startswith(above)}


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:NAMES_MAX]) + (", ..." if len(names) > NAMES_MAX else "")


def line_of(source: str, key: str) -> int:
    """The line, from 1, of the statement of valid TOML that sets the dotted ``key``."""
    table = ""
    for line, statement, values in statements(source):
        header = statement.startswith("[")
        prefix = "" if header or not table else table + "."
        names = [prefix + name for name, _ in _leaves(values, {})]
        if any(name == key or name.startswith(key + ".") for name in names):
            return line
        if header:
            table = names[0]
    return 1


def _leaves(
    table: Mapping[str, Any], keys: Mapping[str, Check], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and value and prefix + name not in keys:
            yield from _leaves(value, keys, f"{prefix}{name}.")
        elif not (keys and value == {} and any(k.startswith(f"{prefix}{name}.") for k in keys)):
            yield prefix + name, value
