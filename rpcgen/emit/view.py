"""What the templates for constants, types and codecs are given: complete before rendering.

Texts here are names, hints, comments and expressions; statements are the templates'.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rpcgen.emit import names
from rpcgen.emit.decode_steps import Decoder, EachDecoder
from rpcgen.emit.decoding import Decoding
from rpcgen.emit.encode_steps import EachEncoder, Encoder
from rpcgen.emit.encoding import Encoding
from rpcgen.emit.facts import Facts
from rpcgen.emit.hints import Hints
from rpcgen.emit.imports import ImportView, import_order
from rpcgen.emit.naming import Naming
from rpcgen.emit.shape_view import ShapeView
from rpcgen.model.types import (
    Alias,
    Arm,
    Enum,
    Field,
    Member,
    Module,
    Named,
    Primitive,
    Struct,
    Type,
    TypeDefinition,
    Union,
    named_in,
    parts,
    resolve,
)

COMMENT_WIDTH = 96
"""Where comments are wrapped, their margin not counted."""


@dataclass(slots=True)
class ConstantView:
    """One line of ``constants``."""

    name: str
    value: str
    spelling: str
    comment: list[str]


@dataclass(slots=True)
class MemberView:
    """One member of an enum; ``spelling`` where it is not the name."""

    name: str
    value: int
    spelling: str
    comment: list[str]


@dataclass(slots=True)
class EnumView:
    """One enum."""

    cls: str
    doc: str
    members: list[MemberView]


@dataclass(slots=True)
class FieldView:
    """One attribute of a class."""

    name: str
    hint: str
    spelling: str
    comment: list[str]


@dataclass(slots=True)
class ClassView:
    """A struct, or one arm of a union with its fixed discriminant."""

    cls: str
    doc: str
    fields: list[FieldView]
    constant: tuple[str, str] | None = None

    @property
    def slots(self) -> str:
        """The tuple of attribute names."""
        names = [f'"{field.name}"' for field in self.fields]
        return f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"

    @property
    def parameters(self) -> str:
        """The parameters of the constructor behind ``self``."""
        return ", ".join(f"{field.name}: {field.hint}" for field in self.fields)


@dataclass(slots=True)
class AliasView:
    """A name for a type: a typedef, or a union of its arms."""

    name: str
    value: str
    comment: list[str]


SHAPES = ImportView("rpcgen.runtime.shapes", ["Shapes"])
BUFFER = ImportView("rpcgen.runtime.xdr", ["Buffer"])


@dataclass(slots=True)
class ModuleView:
    """Everything about one ``.x`` file but its programs."""

    file: str
    doc: str
    package: str
    constants: list[ConstantView]
    enums: list[EnumView]
    definitions: list[list[ClassView | AliasView]]
    shapes: list[tuple[str, str]]
    shape_imports: list[str]
    hint_imports: list[ImportView]
    encoders: list[Encoder]
    each_encoders: list[EachEncoder]
    encoding: Encoding
    encoder_imports: list[list[ImportView]]
    encoder_hints: list[ImportView]
    decoders: list[Decoder]
    each_decoders: list[EachDecoder]
    decoding: Decoding
    decoder_imports: list[list[ImportView]]
    decoder_hints: list[ImportView]

    @property
    def classes(self) -> bool:
        """Whether there is a struct or a union."""
        return any(isinstance(one, ClassView) for views in self.definitions for one in views)

    @property
    def aliases(self) -> bool:
        """Whether there is a typedef or a union."""
        return any(isinstance(one, AliasView) for views in self.definitions for one in views)


def module_view(module: Module, naming: Naming) -> ModuleView:
    """The view of one module."""
    facts = Facts(module)
    type_hints, encoder_hints, decoder_hints = Hints(naming), Hints(naming), Hints(naming)
    definitions = _Definitions(naming, type_hints)
    shapes = ShapeView(naming, facts)
    encoding = Encoding(naming, facts, encoder_hints)
    decoding = Decoding(naming, facts, decoder_hints, _payloads(module))
    encoders = [encoding.encoder(one, _word(one)) for one in module.types]
    decoders = [decoding.decoder(one, _word(one)) for one in module.types]
    imports = _Imports(naming)
    return ModuleView(
        file=names.file_label(module.stem),
        doc=module.doc,
        package=naming.package_of(module.stem),
        constants=_constants(module, naming),
        enums=[definitions.enum(one) for one in module.types if isinstance(one, Enum)],
        definitions=[definitions.of(one) for one in module.types if not isinstance(one, Enum)],
        shapes=[(one.name, shapes.row(one)) for one in module.types],
        shape_imports=[naming.package_of(stem) for stem in _foreign(module)],
        hint_imports=imports.of(type_hints.classes, "types", foreign=True, also=[SHAPES]),
        encoders=encoders,
        each_encoders=encoding.each,
        encoding=encoding,
        encoder_imports=imports.blocks(
            encoding.uses.classes, encoding.uses.functions, "encoder", encoding.uses.imported
        ),
        encoder_hints=imports.of(encoder_hints.classes - encoding.uses.classes, "types"),
        decoders=decoders,
        each_decoders=decoding.each,
        decoding=decoding,
        decoder_imports=imports.blocks(
            decoding.uses.classes, decoding.uses.functions, "decoder", decoding.uses.imported
        ),
        decoder_hints=imports.of(
            decoder_hints.classes - decoding.uses.classes, "types", also=[BUFFER]
        ),
    )


def _foreign(module: Module) -> list[str]:
    """The stems of the modules whose types this one's types and procedures name."""
    types = [type_ for definition in module.types for type_ in parts(definition)]
    types += _payload_types(module)
    return sorted({one.module for type_ in types for one in named_in(type_)} - {module.stem})


