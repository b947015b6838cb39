"""``rpcgen demo`` does what it prints, also without the generator's packages."""

from __future__ import annotations

import os
import subprocess
import sys


def test_the_demonstration_runs_without_the_generators_packages() -> None:
    without = "import sys; sys.modules.update(ply=None, jinja2=None, black=None)"
    code = f"{without}\nfrom rpcgen.cli import main\nsys.exit(main(['demo']))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
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
