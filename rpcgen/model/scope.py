"""Which names a file sees, and what they stand for: its own, those of its imports, those given from outside.

Types, constants and programs share one name space, as in RFC 4506 section 6.4. This module knows no
grammar beyond names; values of constants are filled in by ``values``, types by ``definitions``.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from rpcgen.errors import Diagnostics, Location, Note, SemanticError
from rpcgen.model import types
from rpcgen.model.types import Constant, Named, Opaque, Type, TypeDefinition
from rpcgen.syntax import tree

PREDEFINED_CONSTANTS = {"FALSE": 0, "TRUE": 1}

PREDEFINED_TYPES: dict[str, tuple[Type, str]] = {
    "int8_t": (types.CHAR, "char"),
    "uint8_t": (types.UNSIGNED_CHAR, "unsigned char"),
    "int16_t": (types.SHORT, "short"),
    "uint16_t": (types.UNSIGNED_SHORT, "unsigned short"),
    "int32_t": (types.INT, "int"),
    "uint32_t": (types.UNSIGNED_INT, "unsigned int"),
    "int64_t": (types.HYPER, "hyper"),
    "uint64_t": (types.UNSIGNED_HYPER, "unsigned hyper"),
    "u_char": (types.UNSIGNED_CHAR, "unsigned char"),
    "u_short": (types.UNSIGNED_SHORT, "unsigned short"),
    "u_int": (types.UNSIGNED_INT, "unsigned int"),
    "u_long": (types.UNSIGNED_LONG, "unsigned int"),
    "quad_t": (types.HYPER, "hyper"),
    "u_quad_t": (types.UNSIGNED_HYPER, "unsigned hyper"),
    "longlong_t": (types.HYPER, "hyper"),
    "u_longlong_t": (types.UNSIGNED_HYPER, "unsigned hyper"),
    "netobj": (Opaque(1024, fixed=False), "opaque x<1024>"),
    "des_block": (Opaque(8, fixed=True), "opaque x[8]"),
}
"""Types that C's rpcgen takes from its headers, each with the RFC 4506 form of it."""

KINDS: dict[type[object], str] = {
    types.Enum: "enum",
    types.Struct: "struct",
    types.Union: "union",
    types.Alias: "typedef",
}

CONSTANT_HINT = (
    "give it with -D {name}=VALUE, with --constants FILE (a C header, a .toml or another .x), "
    "or in [tool.rpcgen.constants]"
)


