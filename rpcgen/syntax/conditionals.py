"""``#if`` to ``#endif``: which regions of a file are read.

Whether a ``%`` line is kept is another question. C's rpcgen reads a file once for each kind of output,
with one of ``RPC_HDR``, ``RPC_XDR``, ``RPC_SVC``, ``RPC_CLNT``, ``RPC_TBL`` defined; we read it once, with
none. A ``%#include`` under ``#ifdef RPC_HDR`` is an import all the same, so the ``%`` lines of a region
are kept where nothing but conditions that name ``RPC_...`` alone make it inactive.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from rpcgen.errors import Diagnostics, LexicalError, Location, Note
from rpcgen.syntax.condition import ConditionError, evaluate
from rpcgen.syntax.directive import Directive, Macro

NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(slots=True)
class _Open:
    """One open ``#if``.

    Attributes:
        enclosing_active: whether the region around it is read.
        enclosing_keeps: whether ``%`` lines around it are kept.
        rpc_only: whether its conditions so far name nothing but ``RPC_...``.
        taken: whether one of its branches was.
    """

    at: Location
    enclosing_active: bool
    enclosing_keeps: bool
    rpc_only: bool
    taken: bool = False
    else_at: Location | None = None


class Conditionals:
    """The open conditionals of one file.

    Attributes:
        active: whether the current region is read.
        keeps: whether its ``%`` lines are kept.
        leave_open: the rest of the file is lost, and whatever closes them with it.
    """

    def __init__(self, macros: Mapping[str, Macro], diagnostics: Diagnostics) -> None:
        self.active = True
        self.keeps = True
        self.leave_open = False
        self._macros = macros
        self._diagnostics = diagnostics
        self._open: list[_Open] = []

    def handle(self, line: Directive) -> bool:
        """Obey a directive; whether it was a conditional one."""
        if handle := _HANDLERS.get(line.name):
            handle(self, line)
        return handle is not None

    def close(self) -> None:
        """Report what is still open at the end of the file."""
        for one in () if self.leave_open else self._open:
            self._error("expected #endif before end of file", one.at)

    def _if(self, line: Directive) -> None:
        self._enter(line, self.keeps and self._holds(line), _names_only_rpc(line.operand))

    def _ifdef(self, line: Directive) -> None:
        found = NAME.match(line.operand)
        if self.keeps and not found:
            self._error(f"expected a name after #{line.name}", line.operand_at())
        name = found[0] if found else ""
        self._enter(line, (name in self._macros) == (line.name == "ifdef"), _names_only_rpc(name))

    def _elif(self, line: Directive) -> None:
        if one := self._innermost(line):
            one.rpc_only = one.rpc_only and _names_only_rpc(line.operand)
            self._choose(one, one.enclosing_keeps and not one.taken and self._holds(line))

    def _else(self, line: Directive) -> None:
        if one := self._innermost(line):
            one.else_at = line.at
            self._choose(one, True)

    def _endif(self, line: Directive) -> None:
        if not self._open:
            self._error("#endif without #if", line.at)
            return
        one = self._open.pop()
        self.active, self.keeps = one.enclosing_active, one.enclosing_keeps

    def _enter(self, line: Directive, holds: bool, rpc_only: bool) -> None:
        self._open.append(_Open(line.at, self.active, self.keeps, rpc_only))
        self._choose(self._open[-1], holds)

    def _choose(self, one: _Open, holds: bool) -> None:
        """Begin a branch: the first that holds is read."""
        chosen = holds and not one.taken
        one.taken = one.taken or holds
        self.active = one.enclosing_active and chosen
        self.keeps = one.enclosing_keeps and (chosen or one.rpc_only)

    def _innermost(self, line: Directive) -> _Open | None:
        """The conditional that an ``#elif`` or ``#else`` continues."""
        if not self._open:
            self._error(f"#{line.name} without #if", line.at)
            return None
        if else_at := self._open[-1].else_at:
            self._error(f"#{line.name} after #else", line.at, [Note("#else is here", else_at)])
        return self._open[-1]

    def _holds(self, line: Directive) -> bool:
        try:
            return evaluate(line.operand, self._body)
        except ConditionError as error:
            self._error(error.message, line.operand_at(error.offset, error.width))
            return False

    def _body(self, name: str) -> str | None:
        return self._macros[name].body if name in self._macros else None

    def _error(self, message: str, at: Location, notes: Iterable[Note] = ()) -> None:
        self._diagnostics.error(LexicalError(message, at, notes=notes))


def _names_only_rpc(condition: str) -> bool:
    """Whether a condition asks for nothing but which of its outputs C's rpcgen is writing."""
    names = set(NAME.findall(condition)) - {"defined"}
    return bool(names) and all(name.startswith("RPC_") for name in names)


_HANDLERS: dict[str, Callable[[Conditionals, Directive], None]] = {
    "if": Conditionals._if,
    "ifdef": Conditionals._ifdef,
    "ifndef": Conditionals._ifdef,
    "elif": Conditionals._elif,
    "else": Conditionals._else,
    "endif": Conditionals._endif,
}
