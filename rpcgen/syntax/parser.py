"""PLY's parser for the grammar: built once, run once for each file."""

from __future__ import annotations

from copy import copy
from functools import lru_cache
from typing import Any

from ply import yacc  # type: ignore[import-untyped]

from rpcgen.syntax import grammar
from rpcgen.syntax.recovery import Recovery
from rpcgen.syntax.stream import Stream
from rpcgen.syntax.tree import Definition


@lru_cache(maxsize=1)
def tables() -> Any:
    """The parser with its tables, which take 10 ms: a file of tables would need a place to be written."""
    parser = yacc.yacc(
        module=grammar,
        start="specification",
        debug=False,
        write_tables=False,
        check_recursion=False,
        errorlog=yacc.NullLogger(),
    )
    # What can only be reduced is reduced before the next token is looked at: an error then finds whole
    # things on the stack, and never state 0, from where PLY does not recover.
    for state, actions in parser.action.items():
        action, *others = set(actions.values())
        if action < 0 and not others:
            parser.defaulted_states[state] = action
    return parser


def read(stream: Stream) -> list[tuple[int, Definition]]:
    """The definitions of a file, each with the index of its first token."""
    parser = copy(tables())  # PLY keeps the state of a parse in the parser
    parser.errorfunc = Recovery(parser, stream)
    found = parser.parse(lexer=stream, tracking=True)
    if (
        found is None
    ):  # given up at the end of the file; what was read is at the bottom of the stack
        found = parser.symstack[1].value
    return list(found)
