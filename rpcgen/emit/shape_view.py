"""The type table of a module: the text of each shape, as ``rpcgen.runtime.shapes`` has it."""

from __future__ import annotations

from collections.abc import Iterable

from rpcgen.emit.facts import Facts, is_link
from rpcgen.emit.naming import Naming
from rpcgen.model.types import (
    Arm,
    Array,
    CharArray,
    Enum,
    Field,
    Named,
    Opaque,
    Optional,
    Primitive,
    String,
    Struct,
    Type,
    TypeDefinition,
    Union,
)


class ShapeView:
    """Writes shapes as Python expressions."""

    def __init__(self, naming: Naming, facts: Facts) -> None:
        self._naming = naming
        self._facts = facts

    def row(self, definition: TypeDefinition) -> str:
        """The right side of a type's row."""
        match definition:
            case Enum():
                return f'("enum", {self._naming.type(definition)}, {definition.open})'
            case Struct(fields=fields):
                kind = "chain" if definition.chain else "struct"
                rows = _tuple(self._field(definition, one) for one in fields)
                return f'("{kind}", {self._naming.type(definition)}, {rows})'
            case Union(arms=arms):
                ordered = sorted(arms, key=lambda arm: arm.is_default)
                rows = _tuple(self._arm(definition, arm) for arm in ordered)
                return f'("union", {self._discriminant(definition)}, {rows})'
            case _:
                return self.shape(definition.target)

    def shape(self, type_: Type) -> str:
        """The shape of a declaration."""
        match type_:
            case Primitive(name=name):
                return f'"{name}"'
            case Opaque(length=length, fixed=fixed):
                return f'("{"opaque" if fixed else "opaques"}", {length})'
            case String(maximum=maximum):
                return f'("string", {maximum})'
            case CharArray(length=length, fixed=fixed, signed=signed):
                return f'("{"char" if fixed else "chars"}", {length}, {signed})'
            case Array(element=element, length=length, fixed=fixed):
                return f'("{"array" if fixed else "list"}", {length}, {self.shape(element)})'
            case Optional(element=element):
                return f'("optional", {self.shape(element)})'
            case Named(definition=definition) if self._facts.is_recursive(type_):
                return f'("deeper", "{definition.name}")'
            case Named(definition=definition):
                return f'"{definition.name}"'

    def _field(self, owner: TypeDefinition, field: Field) -> str:
        attribute = self._naming.field(owner, field)
        return f'("{field.name}", "{attribute}", {self.shape(field.type)})'

    def _discriminant(self, union: Union) -> str:
        name, attribute = union.discriminant.name, self._naming.discriminant(union)
        return f'("{name}", "{attribute}", {self.shape(union.discriminant.type)})'

    def _arm(self, union: Union, arm: Arm) -> str:
        labels = (
            "None" if arm.is_default else f"({''.join(f'{one.value}, ' for one in arm.labels)})"
        )
        field = self._field(union, arm.field) if arm.field else "None"
        if arm.field and is_link(union, arm.field.type):
            attribute = self._naming.field(union, arm.field)
            field = f'("{arm.field.name}", "{attribute}", ("link", "{union.name}"))'
        return f"({labels}, {self._naming.arm(union, arm)}, {field})"


def _tuple(items: Iterable[str]) -> str:
    texts = list(items)
    return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"
