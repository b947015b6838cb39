"""``rpcgen demo`` does what it prints, also without the generator's packages, and says what is in its way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_WITHOUT = "import sys; sys.modules.update(ply=None, jinja2=None, black=None)"
_DEMO = f"{_WITHOUT}\nfrom rpcgen.cli import main\nsys.exit(main(['demo']))"


def demo(before: str = "", **environment: str) -> subprocess.CompletedProcess[Any]:
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{before}\n{_DEMO}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )


def test_the_demonstration_runs_without_the_generators_packages() -> None:
    done = demo()
    assert done.stderr == ""
    assert done.returncode == 0
    for text in (
        "hello.txt: 18 bytes",
        "'nothing' is not there (FILER_NOT_FOUND)",
        "1000 replies",
        "hello.txt is gone",
        "hi.txt changed",
        "upload   [##############################] 100 %",
        "download [##############################] 100 %",
        "what came back is the same",
    ):
        assert text in done.stdout
    assert done.stdout.endswith("Done.\n")


def test_nobody_has_to_see_it() -> None:
    done = demo("import os; os.close(1); import sys; sys.stdout = None")
    assert (done.returncode, done.stderr) == (0, "")


def test_no_room_for_the_path_of_its_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    done = demo(TMPDIR=str(folder))
    assert done.returncode == 1
    assert done.stderr.startswith("rpcgen: error: 'unix://")
    assert done.stderr.count("\n") == 1
    assert list(folder.iterdir()) == []


def test_no_room_on_the_disk(tmp_path: Path) -> None:
    small = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)"
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))"
    done = demo(f"{small}; {limit}", TMPDIR=str(tmp_path))
    assert done.returncode == 1
    assert "rpcgen: error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
