"""The small built-in preprocessor: macros without arguments, ``#include``, conditionals, line markers.

Turns one file into the tokens that are left of it and of what it includes. Knows no grammar;
comments pass through untouched. What C's preprocessor does beyond this page (macros with arguments,
``##``, arithmetic in ``#if``) no ``.x`` file needs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rpcgen.errors import Diagnostics, LexicalError, Location, Note
from rpcgen.syntax.conditionals import NAME, Conditionals
from rpcgen.syntax.directive import Directive, Macro
from rpcgen.syntax.lexer import (
    COMMENT,
    DIRECTIVE,
    MALFORMED,
    OPEN_COMMENT,
    PASSTHROUGH,
    TRIVIA,
    Token,
    complaint,
    repaired,
    scan,
)
from rpcgen.syntax.source import Source, decode

MAX_INCLUDE_DEPTH = 64
"""Deeper is a cycle, whatever the names say. C's preprocessors stop at 200."""

MAX_INCLUDES = 1000
"""Two files that include each other twice double the work with every level."""

MAX_EXPANSIONS = 100_000
"""Macros made of macros made of macros grow without bound in a few lines."""

_DEFINITION = re.compile(r"([A-Za-z_]\w*)(\()?(.*)", re.ASCII | re.DOTALL)
_INCLUDED = re.compile(r'"([^"]+)"|<([^>]+)>')
_MARKER = re.compile(r'([0-9]{1,9})(?:\s+"([^"]*)")?', re.ASCII)
_NAME_SHOWN = 40


@dataclass(frozen=True, slots=True)
class _File:
    """One file being read; ``at`` is where it was included."""

    source: Source
    tokens: Iterator[Token]
    conditionals: Conditionals
    at: Location | None


