"""A scripted session with our lock daemon, every answer of it; the same that virtlockd is asked in tests/interop."""

from __future__ import annotations

from pathlib import Path

from lockd.script import SCRIPT, Stage

from rpcgen.examples.lockd.daemon import server_of
from rpcgen.examples.lockd.service import LockService


def test_the_script(tmp_path: Path) -> None:
    with server_of(LockService(), [f"unix://{tmp_path}/s"]) as server:
        (tmp_path / "stage").mkdir()
        with Stage(server.addresses[0], tmp_path / "stage") as stage:
            for scene, steps in SCRIPT.items():
                for step in steps:
                    outcome, _ = stage.act(step)
                    code = None if outcome is None else outcome["code"]
                    assert code == step[-1], (scene, step, outcome)
