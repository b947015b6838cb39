"""The manual page: its options and signals are those that there are."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from lockd.actors import Connected
from lockd.test_lockd_reexec import running

from rpcgen.examples.lockd.command import _parser

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


def test_all_signals_are_there_and_no_others(tmp_path: Path) -> None:
    """The kernel knows which ones the daemon catches and ignores."""
    with running(tmp_path) as daemon, Connected(daemon.address) as client:
        assert client.do("create_lockspace", "") is None
        status = Path(f"/proc/{daemon.process.pid}/status").read_text()
        assert daemon.stop() == 0
    masks = [
        int(mask, 16) for mask in re.findall(r"^Sig(?:Cgt|Ign):\t(\w+)$", status, re.MULTILINE)
    ]
    found = {one.name for one in signal.Signals if any(mask >> one - 1 & 1 for mask in masks)}
    # Python ignores that one in every program, so that writing fails with an error.
    assert set(re.findall(r"SIG[A-Z0-9]+", section("SIGNALS"))) == found - {"SIGXFSZ"}
