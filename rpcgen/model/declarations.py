"""One declaration of the tree -> a type of the model, its spelling, and the errors of form that RFC 4506 knows.

Which forms a keyword type may take is the table below; names are looked up in ``scope``, bounds in
``values``. What a finished type may be used for is checked in ``check``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rpcgen.errors import Diagnostics, SemanticError
from rpcgen.model import types
from rpcgen.model.scope import Scope
from rpcgen.model.types import (
    UNBOUNDED,
    Array,
    CharArray,
    Field,
    Named,
    Opaque,
    Optional,
    Primitive,
    String,
    Type,
    TypeDefinition,
)
from rpcgen.model.values import Values
from rpcgen.syntax.tree import (
    Builtin,
    Declaration,
    Form,
    Name,
    TypeName,
    TypeSpecifier,
)

_NUMBERS = (
    types.INT,
    types.UNSIGNED_INT,
    types.HYPER,
    types.UNSIGNED_HYPER,
    types.SHORT,
    types.UNSIGNED_SHORT,
    types.CHAR,
    types.UNSIGNED_CHAR,
    types.LONG,
    types.UNSIGNED_LONG,
    types.FLOAT,
    types.DOUBLE,
    types.BOOL,
)
_KEYWORDS: dict[str, Type] = {
    "quadruple": Opaque(16, fixed=True),
    **{one.name: one for one in _NUMBERS},
}

_SIGNED_CHARS = {"char": True, "unsigned char": False, "u_char": False}
"""Spellings whose arrays are text; ``int8_t`` and ``uint8_t`` are numbers and make ordinary arrays."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a declaration has no meaning, and what to write instead."""

    message: str
    hint: str


_ARRAY_OF_ARRAYS = _Refusal(
    "expected one pair of brackets after '{name}', got a second one",
    "write 'typedef T row[N];' and then 'row {name}[M]'",
)
_ARRAY_OF_OPTIONALS = _Refusal(
    "expected either '*' or brackets for '{name}', got both",
    "write 'typedef T *item;' and then 'item {name}<N>'",
)
_BARE_OPAQUE = _Refusal(
    "expected a typedef of opaque as argument or result, got opaque",
    "write 'typedef opaque bytes<>;' and then 'bytes'",
)
_BARE = {"string": None, "opaque": _BARE_OPAQUE}
"""Keywords that a procedure has without brackets, and what is wrong with it."""

_REFUSED: Mapping[tuple[str, Form], _Refusal] = {
    ("string", Form.PLAIN): _Refusal(
        "expected '<N>' or '<>' after string '{name}'",
        "write 'string {name}<N>' or 'string {name}<>'",
    ),
    ("string", Form.FIXED): _Refusal(
        "expected '<N>' or '<>' after string '{name}', got '[...]'",
        "write 'string {name}<N>', or 'opaque {name}[N]' for bytes",
    ),
    ("string", Form.OPTIONAL): _Refusal(
        "expected '<N>' or '<>' after string, got '*{name}'",
        "write 'typedef string text<>;' and then 'text *{name}'",
    ),
    ("opaque", Form.PLAIN): _Refusal(
        "expected '[N]', '<N>' or '<>' after opaque '{name}'",
        "write 'opaque {name}[N]' or 'opaque {name}<>'",
    ),
    ("opaque", Form.OPTIONAL): _Refusal(
        "expected '[N]', '<N>' or '<>' after opaque, got '*{name}'",
        "write 'typedef opaque bytes<>;' and then 'bytes *{name}'",
    ),
    **dict.fromkeys(
        (("void", form) for form in Form),
        _Refusal(
            "expected a type, got void",
            "void stands for no argument, no result, no value of a union",
        ),
    ),
}