def _payload_types(module: Module) -> list[Type]:
    """What the procedures take and return."""
    procedures = [one for program in module.programs for one in program.procedures]
    return [type_ for one in procedures for type_ in (one.argument, one.result) if type_]


def _payloads(module: Module) -> set[TypeDefinition]:
    """The types that are the argument or result of a procedure."""
    types = _payload_types(module)
    return {type_.definition for type_ in types if isinstance(type_, Named)}


class _Imports:
    """Turns sets of (stem, name) into import lines."""

    def __init__(self, naming: Naming) -> None:
        self._naming = naming

    def of(
        self,
        wanted: Iterable[tuple[str, str]],
        module: str,
        *,
        foreign: bool = False,
        also: Sequence[ImportView] = (),
    ) -> list[ImportView]:
        by_stem: dict[str, set[str]] = {}
        for stem, name in wanted:
            if not (foreign and stem == self._naming.module.stem):
                by_stem.setdefault(stem, set()).add(name)
        lines = [
            ImportView(f"{self._naming.package_of(stem)}.{module}", sorted(names, key=import_order))
            for stem, names in by_stem.items()
        ]
        return sorted([*lines, *also], key=lambda line: line.module)

    def blocks(
        self,
        classes: set[tuple[str, str]],
        functions: set[tuple[str, str]],
        codec: str,
        uses: Iterable[tuple[str, str]],
    ) -> list[list[ImportView]]:
        """The imports of a codec module: the standard library's, then the others, each sorted."""
        shapes = {(self._naming.module.stem, "SHAPES")}
        lines = self.of(classes | shapes, "types") + self.of(functions, codec)
        named: dict[str, set[str]] = {}
        for module, name in uses:
            named.setdefault(module, set()).add(name)
        lines += [
            ImportView(module, sorted(found, key=import_order)) for module, found in named.items()
        ]
        lines.sort(key=lambda line: line.module)
        standard = [line for line in lines if line.module in {"itertools", "struct"}]
        others = [line for line in lines if line not in standard]
        return [block for block in (standard, others) if block]


