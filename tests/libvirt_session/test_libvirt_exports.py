"""The public names of the session: all there, and none imported before it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rpcgen import libvirt

ROOTS = [str(Path(__file__).parents[2] / folder) for folder in (".", "generated")]


@pytest.mark.parametrize("name", libvirt.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(libvirt, name) is not None
    assert name in dir(libvirt)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'rpcgen\.libvirt' has no attribute 'Nothing'"):
        _ = libvirt.Nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("what", "spared"),
    [
        ("rpcgen.libvirt", ("libvirt_rpc", "rpcgen.runtime.", "rpcgen.libvirt.")),
        ("rpcgen.libvirt.uri", ("libvirt_rpc", "asyncio")),
        ("rpcgen.libvirt.session", ("asyncio", "libvirt_rpc.qemu", "libvirt_rpc.lxc")),
    ],
)
def test_nothing_is_imported_in_vain(what: str, spared: tuple[str, ...]) -> None:
    code = f"import sys; sys.path += {ROOTS}; import {what}; print(*sys.modules)"
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    brought = set(done.stdout.split()) - {"rpcgen.runtime.exports"}
    assert {name for name in brought if name.startswith(spared)} == set()