class Unique:
    """A set of names or numbers in which each may stand once; the second one is an error."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        self._diagnostics = diagnostics
        self._first: dict[Hashable, Location] = {}

    def add(self, key: Hashable, subject: str, at: Location) -> bool:
        """Whether ``key`` is new; reports ``subject`` as already defined otherwise."""
        first = self._first.get(key)
        if first is None:
            self._first[key] = at
            return True
        note = Note("first defined here", first)
        self._diagnostics.error(SemanticError(f"{subject} is already defined", at, notes=[note]))
        return False

    def __contains__(self, key: Hashable) -> bool:
        return key in self._first


@dataclass(frozen=True, slots=True)
class Import:
    """The scope of an imported file, and the line that imports it."""

    scope: Scope
    at: Location


@dataclass(eq=False, slots=True)
class Names:
    """Types and constants by name."""

    types: dict[str, TypeDefinition] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)


class Scope:
    """The names of one file.

    Args:
        diagnostics: where errors go.
        imports: the files that this one imports; what they import is visible too, as in C.
        external: constants that no file defines.
        damaged: the file or an import had syntax errors: an unknown name may be one whose definition was lost.
        absent: ``.x`` files that ``%#include`` lines name and that were not found, for a hint.
        c_only: macros that ``%#define`` lines give to C alone, for a note.
    """

    def __init__(
        self,
        diagnostics: Diagnostics,
        *,
        imports: Iterable[Import] = (),
        external: Mapping[str, int] | None = None,
        damaged: bool = False,
        absent: Iterable[str] = (),
        c_only: Mapping[str, Location] | None = None,
    ) -> None:
        self.own = Names()
        self.imported = Names()
        given = {**PREDEFINED_CONSTANTS, **(external or {})}
        self.external = {
            name: Constant(name, value, None, spelling=str(value), external=True)
            for name, value in given.items()
        }
        self._diagnostics = diagnostics
        self.damaged = damaged
        self._absent = tuple(dict.fromkeys(absent))
        self._c_only = c_only or {}
        self._unique = Unique(diagnostics)
        self._reported: set[tuple[str, str]] = set()
        for one in imports:
            self._take(one)

    def declare(self, subject: str, name: tree.Name) -> bool:
        """Enter a name of this file; False, with an error, where it is taken. ``subject`` is its kind."""
        if (elsewhere := self._imported_as(name.text)) and elsewhere != subject:
            self._clash(f"{subject} '{name.text}' is already defined", name.at, name.text)
            return False
        return self._unique.add(name.text, f"'{name.text}'", name.at)

    def is_free(self, name: str) -> bool:
        """Whether a definition made by us can have this name."""
        return (
            name not in self._unique
            and self._imported_as(name) is None
            and name not in PREDEFINED_TYPES
        )

    def is_constant(self, name: str) -> bool:
        return any(
            name in names for names in (self.own.constants, self.imported.constants, self.external)
        )

    def constant(self, name: tree.Name) -> Constant | None:
        """The constant of that name; None, with an error, where there is none."""
        for names in (self.own.constants, self.imported.constants, self.external):
            if found := names.get(name.text):
                return found
        self._unknown_constant(name)
        return None

    def type(self, name: tree.Name) -> Type | None:
        """The type of that name; None, with an error, where there is none."""
        for names in (self.own.types, self.imported.types):
            if definition := names.get(name.text):
                return Named(definition)
        if predefined := PREDEFINED_TYPES.get(name.text):
            self._tolerate(name, predefined[1])
            return predefined[0]
        self._unknown_type(name)
        return None

    def check_equal(self, constant: Constant) -> None:
        """A constant of this file may also come from outside or from an import if the values agree."""
        name = constant.name
        outside = self.imported.constants.get(name) or self.external.get(name)
        if outside is None or outside.value == constant.value or constant.at is None:
            return
        if outside.external:
            origin = (
                "is predefined as" if name in PREDEFINED_CONSTANTS else "was given from outside as"
            )
            message = f"'{name}' is {constant.value} here, but {origin} {outside.value}"
            self._diagnostics.error(SemanticError(message, constant.at))
        else:
            self._clash(
                f"constant '{name}' is {constant.value} here, but {outside.value} in an import",
                constant.at,
                name,
            )

    def _take(self, one: Import) -> None:
        for theirs in (one.scope.imported, one.scope.own):
            for name, definition in theirs.types.items():
                if self.imported.types.setdefault(name, definition) is not definition:
                    self._clash_of_imports(name, definition.at, one.at)
            for name, constant in theirs.constants.items():
                if self.imported.constants.setdefault(name, constant).value != constant.value:
                    self._clash_of_imports(name, constant.at, one.at)

    def _imported_as(self, name: str) -> str | None:
        if definition := self.imported.types.get(name):
            return f"imported {KINDS[type(definition)]}"
        return "constant" if name in self.imported.constants else None

    def _imported_at(self, name: str) -> Location | None:
        found = self.imported.types.get(name) or self.imported.constants.get(name)
        return found.at if found else None

    def _clash(self, message: str, at: Location, name: str) -> None:
        note = Note("first defined here", self._imported_at(name))
        self._diagnostics.error(SemanticError(message, at, notes=[note]))

    def _clash_of_imports(self, name: str, second: Location | None, at: Location) -> None:
        notes = [Note("first defined here", self._imported_at(name)), Note("and here", second)]
        self._diagnostics.error(SemanticError(f"two imports define '{name}'", at, notes=notes))

    def _unknown_constant(self, name: tree.Name) -> None:
        definition = self.own.types.get(name.text) or self.imported.types.get(name.text)
        if definition:
            self._misused(
                "a constant", f"{KINDS[type(definition)]} '{name.text}'", name, definition.at
            )
        elif not self.damaged:
            known = [*self.own.constants, *self.imported.constants, *self.external]
            here = self._c_only.get(name.text)
            notes = [Note("this line defines it for C alone", here)] if here else []
            self._unknown("constant", name, known, notes, CONSTANT_HINT.format(name=name.text))

    def _unknown_type(self, name: tree.Name) -> None:
        constant = self.own.constants.get(name.text) or self.imported.constants.get(name.text)
        if constant:
            self._misused("a type", f"constant '{name.text}'", name, constant.at)
        elif not self.damaged:
            known = [*self.own.types, *self.imported.types, *PREDEFINED_TYPES]
            absent = ", ".join(self._absent)
            hint = (
                f"headers of this file whose .x is neither beside it nor in an -I folder: {absent}"
            )
            self._unknown("type", name, known, [], hint if absent else None)

    def _misused(self, expected: str, came: str, name: tree.Name, defined: Location | None) -> None:
        if self._is_first(expected, name):
            message, notes = f"expected {expected}, got {came}", [Note("defined here", defined)]
            self._diagnostics.error(SemanticError(message, name.at, notes=notes))

    def _unknown(
        self, kind: str, name: tree.Name, known: list[str], notes: list[Note], hint: str | None
    ) -> None:
        if self._is_first(kind, name):
            near = difflib.get_close_matches(name.text, known, n=1, cutoff=0.75)
            message = f"unknown {kind} '{name.text}'" + (
                f"; did you mean '{near[0]}'?" if near else ""
            )
            self._diagnostics.error(SemanticError(message, name.at, notes=notes, hint=hint))

    def _tolerate(self, name: tree.Name, standard: str) -> None:
        if self._is_first("predefined", name):
            message = f"'{name.text}' is no type of RFC 4506"
            self._diagnostics.tolerate(message, name.at, hint=f"write '{standard}'")

    def _is_first(self, what: str, name: tree.Name) -> bool:
        """A name that is used 700 times is still one mistake."""
        key = (what, name.text)
        new = key not in self._reported
        self._reported.add(key)
        return new
