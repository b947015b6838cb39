"""The manual page: its options and signals are those that there are."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from rpcgen.examples.lockd.command import _parser
from rpcgen.examples.lockd.daemon import _Daemon, server_of
from rpcgen.examples.lockd.service import LockService

PAGE = Path(__file__).parents[2] / "docs" / "rpcgen-lockd.8"


def section(name: str) -> str:
    (found,) = re.findall(
        rf"^\.SH {name}\n(.*?)(?=^\.SH |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    return re.sub(r"\\f[A-Z]", "", str(found)).replace("\\-", "-")


def test_all_options_are_there_and_no_others() -> None:
    known = {name for action in _parser()._actions for name in action.option_strings}
    told = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", section("OPTIONS")))
    assert told == known - {"-h", "--help"}


def test_all_signals_are_there_and_no_others() -> None:
    service = LockService()
    daemon = _Daemon(service, server_of(service, []), None, "")
    handled = {signal.Signals(number).name for number in daemon._handlers} | {"SIGPIPE"}
    assert set(re.findall(r"SIG[A-Z0-9]+", section("SIGNALS"))) == handled
