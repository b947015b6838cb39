"""Constants that stand in other files: ``--constants`` and the tables of a configuration file.

How C headers are read is in ``headers``; how the constants of a ``.x`` get their values, in ``values``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from rpcgen.errors import SpecError
from rpcgen.model import headers
from rpcgen.model.build import load
from rpcgen.model.types import Enum, Module


def read_constants(path: str) -> dict[str, int]:
    """The constants of a ``--constants`` file: ``.h`` or ``.h.in``, ``.toml``, or another ``.x``.

    Raises:
        SpecError: the file cannot be read or is of another kind.
        SpecErrors: a ``.x`` with errors.
    """
    for suffix, read in _READERS.items():
        if path.endswith(suffix):
            try:
                return read(path, Path(path).read_bytes())
            except OSError as error:
                raise SpecError(f"cannot read '{path}': {error.strerror}") from error
    expected = ", ".join(_READERS)
    raise SpecError(f"expected a file of constants that ends in one of {expected}, got '{path}'")


def _from_header(_path: str, data: bytes) -> dict[str, int]:
    return headers.constants(data.decode("utf-8", "replace"))


def _from_toml(path: str, data: bytes) -> dict[str, int]:
    """From ``[tool.rpcgen.constants]`` or ``[constants]`` where there is one, from the top of the file otherwise."""
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot read '{path}': {error}") from error
    tables = (_inner(document, keys) for keys in (("tool", "rpcgen", "constants"), ("constants",)))
    return checked_constants(next((one for one in tables if one is not None), document), path)


def _inner(table: object, keys: Sequence[str]) -> object:
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table


def checked_constants(table: object, origin: str) -> dict[str, int]:
    """A table of a configuration file whose values must be integers."""
    if not isinstance(table, dict):
        raise SpecError(f"{origin}: expected a table of constants, got {table!r}")
    for name, value in table.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise SpecError(f"{origin}: expected an integer for constant '{name}', got {value!r}")
    return table


def _from_spec(path: str, _data: bytes) -> dict[str, int]:
    """Everything that the file defines or sees through its imports."""
    found: dict[str, int] = {}
    modules = load([path])
    for module in modules:
        modules.extend(one for one in module.imports if one not in modules)
        for name, value in _named_values(module):
            if isinstance(value, int):
                found.setdefault(name, value)
    return found


def _named_values(module: Module) -> Iterator[tuple[str, int | str]]:
    yield from ((constant.name, constant.value) for constant in module.constants)
    for definition in module.types:
        if isinstance(definition, Enum):
            yield from ((member.name, member.value) for member in definition.members)


_READERS = {".h": _from_header, ".h.in": _from_header, ".toml": _from_toml, ".x": _from_spec}
