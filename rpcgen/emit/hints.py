"""Type hints: what a type of the model is to Python's type checkers."""

from __future__ import annotations

from collections.abc import Collection

from rpcgen.emit.naming import Naming
from rpcgen.model.types import (
    Array,
    Enum,
    Named,
    Optional,
    Primitive,
    String,
    Type,
    TypeDefinition,
    resolve,
)

_NUMBERS = {"bool": "bool", "float": "float", "double": "float"}
"""Every other number is an ``int``."""


class Hints:
    """Hints for the types of one module, and the classes that they name.

    Typedefs are seen through: ``remote_uuid`` is ``bytes``, and the ``.x`` spelling stands in
    a comment beside it.

    Args:
        naming: names of the module.
        taken: classes that the module imports for itself: a type called so gets a leading
            ``_`` there, which no class has of its own.
    """

    def __init__(self, naming: Naming, taken: Collection[str] = ()) -> None:
        self._naming = naming
        self._taken = taken
        self.classes: set[tuple[str, str]] = set()
        """(stem, class) of every class or alias named."""

    def of(self, type_: Type) -> str:
        """The hint of a declaration."""
        match resolve(type_):
            case Primitive(name=name):
                return _NUMBERS.get(name, "int")
            case String():
                return "str"
            case Array(element=element):
                return f"list[{self.of(element)}]"
            case Optional(element=element):
                return f"{self.of(element)} | None"
            case Named(definition=definition):
                return self._named(definition)
            case _:
                return "bytes"

    def of_definition(self, definition: TypeDefinition) -> str:
        """The hint of a defined type's values."""
        return self.of(Named(definition))

    def _named(self, definition: TypeDefinition) -> str:
        name = self._naming.type(definition)
        if name in self._taken:
            name = f"_{name}"
        self.classes.add((definition.module, name))
        return f"{name} | int" if isinstance(definition, Enum) and definition.open else name
