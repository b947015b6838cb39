"""The Python of docs/process.md does what the page says; and the package stands alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from process.kit import ROOT, run

PAGE = (ROOT / "docs/process.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

NAMES = """
import sys
from rpcgen.runtime import process
for name in process.__all__:
    getattr(process, name)
ours = {name for name in sys.modules if name.startswith(("rpcgen", "libvirt_rpc"))}
below = {f"rpcgen.runtime.{name}" for name in ("errors", "exports")}
for name in sorted(ours - below - {"rpcgen", "rpcgen.runtime"}):
    print(name)
print(*sorted({"asyncio", "ssl", "socket"} & set(sys.modules)))
"""


@pytest.mark.parametrize("source", EXAMPLES)
def test_an_example_runs(source: str, tmp_path: Path) -> None:
    assert run(source.replace("/run/", f"{tmp_path}/")) == ""


def test_all_names_are_there_and_bring_nothing_of_rpc() -> None:
    *modules, others = run(NAMES).splitlines()
    assert all(name.startswith("rpcgen.runtime.process") for name in modules)
    assert "asyncio" not in others
    assert "ssl" not in others


def test_one_name_brings_only_what_it_needs() -> None:
    source = "import sys; from rpcgen.runtime.process import file_lock; print(*sys.modules)"
    loaded = set(run(source).split())
    assert not loaded & {"asyncio", "ssl", "socket", "logging", "subprocess", "json"}
    assert "rpcgen.runtime.process.signals" not in loaded
