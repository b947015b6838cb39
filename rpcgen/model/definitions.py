"""The definitions of one file: first all names, so that order does not matter, then what they are made of.

Inline types are taken out of their user here and get a name of their own. Programs are built in
``programs``; rules that need finished types are in ``check``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from rpcgen.errors import Diagnostics, Location, Note, SemanticError
from rpcgen.model.annotations import ENUM_KEYS, NO_KEYS, is_open, prose_of, split
from rpcgen.model.cycles import find_cycles
from rpcgen.model.declarations import Declarations, is_void
from rpcgen.model.scope import KINDS, Scope
from rpcgen.model.types import (
    INT,
    Alias,
    Arm,
    Constant,
    Enum,
    Field,
    Label,
    Member,
    Module,
    Named,
    Optional,
    Struct,
    TypeDefinition,
    Union,
    named_in,
    resolve,
)
from rpcgen.model.values import INT_MAX, UINT_MAX, Values
from rpcgen.syntax import tree
from rpcgen.syntax.tree import NO_REMARKS, Declaration, Form, Name, Remarks


@dataclass(frozen=True, slots=True)
class Heading:
    """The name of a definition, where its text begins, and its comments."""

    name: Name
    start: Location
    remarks: Remarks = NO_REMARKS


@dataclass(frozen=True, slots=True)
class EnumDraft:
    """An enum whose members still wait for their values."""

    definition: Enum
    members: Sequence[tree.EnumMember]
    constants: list[Constant]


class Definitions:
    """Builds the types and constants of a module: ``declare``, settle the constants, then ``fill``."""

    def __init__(
        self, module: Module, scope: Scope, values: Values, diagnostics: Diagnostics
    ) -> None:
        self._module = module
        self._scope = scope
        self._values = values
        self._diagnostics = diagnostics
        self._inline: dict[int, TypeDefinition] = {}
        self._aliases: list[tuple[Alias, Declaration]] = []
        self._structs: list[tuple[Struct, Sequence[Declaration]]] = []
        self._unions: list[tuple[Union, tree.UnionBody]] = []
        self._restated: list[tree.TypeName] = []
        self.enums: list[EnumDraft] = []
        self.declarations = Declarations(scope, values, diagnostics, self._inline)

    # First pass: names

    def declare(self, definitions: Sequence[tree.Definition]) -> None:
        """Enter every name that the file defines."""
        for node in definitions:
            match node:
                case tree.ConstDefinition():
                    self._module.constants.append(
                        self._values.add_const(node, self._doc(node.remarks, node.at))
                    )
                case tree.EnumDefinition():
                    self._declare_enum(_heading(node), node.members)
                case tree.StructDefinition() if node.pointer:
                    self._declare_optional_struct(node)
                case tree.StructDefinition():
                    self._declare_struct(_heading(node), node.fields)
                case tree.UnionDefinition():
                    self._declare_union(_heading(node), node.body)
                case tree.TypedefDefinition():
                    self._declare_typedef(node)
                case tree.ProgramDefinition():
                    self._declare_program(node)

    def _declare_program(self, node: tree.ProgramDefinition) -> None:
        self._scope.declare("program", node.name)
        for procedure in chain.from_iterable(version.procedures for version in node.versions):
            for declaration in (*procedure.arguments, procedure.result):
                self._hoist(declaration, procedure.name.text)

    def _hoist(self, declaration: Declaration, outer: str) -> None:
        """Give the inline type of a declaration, if it has one, a name of its own: ``outer_field``."""
        if _is_inline(declaration):
            inner = declaration.name or Name("item", declaration.at)
            name = Name(f"{outer}_{inner.text}", inner.at)
            self._declare_inline(Heading(name, name.at), declaration.type)

    def _declare_inline(self, heading: Heading, specifier: tree.TypeSpecifier) -> None:
        match specifier:
            case tree.InlineEnum(members=members):
                self._inline[id(specifier)] = self._declare_enum(heading, members)
            case tree.InlineStruct(fields=fields):
                self._inline[id(specifier)] = self._declare_struct(heading, fields)
            case tree.InlineUnion(body=body):
                self._inline[id(specifier)] = self._declare_union(heading, body)

    def _declare_enum(self, heading: Heading, members: Sequence[tree.EnumMember]) -> Enum:
        keys, name = ENUM_KEYS, heading.name
        doc, pairs = split(heading.remarks, heading.start, keys, self._diagnostics)
        definition = Enum(name.text, name.at, self._module.stem, doc)
        definition.open = is_open(pairs, self._diagnostics)
        self._enter(heading, definition)
        self.enums.append(EnumDraft(definition, members, self._values.add_members(members)))
        return definition

    def _declare_struct(self, heading: Heading, fields: Sequence[Declaration]) -> Struct:
        name = heading.name
        for declaration in fields:
            self._hoist(declaration, name.text)
        definition = Struct(
            name.text, name.at, self._module.stem, self._doc(heading.remarks, heading.start)
        )
        self._enter(heading, definition)
        self._structs.append((definition, fields))
        return definition

    def _declare_union(self, heading: Heading, body: tree.UnionBody) -> Union:
        name, doc = heading.name, self._doc(heading.remarks, heading.start)
        for declaration in (body.discriminant, *(arm.declaration for arm in body.arms)):
            self._hoist(declaration, name.text)
        definition = Union(name.text, name.at, self._module.stem, Field("", INT, name.at), doc)
        self._enter(heading, definition)
        self._unions.append((definition, body))
        return definition

    def _declare_optional_struct(self, node: tree.StructDefinition) -> None:
        """``struct *name { ... }`` names the optional, as ``typedef struct { ... } *name`` does."""
        specifier = tree.InlineStruct(node.fields, node.at)
        self._declare_alias(
            _heading(node), Declaration(specifier, node.name, Form.OPTIONAL, None, node.at)
        )

    def _declare_typedef(self, node: tree.TypedefDefinition) -> None:
        declaration = node.declaration
        if declaration.name is None:
            self.declarations.type(declaration)
            return
        heading = Heading(declaration.name, node.at, node.remarks)
        if restated := _restated(declaration):
            self._diagnostics.tolerate(
                f"'typedef' of '{restated.name.text}' as itself does nothing", node.at
            )
            self._restated.append(restated)
        elif _is_inline(declaration) and declaration.form is Form.PLAIN:
            self._declare_inline(heading, declaration.type)
        else:
            self._declare_alias(heading, declaration)

    def _declare_alias(self, heading: Heading, declaration: Declaration) -> None:
        name = heading.name
        if _is_inline(declaration):
            self._declare_inline(
                Heading(Name(f"{name.text}_item", name.at), name.at), declaration.type
            )
        definition = Alias(
            name.text, name.at, self._module.stem, INT, self._doc(heading.remarks, heading.start)
        )
        self._enter(heading, definition)
        self._aliases.append((definition, declaration))

    def _enter(self, heading: Heading, definition: TypeDefinition) -> None:
        self._module.types.append(definition)
        if self._scope.declare(KINDS[type(definition)], heading.name):
            self._scope.own.types[definition.name] = definition

    def _doc(self, remarks: Remarks, start: Location) -> str:
        return split(remarks, start, NO_KEYS, self._diagnostics)[0]

    # Second pass: contents. Typedefs come first, so that the others can look through them.

    def fill(self) -> None:
        """Say what every type is made of; the constants are settled."""
        for alias, declaration in self._aliases:
            alias.target = self.declarations.type(declaration) or INT
            alias.spelling = self.declarations.spelling(declaration)
        self._break_alias_cycles()
        for draft in self.enums:
            draft.definition.members = [*map(self._member, draft.members, draft.constants)]
        for struct, fields in self._structs:
            struct.fields = [self._field(declaration) for declaration in fields]
            struct.chain = _is_chain(struct)
        for union, body in self._unions:
            self._fill_union(union, body)

    def _field(self, declaration: Declaration) -> Field:
        return self.declarations.field(
            declaration, self._doc(declaration.remarks, declaration.type.at)
        )

    def _member(self, node: tree.EnumMember, constant: Constant) -> Member:
        """The annotations of a libvirt procedure are read where its program is built."""
        is_procedure = "_PROC_" in constant.name
        doc = prose_of(node.remarks, node.at) if is_procedure else self._doc(node.remarks, node.at)
        return Member(constant.name, self._values.settled(constant), node.name.at, doc)

    def _fill_union(self, union: Union, body: tree.UnionBody) -> None:
        union.discriminant = self._field(body.discriminant)
        switch = resolve(union.discriminant.type)
        is_enum = isinstance(switch, Named) and isinstance(switch.definition, Enum)
        for node in body.arms:
            field = None if is_void(node.declaration) else self._field(node.declaration)
            labels = tuple(filter(None, (self._label(value, is_enum) for value in node.labels)))
            if labels or not node.labels:  # else it would pass for the default arm
                union.arms.append(Arm(labels, field, node.at, self._doc(node.remarks, node.at)))

    def _label(self, value: tree.Value, is_enum: bool) -> Label | None:
        """One ``case``; those of an enum may be written unsigned, as its members may."""
        number = self._values.value(value)
        if number is None:
            return None
        if is_enum and INT_MAX < number <= UINT_MAX:
            number -= 2**32
        return Label(number, value.text, value.at)

    def _break_alias_cycles(self) -> None:
        """A typedef that leads back to itself has no type at all; nothing that follows could end on it."""
        for cycle in find_cycles([alias for alias, _ in self._aliases], _aliases_in):
            path = " -> ".join(alias.name for alias in [*cycle, cycle[0]])
            message = f"typedef '{cycle[0].name}' stands for itself: {path}"
            self._diagnostics.error(SemanticError(message, cycle[0].at))
            cycle[0].target = INT

    # When programs are built, too

    def check_tags(self) -> None:
        """``struct foo x`` where foo is none; a typedef of a struct passes, and so does RFC 1833's ``struct *foo``."""
        for reference in self._restated:
            if isinstance(named := self._scope.type(reference.name), Named):
                self.declarations.tagged.append((reference, named.definition))
        for reference, definition in self.declarations.tagged:
            target = resolve(Named(definition))
            if isinstance(target, Optional):
                target = resolve(target.element)
            kind = KINDS[type(target.definition)] if isinstance(target, Named) else "typedef"
            if kind != reference.tag:
                wanted = "an enum" if reference.tag == "enum" else f"a {reference.tag}"
                message = f"expected {wanted}, got {kind} '{definition.name}'"
                notes = [Note("defined here", definition.at)]
                self._diagnostics.error(SemanticError(message, reference.at, notes=notes))


def _heading(node: tree.EnumDefinition | tree.StructDefinition | tree.UnionDefinition) -> Heading:
    return Heading(node.name, node.at, node.remarks)


def _is_inline(declaration: Declaration) -> bool:
    return isinstance(declaration.type, tree.InlineEnum | tree.InlineStruct | tree.InlineUnion)


def _restated(declaration: Declaration) -> tree.TypeName | None:
    """``struct S`` in ``typedef struct S S``."""
    match declaration:
        case Declaration(type=tree.TypeName(name=name, tag=str()) as reference, form=Form.PLAIN):
            return reference if declaration.name and name.text == declaration.name.text else None
    return None


def _aliases_in(alias: Alias) -> list[Alias]:
    return [definition for definition in named_in(alias.target) if isinstance(definition, Alias)]


def _is_chain(struct: Struct) -> bool:
    """Whether the last field is an optional of the struct itself, perhaps by a typedef."""
    last = resolve(struct.fields[-1].type) if struct.fields else None
    return isinstance(last, Optional) and resolve(last.element) == Named(struct)
