"""All files or none: whatever fails, the folder is as it was and holds no temporaries."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rpcgen.emit import transaction
from rpcgen.emit.interrupts import interrupts_held
from rpcgen.emit.transaction import replace_files

OLD = {"a.py": b"old a\n", "b.py": b"old b\n", "c.py": b"old c\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in OLD.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def writes(folder: Path) -> dict[str, bytes]:
    return {str(folder / name): b"new\n" for name in ("a.py", "b.py", "deep/down/d.py")}


def test_writes_and_removes(folder: Path) -> None:
    replace_files(writes(folder), [str(folder / "c.py")])
    assert content(folder) == {"a.py": b"new\n", "b.py": b"new\n", "deep/down/d.py": b"new\n"}


def fail_at(count: int, failure: BaseException, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which fails when called for the count-th time."""
    calls = iter(range(1, 1_000))

    def failing(*arguments: Any, **options: Any) -> Any:
        if next(calls) == count:
            raise failure
        return function(*arguments, **options)

    return failing


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("fsync", FULL),
        ("fsync", KeyboardInterrupt()),
        ("replace", FULL),
        ("replace", KeyboardInterrupt()),
        ("link", KeyboardInterrupt()),
    ],
)
def test_is_undone_wherever_it_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, failure: BaseException, count: int
) -> None:
    monkeypatch.setattr(os, name, fail_at(count, failure, getattr(os, name)))
    with pytest.raises(type(failure)):
        replace_files(writes(folder), [str(folder / "c.py")])
    assert content(folder) == OLD
    assert not (folder / "deep").exists()


def test_an_interrupt_before_the_first_versions_go_undoes_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = fail_at(1, KeyboardInterrupt(), interrupts_held)
    monkeypatch.setattr(transaction, "interrupts_held", held)
    with pytest.raises(KeyboardInterrupt):
        replace_files(writes(folder), [str(folder / "c.py")])
    assert content(folder) == OLD
    assert not (folder / "deep").exists()


def test_a_folder_that_another_run_makes_first_is_as_good(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = os.mkdir

    def make_second(path: str) -> None:
        make(path)
        make(path)

    monkeypatch.setattr(os, "mkdir", make_second)
    replace_files(writes(folder))
    assert content(folder)["deep/down/d.py"] == b"new\n"


def test_removal_that_fails_is_undone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "unlink", fail_at(1, FULL, os.unlink))
    with pytest.raises(OSError, match="No space left") as caught:
        replace_files(writes(folder), [str(folder / "c.py")])
    assert caught.value.filename == str(folder / "c.py")
    assert content(folder) == OLD


def test_failure_names_the_file_and_not_its_temporary(folder: Path) -> None:
    (folder / "blocked").write_bytes(b"a file where a folder should be")
    path = str(folder / "blocked" / "a.py")
    with pytest.raises(OSError, match=r"exists|Not a directory") as caught:
        replace_files({**writes(folder), path: b"new"})
    assert caught.value.filename == path
    assert not (folder / "deep").exists()


def test_works_where_there_are_no_links(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", fail_always)
    monkeypatch.setattr(os, "replace", fail_at(3, FULL, os.replace))
    with pytest.raises(OSError, match="No space left"):
        replace_files(writes(folder))
    assert content(folder) == OLD


def fail_always(*arguments: object) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def test_keeps_the_mode_and_follows_a_link(folder: Path) -> None:
    (folder / "a.py").chmod(0o640)
    (folder / "link.py").symlink_to("b.py")
    replace_files({str(folder / "a.py"): b"new\n", str(folder / "link.py"): b"through\n"})
    assert (folder / "a.py").stat().st_mode & 0o777 == 0o640
    assert (folder / "link.py").is_symlink()
    assert (folder / "b.py").read_bytes() == b"through\n"
