"""The C programs of this folder, compiled when they are asked for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.processes import Missing

_SOURCES: Final = Path(__file__).parent
_COMMAND: Final = ("gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra")


def compiled(name: str, folder: Path) -> Path:
    """The program from ``<name>.c``, in a folder.

    Raises:
        Missing: there is no compiler.
    """
    if not shutil.which(_COMMAND[0]):
        raise Missing(f"{name}.c: no {_COMMAND[0]}")
    program = folder / name
    command = [*_COMMAND, "-o", str(program), str(_SOURCES / f"{name}.c")]
    subprocess.run(command, check=True)  # noqa: S603  (our own sources)
    return program
