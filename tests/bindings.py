"""Generated packages as the tests see them: neutral values in and out, codecs by definition.

The way from a neutral value (``neutral.py``) to an instance of a generated class and back is
here, and the helper that generates packages on the fly.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neutral import Neutral, selected

from rpcgen.emit.naming import Naming
from rpcgen.emit.render import render_module
from rpcgen.model import types as t
from rpcgen.runtime.errors import XdrDecodeError
from rpcgen.runtime.xdr import Buffer


def everything(modules: Iterable[t.Module]) -> list[t.Module]:
    """The modules and all that they import, each once, imported ones first."""
    found: dict[str, t.Module] = {}
    for module in modules:
        for one in [*everything(module.imports), module]:
            found.setdefault(one.stem, one)
    return list(found.values())


def generate(modules: Iterable[t.Module], folder: Path, package: str) -> None:
    """Write the package of each module, and of what they import, below ``folder``."""
    for module in everything(modules):
        target = folder / package / Path(*Naming(module, "", {}).package_of(module.stem).split("."))
        target.mkdir(parents=True)
        for name, text in render_module(module, package=package, rename={}).items():
            (target / name).write_text(text, "utf-8")
    (folder / package / "py.typed").touch()


@contextmanager
def importable(folder: Path, package: str) -> Iterator[None]:
    """The package below ``folder`` can be imported; afterwards it is forgotten."""
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if f"{name}.".startswith(f"{package}.")]:
            del sys.modules[name]


def import_all(folder: Path, package: str) -> None:
    """Import every module of a package below ``folder``."""
    with importable(folder, package):
        for path in sorted(folder.glob(f"{package}/*/*.py")):
            importlib.import_module(f"{package}.{path.parent.name}.{path.stem}")


class Bindings:
    """One module's generated package, imported.

    Args:
        module: the model it was generated from.
        package: the dotted package that holds one package per ``.x`` file.
    """

    def __init__(
        self, module: t.Module, package: str, rename: Mapping[str, str] | None = None
    ) -> None:
        self.module = module
        self._naming = Naming(module, package, rename or {})

    def encode(self, definition: t.TypeDefinition) -> Callable[[Any], bytes]:
        """``encode_<name>``."""
        return self._codec(definition, "encoder", "encode")

    def decode(self, definition: t.TypeDefinition) -> Callable[[bytes], Any]:
        """``decode_<name>``."""
        return self._codec(definition, "decoder", "decode")

    def read(self, definition: t.TypeDefinition) -> Callable[[Buffer, int], tuple[Any, int]]:
        """``read_<name>``."""
        return self._codec(definition, "decoder", "read")

    def attempt(
        self, definition: t.TypeDefinition, data: bytes
    ) -> tuple[Any, int] | XdrDecodeError:
        """What ``read_<name>`` returns from offset 0, or its refusal."""
        try:
            return self.read(definition)(data, 0)
        except XdrDecodeError as refusal:
            return refusal

    def _codec(self, definition: t.TypeDefinition, module: str, verb: str) -> Callable[..., Any]:
        codec: Callable[..., Any]
        codec = self._attribute(definition, module, f"{verb}_{self._naming.function(definition)}")
        return codec

    def _attribute(self, definition: t.TypeDefinition, module: str, name: str) -> Any:
        package = self._naming.package_of(definition.module)
        return getattr(importlib.import_module(f"{package}.{module}"), name)

    def type(self, definition: t.TypeDefinition) -> Any:
        """The class of a struct or an enum."""
        return self._attribute(definition, "types", self._naming.type(definition))

    def arm(self, union: t.Union, arm: t.Arm) -> Any:
        """The class of one arm of a union."""
        return self._attribute(union, "types", self._naming.arm(union, arm))

    # Neutral to Python

    def to_python(self, type_: t.Type, value: Neutral) -> Any:
        """An instance of the generated classes for a neutral value."""
        match type_:
            case t.Primitive():
                return bool(value) if type_ == t.BOOL else value
            case t.Array(element=element):
                return [self.to_python(element, one) for one in value]
            case t.Optional(element=element):
                return None if value is None else self.to_python(element, value)
            case t.Named(definition=t.Alias(target=target)):
                return self.to_python(target, value)
            case t.Named(definition=t.Enum() as enum):
                return self._enum(enum, value)
            case t.Named(definition=t.Struct() as struct):
                return self.type(struct)(
                    *(self.to_python(one.type, value[one.name]) for one in struct.fields)
                )
            case t.Named(definition=t.Union() as union):
                return self._union(union, *value)
            case _:
                return value

    def _enum(self, enum: t.Enum, value: int) -> int:
        known = any(member.value == value for member in enum.members)
        return self.type(enum)(value) if known or not enum.open else value

    def _union(self, union: t.Union, number: int, value: Neutral) -> Any:
        arm = selected(union, number)
        assert arm, f"{union.name} has no arm for {number}"
        parameters = []
        if len(arm.labels) != 1:
            parameters.append(self.to_python(union.discriminant.type, number))
        if arm.field:
            parameters.append(self.to_python(arm.field.type, value))
        return self.arm(union, arm)(*parameters)

    # Python to neutral

    def to_neutral(self, type_: t.Type, value: Any) -> Neutral:
        """The neutral value of what a decoder returned; fails where it returned the wrong class."""
        match type_:
            case t.Array(element=element):
                return [self.to_neutral(element, one) for one in _exactly(list, value)]
            case t.Optional(element=element):
                return None if value is None else self.to_neutral(element, value)
            case t.Named(definition=t.Alias(target=target)):
                return self.to_neutral(target, value)
            case t.Named(definition=t.Enum() as enum):
                known = any(member.value == value for member in enum.members)
                return int(_exactly(int if enum.open and not known else self.type(enum), value))
            case t.Named(definition=t.Struct() as struct):
                _exactly(self.type(struct), value)
                return {one.name: self._field(struct, one, value) for one in struct.fields}
            case t.Named(definition=t.Union() as union):
                return self._arm_value(union, value)
            case _:
                return _exactly(_plain(type_), value)

    def _field(self, owner: t.TypeDefinition, field: t.Field, value: Any) -> Neutral:
        return self.to_neutral(field.type, getattr(value, self._naming.field(owner, field)))

    def _arm_value(self, union: t.Union, value: Any) -> Neutral:
        attribute = self._naming.discriminant(union)
        number = self.to_neutral(union.discriminant.type, getattr(value, attribute))
        arm = selected(union, number)
        assert arm, f"{union.name} has no arm for {number}"
        _exactly(self.arm(union, arm), value)
        return number, self._field(union, arm.field, value) if arm.field else None


def _plain(type_: t.Type) -> type:
    match type_:
        case t.Primitive():
            return {t.BOOL: bool, t.FLOAT: float, t.DOUBLE: float}.get(type_, int)
        case t.String():
            return str
        case _:
            return bytes


def _exactly(wanted: type, value: Any) -> Any:
    assert (
        type(value) is wanted
    ), f"expected {wanted.__name__}, got {type(value).__name__}: {value!r}"
    return value


def type_check(folder: Path, package: str) -> None:
    """``mypy --strict`` finds nothing wrong in a package below ``folder``."""
    root, cache = Path(__file__).parents[1], folder / "mypy"
    options = ["--strict", "--config-file=", f"--cache-dir={cache}", "--package", package]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options],
        cwd=folder,
        env=os.environ | {"MYPYPATH": f"{folder}{os.pathsep}{root}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