class Preprocessor:
    """Reads one ``.x`` file.

    Attributes:
        included: the files that it included, in order.
    """

    def __init__(
        self, diagnostics: Diagnostics, include_path: Sequence[str], defines: Mapping[str, str]
    ) -> None:
        self.included: list[str] = []
        self._diagnostics = diagnostics
        self._include_path = include_path
        self._macros = {name: Macro(name, body, _cut(body), None) for name, body in defines.items()}
        self._files: list[_File] = []
        self._expansions = 0

    def read(self, source: Source) -> Iterator[Token]:
        """What is left of ``source`` for the parser: tokens, comments, ``%`` lines, directives as separators.

        Raises:
            LexicalError: a limit is exceeded and reading on makes no sense.
        """
        self._enter(source, None)
        while self._files:
            file = self._files[-1]
            for token in file.tokens:
                if token.type in TRIVIA:
                    yield from self._trivia(token, file.conditionals)
                    if self._files[-1] is not file:
                        break  # an #include: its tokens come first
                elif not file.conditionals.active:
                    continue
                elif token.text in self._macros:
                    yield from self._expand(token)
                else:
                    yield token
            else:
                file.conditionals.close()
                self._files.pop()

    def _enter(self, source: Source, at: Location | None) -> None:
        conditionals = Conditionals(self._macros, self._diagnostics)
        self._files.append(_File(source, scan(source), conditionals, at))

    def _trivia(self, token: Token, region: Conditionals) -> Iterator[Token]:
        """What becomes of a token that no production has."""
        if token.type == DIRECTIVE:
            self._obey(Directive(token), region)
            yield token
        elif token.type == PASSTHROUGH:
            if region.keeps:
                yield token
        elif token.type == COMMENT:
            if region.active:
                self._judge(token)
                yield token
        elif region.active or token.text == OPEN_COMMENT:
            self._diagnostics.error(complaint(token))
            region.leave_open = token.text == OPEN_COMMENT
            yield from repaired(token)

    def _judge(self, comment: Token) -> None:
        if comment.text.startswith("//"):
            self._diagnostics.tolerate("a // comment: RFC 4506 has /* */ only", comment.at)

    # Macros

    def _expand(self, use: Token) -> Iterator[Token]:
        """The tokens of a macro, at the place where its name stands. A name inside its own macro is left alone."""
        note = self._macros[use.text].note()
        bodies = {use.text: self._body(use, self._macros[use.text], note)}
        while bodies:
            name = next(reversed(bodies))
            for token in bodies[name]:
                self._count_expansion(use)
                if token.text in self._macros and token.text not in bodies:
                    bodies[token.text] = self._body(use, self._macros[token.text], note)
                    break
                yield token
            else:
                del bodies[name]

    def _body(self, use: Token, macro: Macro, note: Note) -> Iterator[Token]:
        self._count_expansion(use)
        if macro.has_parameters:
            self._error(f"{macro.name} takes arguments: expected a macro without", use.at, [note])
            return
        for token in macro.tokens:
            if token.type == MALFORMED:
                found = complaint(token)
                self._error(found.message, use.at, [note], found.hint)
            else:
                moved = Token(token.type, token.text, use.source, use.offset, use.width)
                moved.note = note
                yield moved

    def _count_expansion(self, use: Token) -> None:
        self._expansions += 1
        if self._expansions > MAX_EXPANSIONS:
            raise LexicalError(f"macros expand to more than {MAX_EXPANSIONS} tokens", use.at)

    # Directives

    def _obey(self, line: Directive, region: Conditionals) -> None:
        if not region.handle(line) and region.active:
            _DIRECTIVES.get(line.name, Preprocessor._unknown)(self, line)

    def _unknown(self, line: Directive) -> None:
        if line.name.isdecimal():
            self._mark(line, f"{line.name} {line.operand}")
        else:
            self._error(f"unknown directive #{line.name[:_NAME_SHOWN]}", line.at)

    def _pass_over(self, line: Directive) -> None:
        """A line that says nothing to us: ``#pragma``, ``#ident``."""

    def _empty(self, line: Directive) -> None:
        if line.operand:
            self._error("expected the name of a directive after #", line.at)

    def _complain(self, line: Directive) -> None:
        self._error(f"#error {line.operand}".rstrip(), line.at)

    def _warn(self, line: Directive) -> None:
        self._diagnostics.warn(f"#warning {line.operand}".rstrip(), line.at)

    def _line(self, line: Directive) -> None:
        self._mark(line, line.operand)

    def _mark(self, line: Directive, marker: str) -> None:
        """``#line 12 "f.x"``, or ``# 12 "f.x"`` as C's preprocessor writes it."""
        if found := _MARKER.match(marker):
            line.token.source.mark(line.token.end, int(found[1]), found[2])
        else:
            self._error('expected #line NUMBER "FILE"', line.at)

    def _define(self, line: Directive) -> None:
        found = _DEFINITION.match(line.operand)
        if found is None:
            self._error("expected a name after #define", line.operand_at())
            return
        name, body = found[1], found[3].strip()
        macro = Macro(name, body, _cut(body), line.operand_at(0, len(name)), bool(found[2]))
        known = self._macros.get(name, macro)
        if known.body != body:
            message = f"{name} is defined again, with another value"
            self._diagnostics.warn(message, macro.at, notes=[known.note()])
        self._macros[name] = macro

    def _undefine(self, line: Directive) -> None:
        if found := NAME.match(line.operand):
            self._macros.pop(found[0], None)
        else:
            self._error("expected a name after #undef", line.operand_at())

    # Inclusion

    def _include(self, line: Directive) -> None:
        found = _INCLUDED.match(line.operand)
        if found is None:
            self._error('expected "FILE" or <FILE> after #include', line.operand_at())
            return
        name, at = found[1] or found[2], line.operand_at(0, len(found[0]))
        path = self._look_up(name, beside=bool(found[1]))
        if path is not None:
            self._include_file(path, at)
        elif found[1]:
            self._error(f"cannot find {name}", at, (), "other folders are searched with -I")
        else:
            self._diagnostics.warn(f"<{name}> is passed over: no -I folder has it", at)

    def _look_up(self, name: str, beside: bool) -> str | None:
        folders = [os.path.dirname(self._files[-1].source.file)] if beside else []
        paths = (os.path.join(folder, name) for folder in [*folders, *self._include_path])
        return next(filter(os.path.isfile, paths), None)

    def _include_file(self, path: str, at: Location) -> None:
        try:
            with open(path, "rb") as stream:
                source = Source(decode(stream.read()), path)
        except OSError as error:
            self._error(f"cannot read {path}: {error.strerror}", at)
            return
        if self._admits(source, at):
            self.included.append(path)
            self._enter(source, at)

    def _admits(self, source: Source, at: Location) -> bool:
        """Whether a file may be included here: not inside itself, unless its own ``#ifndef`` would skip it all."""
        if len(self.included) >= MAX_INCLUDES or len(self._files) >= MAX_INCLUDE_DEPTH:
            raise LexicalError(
                f"more than {MAX_INCLUDES} files included, or {MAX_INCLUDE_DEPTH} inside each other",
                at,
            )
        real = os.path.realpath(source.file)
        names = [os.path.realpath(file.source.file) for file in self._files]
        if real not in names:
            return True
        if not self._is_guarded(source):
            chain = self._files[names.index(real) + 1 :]
            notes = [Note(f"{file.source.name} is included here", file.at) for file in chain]
            self._error(f"{source.name} includes itself", at, notes)
        return False

    def _is_guarded(self, source: Source) -> bool:
        first = next((token for token in scan(source) if token.type != COMMENT), None)
        if first is None or first.type != DIRECTIVE:
            return False
        line = Directive(first)
        return line.name == "ifndef" and line.operand in self._macros

    def _error(
        self, message: str, at: Location, notes: Iterable[Note] = (), hint: str | None = None
    ) -> None:
        self._diagnostics.error(LexicalError(message, at, notes=notes, hint=hint))


def _cut(body: str) -> tuple[Token, ...]:
    """The tokens of a macro's body."""
    return tuple(token for token in scan(Source(body, ""), fresh=False) if token.type != COMMENT)


_DIRECTIVES: dict[str, Callable[[Preprocessor, Directive], None]] = {
    "define": Preprocessor._define,
    "undef": Preprocessor._undefine,
    "include": Preprocessor._include,
    "line": Preprocessor._line,
    "error": Preprocessor._complain,
    "warning": Preprocessor._warn,
    "pragma": Preprocessor._pass_over,
    "ident": Preprocessor._pass_over,
    "": Preprocessor._empty,
}
