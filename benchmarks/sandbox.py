"""A copy of both packages with its compiled files, and child processes that use nothing else.

Compiled files are part of what is measured, and a developer's environment may forbid writing
them. Nothing is measured here.
"""

from __future__ import annotations

import compileall
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import libvirt_rpc
import rpcgen


class Sandbox:
    """A folder with both packages, compiled.

    Attributes:
        folder: what lies in it besides is the caller's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._packages = folder / "packages"
        for package in (rpcgen, libvirt_rpc):
            source = Path(package.__path__[0])
            shutil.copytree(
                source, self._packages / source.name, ignore=shutil.ignore_patterns("__pycache__")
            )
        compileall.compile_dir(self._packages, quiet=1)

    def wall(self, arguments: Sequence[str]) -> float:
        """Seconds that the interpreter runs with these arguments."""
        started = time.perf_counter()
        self._run(arguments)
        return time.perf_counter() - started

    def cpu(self, arguments: Sequence[str]) -> float:
        """Seconds of processor time that it takes, start and end of the process included."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._run(arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    def _run(self, arguments: Sequence[str]) -> None:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
        }
        environment |= {
            "PYTHONPATH": str(self._packages),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }
        subprocess.run(  # noqa: S603  (this interpreter, our own arguments)
            [sys.executable, *arguments],
            env=environment,
            cwd=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A sandbox in a temporary folder."""
    with TemporaryDirectory() as folder:
        yield Sandbox(Path(folder))
