"""libvirt's form of a program: two constants and a procedure enum, joined by name to structs.

``X_PROGRAM``, ``X_PROTOCOL_VERSION`` (or ``X_PROGRAM_VERSION``) and an enum ``...procedure`` with members
``X_PROC_NAME`` make a program; the structs of a procedure are those called ``x_name_args``,
``x_name_ret`` and ``x_name_msg``, compared by letters alone. The result is the same ``Program`` that
``programs`` makes of a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rpcgen.errors import Diagnostics, Note, SemanticError
from rpcgen.model.annotations import PROCEDURE_KEYS, split, understand
from rpcgen.model.definitions import EnumDraft
from rpcgen.model.scope import Scope, Unique
from rpcgen.model.types import (
    Member,
    Module,
    Named,
    Procedure,
    Program,
    Struct,
    named_in,
    parts,
)
from rpcgen.model.values import INT_MAX, Values
from rpcgen.syntax.tree import EnumMember, Name

_VERSIONS = ("_PROTOCOL_VERSION", "_PROGRAM_VERSION")
_ROLES = ("args", "ret", "msg")


@dataclass(frozen=True, slots=True)
class _Family:
    """What belongs to one prefix."""

    prefix: str
    program: Name
    version: Name
    procedures: EnumDraft


class EnumPrograms:
    """Builds ``module.programs`` from procedure enums; the types of the module are finished."""

    def __init__(
        self, module: Module, scope: Scope, values: Values, diagnostics: Diagnostics
    ) -> None:
        self._module = module
        self._scope = scope
        self._values = values
        self._diagnostics = diagnostics
        self._structs: dict[str, Struct] = {}
        self._joined: set[Struct] = set()

    def build(self, enums: Sequence[EnumDraft]) -> None:
        candidates = [draft for draft in enums if _is_procedure_enum(draft)]
        families = [family for draft in candidates if (family := self._family(draft))]
        if families:
            self._index_structs()
            self._module.programs.extend(map(self._program, families))
            self._warn_of_unjoined(families)

    def _family(self, draft: EnumDraft) -> _Family | None:
        """The constants that go with a procedure enum."""
        enum = draft.definition
        first = next(member.name for member in enum.members if "_PROC_" in member.name)
        prefix = first.partition("_PROC_")[0]
        known = {one.name: Name(one.name, one.at) for one in self._module.constants if one.at}
        program = known.get(f"{prefix}_PROGRAM")
        version = next((known[name] for end in _VERSIONS if (name := prefix + end) in known), None)
        if program and version:
            return _Family(prefix, program, version, draft)
        if not self._scope.damaged:
            message = (
                f"enum '{enum.name}' has procedures, but their program has no number or no version"
            )
            wanted = (
                f"'{prefix}_PROGRAM' and '{prefix}_PROTOCOL_VERSION' or '{prefix}_PROGRAM_VERSION'"
            )
            self._diagnostics.warn(message, enum.at, hint=f"expected the constants {wanted}")
        return None

    def _index_structs(self) -> None:
        """Structs by letters; two that letters cannot tell apart are an error where a procedure could mean either."""
        for struct in (one for one in self._module.types if isinstance(one, Struct)):
            key = _letters(struct.name)
            first = self._structs.setdefault(key, struct)
            if first is not struct and key.endswith(_ROLES):
                message = f"struct '{struct.name}' differs from '{first.name}' only in case and underscores"
                notes = [Note("first defined here", first.at)]
                self._diagnostics.error(SemanticError(message, struct.at, notes=notes))

    def _program(self, family: _Family) -> Program:
        docs = {one.name: one.doc for one in self._module.constants}
        return Program(
            family.program.text,
            self._values.number(family.program, "program number") or 0,
            family.version.text,
            self._values.number(family.version, "version number") or 0,
            "enum",
            family.program.at,
            docs.get(family.program.text) or family.procedures.definition.doc,
            list(self._procedures(family)),
        )

    def _procedures(self, family: _Family) -> Iterator[Procedure]:
        names, numbers = Unique(self._diagnostics), Unique(self._diagnostics)
        draft, start = family.procedures, f"{family.prefix}_PROC_"
        for member, node in zip(draft.definition.members, draft.members, strict=True):
            label = member.name.removeprefix(start)
            if label == member.name:
                message = f"'{label}' is no procedure: expected a name that begins with '{start}'"
                self._diagnostics.warn(message, member.at)
                continue
            names.add(_letters(label), f"procedure '{member.name}', by letters alone,", member.at)
            numbers.add(member.value, f"procedure {member.value}", member.at)
            yield self._procedure(member, node, label, family.prefix + label)

    def _procedure(self, member: Member, node: EnumMember, label: str, stem: str) -> Procedure:
        if member.value < 0:
            message = f"expected a procedure number from 0 to {INT_MAX}, got {member.value}"
            self._diagnostics.error(SemanticError(message, member.at))
        _, pairs = split(node.remarks, node.at, PROCEDURE_KEYS, self._diagnostics)
        understood = understand(pairs, self._values.known, self._diagnostics)
        args, ret, msg = (self._join(stem + role) for role in _ROLES)
        if msg or understood.event:
            self._check_event(node, args if msg else None, ret)
            understood = replace(understood, event=True)
        argument = Named(body) if (body := msg or args) else None
        result = Named(ret) if ret else None
        return Procedure(
            member.name, label, member.value, argument, result, member.at, member.doc, understood
        )

    def _join(self, name: str) -> Struct | None:
        struct = self._structs.get(_letters(name))
        if struct:
            self._joined.add(struct)
        return struct

    def _check_event(self, node: EnumMember, args: Struct | None, ret: Struct | None) -> None:
        """A message has one body and no answer."""
        for struct, why in (
            (args, "the body of a message is its '_msg' struct"),
            (ret, "nobody answers a message"),
        ):
            if struct:
                message = f"'{node.name.text}' is an event and cannot have '{struct.name}': {why}"
                notes = [Note("defined here", struct.at)]
                self._diagnostics.error(SemanticError(message, node.name.at, notes=notes))

    def _warn_of_unjoined(self, families: Sequence[_Family]) -> None:
        """A struct that looks like the payload of a procedure and is used by nothing is likely misspelled."""
        if self._scope.damaged:
            return
        fine = {
            one
            for definition in self._module.types
            for part in parts(definition)
            for one in named_in(part)
        }
        fine |= self._joined
        prefixes = tuple(_letters(family.prefix) for family in families)
        for key, struct in self._structs.items():
            if key.startswith(prefixes) and key.endswith(_ROLES) and struct not in fine:
                self._diagnostics.warn(f"struct '{struct.name}' belongs to no procedure", struct.at)


def _is_procedure_enum(draft: EnumDraft) -> bool:
    ends = draft.definition.name.lower().endswith("procedure")
    return ends and any("_PROC_" in member.name for member in draft.definition.members)


def _letters(name: str) -> str:
    return name.replace("_", "").lower()
