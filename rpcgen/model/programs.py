"""RFC 5531's ``program { version { procedure } }`` -> one ``Program`` for each version.

libvirt's dialect, which has no such block, is in ``libvirt``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, count

from rpcgen.errors import Diagnostics, SemanticError
from rpcgen.model.annotations import NO_KEYS, PROCEDURE_KEYS, split, understand
from rpcgen.model.declarations import Declarations, is_void
from rpcgen.model.scope import Scope, Unique
from rpcgen.model.types import Module, Named, Procedure, Program, Struct, Type
from rpcgen.model.values import Values
from rpcgen.syntax import tree
from rpcgen.syntax.tree import Declaration, ProcedureDefinition, VersionDefinition


class Programs:
    """Builds ``module.programs`` from program blocks; the types of the module are finished."""

    def __init__(
        self,
        module: Module,
        scope: Scope,
        values: Values,
        declarations: Declarations,
        diagnostics: Diagnostics,
    ) -> None:
        self._module = module
        self._scope = scope
        self._values = values
        self._declarations = declarations
        self._diagnostics = diagnostics

    def build(self, nodes: Sequence[tree.Definition]) -> None:
        for node in nodes:
            if isinstance(node, tree.ProgramDefinition):
                self._program(node)

    def _program(self, node: tree.ProgramDefinition) -> None:
        number = self._values.number(node.number, "program number")
        doc = self._doc(node)
        names, numbers = Unique(self._diagnostics), Unique(self._diagnostics)
        for version in node.versions:
            names.add(version.name.text, f"version '{version.name.text}'", version.name.at)
            value = self._values.number(version.number, "version number")
            if value is not None:
                numbers.add(value, f"version {value}", version.number.at)
            described = "\n\n".join(filter(None, [doc, self._doc(version)]))
            self._module.programs.append(
                Program(
                    node.name.text,
                    number or 0,
                    version.name.text,
                    value or 0,
                    "block",
                    version.name.at,
                    described,
                    self._procedures(version),
                )
            )

    def _procedures(self, version: VersionDefinition) -> list[Procedure]:
        names, numbers = Unique(self._diagnostics), Unique(self._diagnostics)
        procedures = []
        for node in version.procedures:
            names.add(node.name.text, f"procedure '{node.name.text}'", node.name.at)
            number = self._values.number(node.number, "procedure number")
            if number is not None:
                numbers.add(number, f"procedure {number}", node.number.at)
            procedures.append(self._procedure(node, number or 0, version.name.text))
        return procedures

    def _procedure(self, node: ProcedureDefinition, number: int, version: str) -> Procedure:
        name = node.name.text
        doc, pairs = split(node.remarks, node.at, PROCEDURE_KEYS, self._diagnostics)
        understood = understand(pairs, self._values.known, self._diagnostics)
        result = None if is_void(node.result) else self._type(node.result)
        if understood.event and result is not None:
            message = f"expected a void result of event '{name}': nobody answers a message"
            self._diagnostics.error(SemanticError(message, node.result.type.at))
        argument = self._argument(node, version)
        parameter = _name_of_single(node.arguments)
        return Procedure(
            name, name, number, argument, result, node.name.at, doc, understood, parameter
        )

    def _argument(self, node: ProcedureDefinition, version: str) -> Type | None:
        match node.arguments:
            case ():
                return None
            case (one,):
                return self._type(one)
        return Named(self._implicit_struct(node, version))

    def _type(self, declaration: Declaration) -> Type | None:
        return self._declarations.type(declaration, is_bare=True)

    def _implicit_struct(self, node: ProcedureDefinition, version: str) -> Struct:
        """Several arguments travel one after the other, as the fields of a struct do."""
        fields, names = [], Unique(self._diagnostics)
        for position, declaration in enumerate(node.arguments, 1):
            field = self._declarations.field(declaration, unnamed=f"arg{position}", is_bare=True)
            names.add(field.name, f"argument '{field.name}'", field.at)
            fields.append(field)
        name = next(filter(self._scope.is_free, _struct_names(node.name.text, version)))
        struct = Struct(name, node.name.at, self._module.stem, fields=fields, implicit=True)
        self._scope.declare("struct", tree.Name(name, node.name.at))
        self._module.types.append(struct)
        return struct

    def _doc(self, node: tree.ProgramDefinition | VersionDefinition) -> str:
        return split(node.remarks, node.at, NO_KEYS, self._diagnostics)[0]


def _name_of_single(arguments: Sequence[Declaration]) -> str:
    match arguments:
        case (Declaration(name=tree.Name(text=text)),):
            return text
    return ""


def _struct_names(procedure: str, version: str) -> Iterator[str]:
    """Names for the struct of a procedure's arguments, best first: a version may repeat a procedure of another one."""
    numbered = (f"{procedure}_{version}_args_{number}" for number in count(2))
    return chain([f"{procedure}_args", f"{procedure}_{version}_args"], numbered)
