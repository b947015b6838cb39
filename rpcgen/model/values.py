"""Values of constants: ``const`` and enum members, evaluated in the order of their dependencies.

A constant has no range of its own; ``number`` checks one where it is used. Which names exist is
decided in ``scope``; constants in other files than ``.x`` are read in ``constants``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rpcgen.errors import Diagnostics, SemanticError
from rpcgen.model.scope import Scope
from rpcgen.model.types import Constant
from rpcgen.syntax import tree

INT_MIN, INT_MAX, UINT_MAX = -(2**31), 2**31 - 1, 2**32 - 1


@dataclass(eq=False, slots=True)
class _Formula:
    """How a constant gets its value: that of ``base``, plus one where ``base`` is the member before it."""

    constant: Constant
    base: tree.Value | _Formula | None
    is_member: bool
    place: tree.Value | tree.Name
    done: bool = False
    value: int | None = None


class Values:
    """The values of one file's constants.

    Names are added while definitions are collected; ``settle`` then gives all of them their values,
    so that a constant may be used before the line that defines it.
    """

    def __init__(self, scope: Scope, diagnostics: Diagnostics) -> None:
        self._scope = scope
        self._diagnostics = diagnostics
        self._formulas: dict[Constant, _Formula] = {}

    def add_const(self, node: tree.ConstDefinition, doc: str = "") -> Constant:
        name, value = node.name, node.value
        if isinstance(value, tree.Text):
            constant = Constant(name.text, value.value, name.at, doc, f'"{value.value}"')
        else:
            constant = Constant(name.text, 0, name.at, doc, value.text)
            self._formulas[constant] = _Formula(constant, value, False, value)
        self._enter(constant, name)
        return constant

    def add_members(self, members: Sequence[tree.EnumMember]) -> list[Constant]:
        """The members of an enum as constants, in order."""
        constants = []
        previous: _Formula | None = None
        for member in members:
            spelling = member.value.text if member.value else ""
            constant = Constant(member.name.text, 0, member.name.at, spelling=spelling)
            place = member.value or member.name
            previous = _Formula(
                constant, previous if member.value is None else member.value, True, place
            )
            self._formulas[constant] = previous
            self._enter(constant, member.name)
            constants.append(constant)
        return constants

    def settle(self) -> None:
        """Give every constant its value; one that has none, with an error, keeps 0."""
        for formula in self._formulas.values():
            self._evaluate(formula)
        for constant in self._formulas:
            self._scope.check_equal(constant)

    def settled(self, constant: Constant) -> int:
        """The number of a ``const`` or member of this file; 0 for one that has none, with an error."""
        return self._formulas[constant].value or 0

    def known(self, name: tree.Name) -> int | None:
        """The value of a name if it has one."""
        return self.value(name) if self._scope.is_constant(name.text) else None

    def value(self, value: tree.Value) -> int | None:
        """The number that a value stands for; None, with an error, where there is none."""
        if isinstance(value, tree.Number):
            return value.value
        constant = self._scope.constant(value)
        if constant is None:
            return None
        if isinstance(constant.value, str):
            message = f"expected a number, got the text '{constant.name}'"
            self._diagnostics.error(SemanticError(message, value.at))
            return None
        formula = self._formulas.get(constant)
        return formula.value if formula else constant.value

    def number(
        self, value: tree.Value, what: str, low: int = 0, high: int = UINT_MAX
    ) -> int | None:
        """The same with a check of its range; ``what`` names its role (``length``, ``procedure number``)."""
        number = self.value(value)
        if number is None or low <= number <= high:
            return number
        named = f" ({value.text})" if isinstance(value, tree.Name) else ""
        message = f"expected a {what} from {low} to {high}, got {number}{named}"
        self._diagnostics.error(SemanticError(message, value.at))
        return None

    def _enter(self, constant: Constant, name: tree.Name) -> None:
        if self._scope.declare("constant", name):
            self._scope.own.constants[name.text] = constant

    def _evaluate(self, formula: _Formula) -> None:
        """Follow the one thing that each formula depends on, without recursion, then compute on the way back."""
        path: dict[_Formula, None] = {}
        current: _Formula | None = formula
        while current is not None and not current.done:
            if current in path:
                self._report_cycle(list(path), current)
                break
            path[current] = None
            current = self._dependency(current)
        for one in reversed(path):
            self._compute(one)

    def _dependency(self, formula: _Formula) -> _Formula | None:
        if not isinstance(formula.base, tree.Name):
            return formula.base if isinstance(formula.base, _Formula) else None
        constant = self._scope.constant(formula.base)
        return self._formulas.get(constant) if constant else None

    def _compute(self, formula: _Formula) -> None:
        if formula.done:
            return
        formula.done = True
        value = self._base_value(formula)
        if value is not None and formula.is_member:
            value = self._as_int32(value, formula)
        if value is not None:
            formula.value = formula.constant.value = value

    def _base_value(self, formula: _Formula) -> int | None:
        match formula.base:
            case None:
                return 0
            case _Formula(value=value):
                return None if value is None else value + 1
            case base:
                return self.value(base)

    def _as_int32(self, value: int, formula: _Formula) -> int | None:
        """Enums are signed on the wire; a value may be written unsigned (``0xFFFFFFFF`` is -1)."""
        high = INT_MAX if isinstance(formula.base, _Formula) else UINT_MAX
        if INT_MIN <= value <= high:
            return value - 2**32 if value > INT_MAX else value
        message = f"expected a value of 32 bits for '{formula.constant.name}', got {value}"
        self._diagnostics.error(SemanticError(message, formula.place.at))
        return None

    def _report_cycle(self, path: list[_Formula], again: _Formula) -> None:
        cycle = path[path.index(again) :]
        names = " -> ".join(one.constant.name for one in [*cycle, again])
        for one in cycle:
            one.done = True
        message = f"constant '{again.constant.name}' depends on itself: {names}"
        self._diagnostics.error(SemanticError(message, again.constant.at))
