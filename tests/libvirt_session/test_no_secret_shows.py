"""Nothing that a process says of itself has a password in it: logs, errors with frames, objects, pickles."""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

pytest.importorskip("scramp", reason="not installed: scramp")

from raw import DEADLINE

PASSWORD = "Xyzzy-plugh-42"  # noqa: S105  (of nobody)
PROGRAM = Path(__file__).with_name("talkative.py")

Said = tuple[str, str]
"""What a process wrote to its standard output, and to its standard error."""


def run(folder: Path, mechanism: str, *, good: bool) -> Said:
    done = subprocess.run(
        [sys.executable, PROGRAM, folder, mechanism, str(int(good))],
        input=f"{PASSWORD}\n",
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        env={**os.environ, "PYTHONPATH": str(PROGRAM.parent.parent)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, done.stderr


def shapes() -> list[str]:
    """A password as it might be found, after zeros have been taken out."""
    data = PASSWORD.encode()
    whole = b"\0fred\0" + data
    return [PASSWORD, data.hex(), *(b64encode(one).decode().rstrip("=") for one in (data, whole))]


def without_zeros(text: str) -> str:
    """An array of chars has three of them before each."""
    return text.replace("\\x00", "").replace("\0", "").replace("\\0", "")


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN"])
@pytest.mark.parametrize("good", [True, False])
def test_nothing_shows_the_password(mechanism: str, good: bool, tmp_path: Path) -> None:
    out, err = run(tmp_path, mechanism, good=good)
    assert out.count("<in>") == (2 if good else 0)
    assert ("the server refuses" in out) is not good
    assert ("is 'fred' by SASL" in err) is good
    assert out.count("<Secret>") > 5  # it was looked at
    assert "FrameReader object" in out or not good
    for shape in shapes():
        found = [line for line in without_zeros(out + err).split("\n") if shape in line]
        assert found == []


def test_nobody_keeps_it(tmp_path: Path) -> None:
    """After a login no object of ours holds it, but for what the caller has, and what was received.

    A server's buffer has what a client sent by PLAIN until something else overwrites it.
    """
    out, _ = run(tmp_path, "SCRAM-SHA-256", good=True)
    assert held(out) <= {"SecretText of Secret"}
    (tmp_path / "users").unlink()
    out, _ = run(tmp_path, "PLAIN", good=True)
    buffers = {"bytearray of FrameReader", "memoryview of FrameReader"}
    assert held(out) <= buffers | {"SecretText of Secret"}


def held(out: str) -> set[str]:
    return {line.removeprefix("held: ") for line in out.split("\n") if line.startswith("held: ")}


def test_the_search_finds() -> None:
    """What the other tests look for would be found."""
    data = PASSWORD.encode()
    words = b"".join(one.to_bytes(4, "big") for one in data)
    login = b"\0fred\0" + data
    for shown in repr(words), repr(data), repr(PASSWORD), repr(login), b64encode(login).decode():
        assert any(shape in without_zeros(shown) for shape in shapes())
