"""What is committed is what the generator writes, to the byte; and the test that says so can fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rpcgen.cli import main

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_generated_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["generate", "--check"]) == 0


CONFIG = """
[[tool.rpcgen.output]]
inputs = ["protocols/lock_protocol.x", "protocols/libvirt_common.x"]
directory = "generated/libvirt_rpc"
package = "libvirt_rpc"
"""

STEMS = ("lock_protocol", "libvirt_common")


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two of our protocols, as committed."""
    for stem in STEMS:
        (tmp_path / "protocols").mkdir(exist_ok=True)
        shutil.copy(ROOT / f"protocols/{stem}.x", tmp_path / "protocols")
        package = f"generated/libvirt_rpc/{stem}"
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("__init__.py", "py.typed"):
        shutil.copy(ROOT / "generated/libvirt_rpc" / name, tmp_path / "generated/libvirt_rpc")
    (tmp_path / "pyproject.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_unchanged_copy_is_current(copy: Path) -> None:
    assert main(["generate", "--check"]) == 0


@pytest.mark.parametrize("name", ["types.py", "decoder.py", ".rpcgen-record"])
def test_one_edited_byte_is_seen(copy: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    path = copy / "generated/libvirt_rpc/lock_protocol" / name
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    assert main(["generate", "--check"]) == 1
    assert f"generated/libvirt_rpc/lock_protocol/{name}" in capsys.readouterr().out


def test_an_edited_definition_is_seen(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copy / "protocols/libvirt_common.x"
    path.write_text(path.read_text().replace("VIR_UUID_BUFLEN = 16", "VIR_UUID_BUFLEN = 17"))
    assert main(["generate", "--check"]) == 1
    out = capsys.readouterr().out
    assert "generated/libvirt_rpc/libvirt_common/constants.py" in out
    assert "generated/libvirt_rpc/lock_protocol/types.py" in out, "it uses the constant"
