"""docs/rpcgen-users.1 names every action and every option of the command, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from rpcgen.runtime.auth.command import _parser

PAGE = (Path(__file__).parents[2] / "docs/rpcgen-users.1").read_text()


def test_actions_and_options_are_those_of_the_command() -> None:
    told = set(re.findall(r"--[a-z-]+", PAGE.replace("\\-", "-")))
    parser = _parser()
    (actions,) = parser._subparsers._group_actions  # type: ignore[union-attr]
    parsers = [parser, *actions.choices.values()]  # type: ignore[union-attr]
    given = {
        word
        for one in parsers
        for action in one._actions
        for word in action.option_strings
        if word.startswith("--")
    }
    assert told == given - {"--help"}
    for name in actions.choices or ():
        assert re.search(rf"^\.BI? {name}\b", PAGE, re.MULTILINE), name
