"""What a type checker makes of the generated code: coverage of unions, exact types, no escape through Any."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from bindings import generate, type_check

from rpcgen.model import load

ROOT = Path(__file__).parents[2]

MATCH = """
from typing import assert_never
from libvirt_rpc.remote_protocol.types import *  # noqa: F403
from libvirt_rpc.remote_protocol import types as t

def text(value: t.RemoteTypedParamValue) -> str:
    match value:
        case t.RemoteTypedParamValueVirTypedParamInt(i):
            return str(i + 1)
        case t.RemoteTypedParamValueVirTypedParamUint(ui):
            return str(ui + 1)
        case t.RemoteTypedParamValueVirTypedParamLlong(l):
            return str(l + 1)
        case t.RemoteTypedParamValueVirTypedParamUllong(ul):
            return str(ul + 1)
        case t.RemoteTypedParamValueVirTypedParamDouble(d):
            return str(d + 0.5)
        case t.RemoteTypedParamValueVirTypedParamBoolean(b):
            return str(b + 1)
        case t.RemoteTypedParamValueVirTypedParamString(s):
            return s.upper()
        case _:
            assert_never(value)
"""

SAMPLES = """
from typing import assert_type
from libvirt_rpc.remote_protocol.constants import REMOTE_PROGRAM
from libvirt_rpc.remote_protocol.decoder import decode_remote_nonnull_domain, read_remote_string
from libvirt_rpc.remote_protocol.encoder import encode_remote_nonnull_domain
from libvirt_rpc.remote_protocol.types import RemoteNonnullDomain, RemoteNonnullDomainSnapshot
from libvirt_rpc.virnetprotocol.types import VirNetMessageHeader, VirNetMessageType
from rpcgen.runtime.values import replace

domain = decode_remote_nonnull_domain(b"")
assert_type(domain, RemoteNonnullDomain)
assert_type(domain.uuid, bytes)
assert_type(RemoteNonnullDomainSnapshot("s", domain).dom.id, int)
assert_type(read_remote_string(memoryview(b""), 0), tuple[str | None, int])
assert_type(encode_remote_nonnull_domain(domain), bytes)
assert_type(replace(domain, id=-1), RemoteNonnullDomain)

def of(header: VirNetMessageHeader) -> None:
    assert_type(header.type, VirNetMessageType | int)

REMOTE_PROGRAM + 1
"""

WRONG = {
    "field": ("domain.uuuid", "attr-defined"),
    "argument": ('RemoteNonnullDomain(b"name", b"", 1)', "arg-type"),
    "missing": ('RemoteNonnullDomain("name")', "call-arg"),
    "assignment": ("domain.id = None", "assignment"),
    "encoder": ('encode_remote_nonnull_domain("domain")', "arg-type"),
    "constant": ("import libvirt_rpc.remote_protocol.constants as c\nc.REMOTE_PROGRAM = 1", "misc"),
}


def mypy(source: str, folder: Path) -> str:
    """What ``mypy --strict`` prints about a program of the user's."""
    file = folder / "sample.py"
    file.write_text(source)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"]
    command += [f"--cache-dir={folder / 'cache'}", str(file)]
    environment = {"MYPYPATH": f"{ROOT}:{ROOT / 'generated'}", "PATH": ""}
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode in (0, 1), result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder, and so one cache, for all samples."""
    return tmp_path_factory.mktemp("typing")


def test_a_match_over_all_arms_is_complete(folder: Path) -> None:
    assert mypy(MATCH, folder) == ""


def test_an_arm_left_out_of_a_match_is_noticed(folder: Path) -> None:
    arm = MATCH.index("        case t.RemoteTypedParamValueVirTypedParamDouble")
    without = MATCH[:arm] + MATCH[MATCH.index("        case", arm + 8) :]
    printed = mypy(without, folder)
    assert "RemoteTypedParamValueVirTypedParamDouble" in printed
    assert 'Argument 1 to "assert_never" has incompatible type' in printed


def test_the_types_are_the_exact_ones(folder: Path) -> None:
    assert mypy(SAMPLES, folder) == ""


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_use_is_noticed(case: str, folder: Path) -> None:
    line, code = WRONG[case]
    assert f"[{code}]" in mypy(f"{SAMPLES}\n{line}\n", folder)


def test_every_good_spec_passes(tmp_path: Path) -> None:
    specs = sorted((ROOT / "tests/specs/good").glob("*.x"))
    generate(load([str(spec) for spec in specs]), tmp_path, "made")
    type_check(tmp_path, "made")