class _Definitions:
    """The classes and aliases of the ``types`` module."""

    def __init__(self, naming: Naming, hints: Hints) -> None:
        self._naming = naming
        self._hints = hints

    def enum(self, definition: Enum) -> EnumView:
        return EnumView(
            self._naming.type(definition),
            _doc(definition, f"enum {definition.name} ({names.file_label(definition.module)})."),
            [self._member(definition, one) for one in definition.members],
        )

    def _member(self, owner: Enum, member: Member) -> MemberView:
        name = self._naming.member(owner, member)
        spelling = member.name if member.name != name else ""
        return MemberView(name, member.value, spelling, comment(member.doc))

    def of(self, definition: TypeDefinition) -> list[ClassView | AliasView]:
        match definition:
            case Struct():
                return [self._struct(definition)]
            case Union():
                return [
                    *(self._arm(definition, arm) for arm in definition.arms),
                    self._sum(definition),
                ]
            case Alias():
                return [self._alias(definition)]
            case Enum():
                return []

    def _struct(self, definition: Struct) -> ClassView:
        head = f"struct {definition.name} ({names.file_label(definition.module)})."
        if definition.implicit:
            head = f"The arguments {definition.name} ({names.file_label(definition.module)})."
        fields = [self._field(definition, one) for one in definition.fields]
        return ClassView(self._naming.type(definition), _doc(definition, head), fields)

    def _field(self, owner: TypeDefinition, field: Field) -> FieldView:
        return FieldView(
            self._naming.field(owner, field),
            self._hints.of(field.type),
            field.spelling,
            comment(field.doc),
        )

    def _arm(self, union: Union, arm: Arm) -> ClassView:
        fields = [self._field(union, arm.field)] if arm.field else []
        discriminant = self._naming.discriminant(union)
        constant = None
        if len(arm.labels) == 1:
            constant = discriminant, self._label(union, arm)
        else:
            hint = self._hints.of(union.discriminant.type)
            fields.insert(0, FieldView(discriminant, hint, union.discriminant.spelling, []))
        cases = ", ".join(label.spelling for label in arm.labels)
        head = f"union {union.name}, {'case ' + cases if cases else 'default'} ({names.file_label(union.module)})."
        doc = f"{head}\n\n{arm.doc}" if arm.doc else head
        return ClassView(self._naming.arm(union, arm), doc, fields, constant)

    def _label(self, union: Union, arm: Arm) -> str:
        """The discriminant of an arm as Python writes it."""
        value = arm.labels[0].value
        match resolve(union.discriminant.type):
            case Primitive(name="bool"):
                return str(bool(value))
            case Named(definition=Enum() as enum):
                return self._member_of(enum, value)
            case _:
                return str(value)

    def _member_of(self, enum: Enum, value: int) -> str:
        """A member by its value; a plain number where an open enum has no name for it."""
        cls = self._naming.type(enum)
        if not self._naming.is_local(enum):
            cls = f"{self._naming.package_of(enum.module)}.types.{cls}"
        named = (self._naming.member(enum, one) for one in enum.members if one.value == value)
        return next((f"{cls}.{name}" for name in named), str(value))

    def _sum(self, union: Union) -> AliasView:
        arms = [self._naming.arm(union, arm) for arm in union.arms]
        lines = comment(
            f"union {union.name} ({names.file_label(union.module)}).\n\n{union.doc}".strip()
        )
        return AliasView(self._naming.type(union), " | ".join(arms), lines)

    def _alias(self, definition: Alias) -> AliasView:
        hint = self._hints.of(definition.target)
        value = hint if hint in {"int", "bool", "float", "bytes", "str"} else f'"{hint}"'
        head = f"typedef {definition.spelling} ({names.file_label(definition.module)})."
        lines = comment(f"{head}\n\n{definition.doc}".strip())
        return AliasView(self._naming.type(definition), value, lines)


def _constants(module: Module, naming: Naming) -> list[ConstantView]:
    views = []
    for one in module.constants:
        name = naming.constant(one)
        spelling = one.spelling if one.spelling != json.dumps(one.value) else ""
        if name != one.name:
            spelling = f"{one.name} = {one.spelling}"
        views.append(ConstantView(name, json.dumps(one.value), spelling, comment(one.doc)))
    return views


def comment(doc: str) -> list[str]:
    """The lines of a comment, wrapped, without ``#``; a paragraph break is an empty line."""
    lines: list[str] = []
    for paragraph in doc.split("\n"):
        lines += textwrap.wrap(paragraph, COMMENT_WIDTH, break_on_hyphens=False) or [""]
    return lines if doc.strip() else []


def _doc(definition: TypeDefinition, head: str) -> str:
    """A class docstring: what it is in the ``.x`` file, then the prose that stands there."""
    return f"{head}\n\n{definition.doc}" if definition.doc else head


def _word(definition: TypeDefinition) -> str:
    """How the ``.x`` file calls the kind of a definition."""
    match definition:
        case Struct(implicit=True):
            return "arguments"
        case Struct():
            return "struct"
        case Union():
            return "union"
        case Enum():
            return "enum"
        case Alias():
            return "typedef"
