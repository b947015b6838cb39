"""The Python name of everything in one module, with renames applied, and the collisions found.

``names`` has the rules for one spelling; here stands what needs the whole module: renames,
which package a type comes from, and two spellings that end up as one name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rpcgen.emit import names
from rpcgen.errors import Diagnostics, Location, Note, SemanticError
from rpcgen.model.types import (
    Arm,
    Constant,
    Enum,
    Field,
    Member,
    Module,
    Named,
    Procedure,
    Program,
    Struct,
    TypeDefinition,
    Union,
    resolve,
)


class Naming:
    """Names for one module and for what it imports.

    Args:
        module: the model of one ``.x`` file.
        package: the dotted package that holds one package per ``.x`` file; may be empty.
        rename: see ``names.renamed``.
    """

    def __init__(self, module: Module, package: str, rename: Mapping[str, str]) -> None:
        self.module = module
        self.package = package
        self._rename = rename

    def package_of(self, stem: str) -> str:
        """The dotted package generated from the ``.x`` file of that stem."""
        return (
            f"{self.package}.{names.module_name(stem)}" if self.package else names.module_name(stem)
        )

    def is_local(self, definition: TypeDefinition) -> bool:
        """Whether the type is defined in this module, not in an imported one."""
        return definition.module == self.module.stem

    def type(self, definition: TypeDefinition) -> str:
        """The class or alias of a type."""
        return names.type_name(self._spelling(definition.name))

    def function(self, definition: TypeDefinition) -> str:
        """What follows ``encode_``, ``decode_`` and ``read_``."""
        return names.value_name(self._spelling(definition.name)).rstrip("_") or "_"

    def field(self, owner: TypeDefinition, field: Field) -> str:
        """An attribute of a struct's class, or of an arm's."""
        return names.value_name(names.renamed(field.name, self._rename, owner.name))

    def parameter(self, owner: TypeDefinition, field: Field, *, event: bool = False) -> str:
        """A field as a parameter of a stub."""
        spelling = names.renamed(field.name, self._rename, owner.name)
        return names.parameter_name(spelling, event=event)

    def member(self, owner: Enum, member: Member) -> str:
        """A member of an enum."""
        return names.member_name(names.renamed(member.name, self._rename, owner.name))

    def constant(self, constant: Constant) -> str:
        """A constant of the ``constants`` module."""
        return names.constant_name(self._spelling(constant.name))

    def discriminant(self, union: Union) -> str:
        """The attribute that tells the arm; it gives way to an arm's field of the same name."""
        name = self.field(union, union.discriminant)
        fields = {self.field(union, arm.field) for arm in union.arms if arm.field}
        return name + "_" if name in fields else name

    def arm(self, union: Union, arm: Arm) -> str:
        """The class of one arm."""
        if arm.is_default:
            return self.type(union) + "Default"
        return self.type(union) + names.arm_suffix(arm.labels[0].spelling)

    def program(self, program: Program) -> str:
        """The stem of ``...Client`` and ``...Server``.

        The program's constant names it in libvirt's dialect, the version in RFC 5531's, and
        both where two programs of the file share a version's name.
        """
        return "".join(map(names.program_name, self._program_spellings(program)))

    def program_row(self, program: Program) -> str:
        """The variable of a program in the ``program`` module."""
        return names.row_name("_".join(self._program_spellings(program)))

    def row(self, program: Program, procedure: Procedure) -> str:
        """The variable of a procedure's row; versions may share the names of procedures."""
        if program.dialect == "enum":
            return names.row_name(procedure.name)
        return names.row_name("_".join([*self._program_spellings(program), procedure.name]))

    def _program_spellings(self, program: Program) -> list[str]:
        if program.dialect == "enum":
            return [self._spelling(program.name)]
        version = self._spelling(program.version_name)
        sharers = [p for p in self.module.programs if p.version_name == program.version_name]
        shared = len({p.name for p in sharers}) > 1
        return [self._spelling(program.name), version] if shared else [version]

    def procedure(self, procedure: Procedure) -> str:
        """The method of a procedure, or what follows ``on_`` and ``send_`` for an event."""
        if procedure.name in self._rename:
            return names.value_name(self._rename[procedure.name])
        return names.value_name(procedure.label)

    def check(self, diagnostics: Diagnostics) -> None:
        """Record an error for every two ``.x`` names that become one Python name in one scope."""
        reported: set[tuple[str, str]] = set()
        for scope in self._scopes():
            seen: dict[str, tuple[str, Location | None]] = {}
            for python, spelling, at in scope:
                first, place = seen.setdefault(python, (spelling, at))
                if first != spelling and (first, spelling) not in reported:
                    reported.add((first, spelling))
                    diagnostics.error(_collision(python, spelling, at, first, place))

    def _scopes(self) -> Iterator[Iterable[tuple[str, str, Location | None]]]:
        yield ((self.constant(c), c.name, c.at) for c in self.module.constants)
        yield self._classes()
        yield ((self.function(d), d.name, d.at) for d in self.module.types)
        for definition in self.module.types:
            match definition:
                case Struct(fields=fields):
                    yield (
                        (self.field(definition, f), f"{definition.name}.{f.name}", f.at)
                        for f in fields
                    )
                case Enum(members=members):
                    yield (
                        (self.member(definition, m), f"{definition.name}.{m.name}", m.at)
                        for m in members
                    )
        yield from self._program_scopes()

    def _program_scopes(self) -> Iterator[Iterable[tuple[str, str, Location | None]]]:
        yield self._rows()
        yield self._clients()
        arguments: dict[Struct, bool] = {}
        for program in self.module.programs:
            yield self._methods(program)
            for procedure in program.procedures:
                match procedure.argument and resolve(procedure.argument):
                    case Named(definition=Struct() as struct):
                        event = procedure.annotations.event
                        arguments[struct] = arguments.get(struct, False) or event
        yield from (self._parameters(struct, event) for struct, event in arguments.items())

    def _rows(self) -> Iterator[tuple[str, str, Location | None]]:
        for program in self.module.programs:
            yield self.program_row(program), _full_name(program), program.at
            for procedure in program.procedures:
                spelling = f"{_full_name(program)} {procedure.name}"
                yield self.row(program, procedure), spelling, procedure.at

    def _clients(self) -> Iterator[tuple[str, str, Location | None]]:
        for program in self.module.programs:
            for prefix in ("", "Async"):
                yield f"{prefix}{self.program(program)}Client", _full_name(program), program.at

    def _methods(self, program: Program) -> Iterator[tuple[str, str, Location | None]]:
        for procedure in program.procedures:
            for prefix in ("on_", "send_") if procedure.annotations.event else ("",):
                yield prefix + self.procedure(procedure), procedure.name, procedure.at

    def _parameters(
        self, struct: Struct, event: bool
    ) -> Iterator[tuple[str, str, Location | None]]:
        """Parameters that meet where the fields do not: ``call``, say, gives way and meets ``call_``."""
        if len({self.field(struct, one) for one in struct.fields}) == len(struct.fields):
            for one in struct.fields:
                spelling = f"{struct.name}.{one.name}"
                yield self.parameter(struct, one, event=event), spelling, one.at

    def _classes(self) -> Iterator[tuple[str, str, Location | None]]:
        for definition in self.module.types:
            yield self.type(definition), definition.name, definition.at
            if isinstance(definition, Union):
                for arm in definition.arms:
                    label = arm.labels[0].spelling if arm.labels else "default"
                    yield self.arm(definition, arm), f"{definition.name} case {label}", arm.at

    def _spelling(self, name: str) -> str:
        return names.renamed(name, self._rename)


def _full_name(program: Program) -> str:
    return f"{program.name} {program.version_name}"


def _collision(
    python: str, spelling: str, at: Location | None, first: str, first_at: Location | None
) -> SemanticError:
    return SemanticError(
        f"'{spelling}' and '{first}' both become '{python}' in Python",
        at,
        notes=[Note(f"'{first}' is here", first_at)],
        hint=f'give one of them another name: [tool.rpcgen.rename] "{spelling}" = "..."',
    )
