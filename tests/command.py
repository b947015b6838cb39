"""What a test sees of a run of the command."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol


class Result(NamedTuple):
    status: int
    out: str
    err: str


class Command(Protocol):
    """Runs the command in the test's own process."""

    def __call__(self, *arguments: str) -> Result: ...


class Process(Protocol):
    """Runs the command in a process of its own, after one line of Python and with environment variables."""

    def __call__(self, *arguments: str, before: str = "", **variables: str) -> Result: ...


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
