"""Pieces that productions build nodes from: declarators, bodies, labels, remarks.

They know tokens and nodes, and nothing of the order in which tokens may stand: that is ``grammar``'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from rpcgen.errors import GrammarError, Location
from rpcgen.syntax import tree
from rpcgen.syntax.lexer import Token
from rpcgen.syntax.stream import Stream


class Rule(Protocol):
    """What PLY hands to a production's function: itself at 0, its symbols from 1 on."""

    lexer: Stream
    parser: Any

    def __getitem__(self, n: int) -> Any: ...
    def __setitem__(self, n: int, value: Any) -> None: ...
    def __len__(self) -> int: ...
    def lexpos(self, n: int) -> Token: ...
    def lexspan(self, n: int) -> tuple[Token, Token]: ...


class Bounds(NamedTuple):
    form: tree.Form
    value: tree.Value | None
    at: Location


class Declarator(NamedTuple):
    name: tree.Name
    form: tree.Form = tree.Form.PLAIN
    bound: tree.Value | None = None
    extra: Location | None = None


class Body(NamedTuple):
    """What stands between braces, and the comments behind the opening one."""

    content: Any
    remarks: tuple[tree.Comment, ...]


class Labels(NamedTuple):
    values: list[tree.Value]
    at: Location
    before: list[tree.Comment]
    after: list[tree.Comment]


def name_of(token: Token) -> tree.Name:
    return tree.Name(token.text, token.at)


def remarks_of(first: Token, last: Token) -> tree.Remarks:
    if first.before or last.after:
        return tree.Remarks(first.before, last.after)
    return tree.NO_REMARKS


def body_of(p: Rule) -> Body:
    return Body(tuple(p[2]), p[1].after)


def body_remarks(p: Rule, body: int, last: int | None = None) -> tree.Remarks:
    """The comments before a definition, behind its opening brace, and behind its end."""
    before, behind = p.lexpos(1).before, p.lexspan(last or body)[1].after
    after = p[body].remarks + behind
    return tree.Remarks(before, after) if before or after else tree.NO_REMARKS


def declare(p: Rule, declarator: Declarator, star: Token | None) -> tree.Declaration:
    """``type_specifier declarator`` or ``type_specifier '*' declarator``."""
    form, pointer = declarator.form, None
    if star and form is tree.Form.PLAIN:
        form = tree.Form.OPTIONAL
    elif star:
        pointer = star.at
    remarks = remarks_of(p.lexpos(1), p.lexspan(len(p) - 1)[1])
    type_ = p[1]
    return tree.Declaration(
        type_, declarator.name, form, declarator.bound, type_.at, remarks, declarator.extra, pointer
    )


def declare_unnamed(
    type_: tree.TypeSpecifier, remarks: tree.Remarks = tree.NO_REMARKS, *, optional: bool = False
) -> tree.Declaration:
    form = tree.Form.OPTIONAL if optional else tree.Form.PLAIN
    return tree.Declaration(type_, None, form, None, type_.at, remarks)


def make_arm(labels: Labels, declaration: tree.Declaration) -> tree.UnionArm:
    """All comments around an arm are the arm's."""
    before = (*labels.before, *declaration.remarks.before)
    after = (*labels.after, *declaration.remarks.after)
    remarks = tree.Remarks(before, after) if before or after else tree.NO_REMARKS
    declaration = replace(declaration, remarks=tree.NO_REMARKS)
    return tree.UnionArm(tuple(labels.values), declaration, labels.at, remarks)


def tolerate(p: Rule, message: str, token: Token) -> None:
    p.lexer.diagnostics.tolerate(message, token.at)


def require_content(p: Rule, what: str) -> None:
    """Report ``{ }`` where the grammar could, but would then not tell a broken member from none."""
    if p[3].index == p[1].index + 1:
        p.lexer.diagnostics.error(GrammarError(f"expected {what} before '}}'", p[3].at))