class Declarations:
    """Turns the declarations of one file into types.

    Args:
        inline: the definitions that inline types have become, by the identity of their node.
    """

    def __init__(
        self,
        scope: Scope,
        values: Values,
        diagnostics: Diagnostics,
        inline: Mapping[int, TypeDefinition],
    ) -> None:
        self._scope = scope
        self._values = values
        self._diagnostics = diagnostics
        self._inline = inline
        self.tagged: list[tuple[TypeName, TypeDefinition]] = []
        """References such as ``struct foo``, to be compared with what ``foo`` is once typedefs are known."""

    def field(
        self, declaration: Declaration, doc: str = "", *, unnamed: str = "", is_bare: bool = False
    ) -> Field:
        """A declaration as a field; a type that could not be understood, with an error, becomes ``int``.

        Args:
            unnamed: the name of a field whose declaration has none.
            is_bare: see ``type``.
        """
        name = declaration.name or Name(unnamed, declaration.at)
        type_ = self.type(declaration, is_bare=is_bare) or types.INT
        return Field(name.text, type_, name.at, doc, self.spelling(declaration))

    def type(self, declaration: Declaration, *, is_bare: bool = False) -> Type | None:
        """The type; None, with an error, where the form has no meaning. ``is_bare``: it may lack its brackets."""
        if self._is_refused(declaration, is_bare):
            return None
        length = self._length(declaration)
        keyword = _keyword(declaration.type)
        if keyword == "string":
            return None if length is None else String(length)
        if keyword == "opaque":
            return None if length is None else Opaque(length, declaration.form is Form.FIXED)
        base = self._base(declaration.type)
        return None if length is None or base is None else _repeated(base, declaration, length)

    def spelling(self, declaration: Declaration) -> str:
        """The declaration in one line, as the file writes it."""
        name = declaration.name.text if declaration.name else ""
        bound = declaration.bound.text if declaration.bound else ""
        shape = {
            Form.PLAIN: name,
            Form.FIXED: f"{name}[{bound}]",
            Form.VARIABLE: f"{name}<{bound}>",
            Form.OPTIONAL: f"*{name}",
        }[declaration.form]
        return f"{self._type_text(declaration.type)} {shape}".rstrip()

    def _type_text(self, specifier: TypeSpecifier) -> str:
        match specifier:
            case Builtin(name=name):
                return name
            case TypeName(name=name_, tag=tag):
                return f"{tag} {name_.text}" if tag else name_.text
        return self._inline[id(specifier)].name

    def _is_refused(self, declaration: Declaration, is_bare: bool) -> bool:
        """Whether a declaration has no meaning, with an error; a bare string or opaque is one of a procedure."""
        keyword = _keyword(declaration.type)
        refusal, at = _REFUSED.get((keyword, declaration.form)), declaration.type.at
        if is_bare and declaration.form is Form.PLAIN:
            refusal = _BARE.get(keyword, refusal)
        if declaration.pointer:
            refusal, at = _ARRAY_OF_OPTIONALS, declaration.pointer
        if declaration.extra:
            refusal, at = _ARRAY_OF_ARRAYS, declaration.extra
        if refusal is None:
            return False
        name = declaration.name.text if declaration.name else ""
        message, hint = refusal.message.format(name=name), refusal.hint.format(name=name)
        self._diagnostics.error(SemanticError(message, at, hint=hint))
        return True

    def _length(self, declaration: Declaration) -> int | None:
        """The number between the brackets; None, with an error, where it is none."""
        return self._values.number(declaration.bound, "length") if declaration.bound else UNBOUNDED

    def _base(self, specifier: TypeSpecifier) -> Type | None:
        """The type before brackets or ``*`` are applied."""
        match specifier:
            case Builtin(name=name):
                return _KEYWORDS[name]
            case TypeName(name=name_):
                found = self._scope.type(name_)
                if specifier.tag and isinstance(found, Named):
                    self.tagged.append((specifier, found.definition))
                return found
        return Named(self._inline[id(specifier)])


def is_void(declaration: Declaration) -> bool:
    """Whether a declaration is ``void`` and nothing else."""
    match declaration:
        case Declaration(type=Builtin(name="void"), name=None):
            return True
    return False


def _repeated(base: Type, declaration: Declaration, length: int) -> Type:
    match declaration.form:
        case Form.PLAIN:
            return base
        case Form.OPTIONAL:
            return Optional(base)
    fixed = declaration.form is Form.FIXED
    signed = _SIGNED_CHARS.get(_keyword(declaration.type))
    if signed is None or not isinstance(base, Primitive):
        return Array(base, length, fixed)
    return CharArray(length, fixed, signed)


def _keyword(specifier: TypeSpecifier) -> str:
    """The name of a type as the file writes it; empty for an inline one."""
    match specifier:
        case Builtin(name=name) | TypeName(name=Name(text=name)):
            return name
    return ""
