"""The ``.x`` files of libvirt's own source package: they generate, and C made of them agrees with our protocols.

Only where the environment names the source, or asks for every interop test.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from bindings import Bindings, generate, import_all, type_check
from helpers import require
from interop.libvirt_source import source, wanted
from interop.pair import Pair, agree
from interop.peer import build, missing
from interop.sources import protocols
from strategies import drawn, for_all

from rpcgen.model import load

CONSTANTS = {
    "VIR_UUID_BUFLEN": 16,
    "VIR_SECURITY_MODEL_BUFLEN": 257,
    "VIR_SECURITY_LABEL_BUFLEN": 4097,
    "VIR_SECURITY_DOI_BUFLEN": 257,
    "VIR_TYPED_PARAM_INT": 1,
    "VIR_TYPED_PARAM_UINT": 2,
    "VIR_TYPED_PARAM_LLONG": 3,
    "VIR_TYPED_PARAM_ULLONG": 4,
    "VIR_TYPED_PARAM_DOUBLE": 5,
    "VIR_TYPED_PARAM_BOOLEAN": 6,
    "VIR_TYPED_PARAM_STRING": 7,
}
"""What the files name and do not define."""

COUNTERPARTS = [path for path in protocols() if path.stem != "libvirt_common"]
"""Our files but the one for what libvirt keeps in C headers."""

LARGE = ("remote_protocol", "qemu_protocol", "lxc_protocol")
"""The first, and what imports it: a minute's work for black, which adds nothing to the test."""

HEADERS = ("libvirt-host.h", "libvirt-common.h.in")
"""Where libvirt defines it."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """libvirt's ``.x`` files by stem, and its headers by name."""
    if not wanted():
        pytest.skip("RPCGEN_LIBVIRT_SOURCE does not name libvirt's source")
    root = source(tmp_path_factory.mktemp("libvirt"))
    found = {path.stem: path for path in root.glob("src/**/*.x")}
    return found | {name: root / "include/libvirt" / name for name in HEADERS}


WAYS: dict[str, Callable[[dict[str, Path]], list[str]]] = {
    "by value": lambda _: [
        part for name, value in CONSTANTS.items() for part in ("-D", f"{name}={value}")
    ],
    "by header": lambda files: [
        part for name in HEADERS for part in ("--constants", str(files[name]))
    ],
}
"""How a user gives the constants, as arguments."""


def run(files: dict[str, Path], command: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Our command, for all nine."""
    inputs = [str(path) for path in files.values() if path.suffix == ".x"]
    whole = [sys.executable, "-m", "rpcgen", command, *inputs, *options]
    return subprocess.run(whole, capture_output=True, text=True, check=False)


def test_without_the_constants_the_error_names_both_ways_to_give_them(
    files: dict[str, Path], tmp_path: Path
) -> None:
    done = run(files, "generate", "-o", str(tmp_path / "out"))
    assert done.returncode == 1
    assert re.search(r"remote_protocol\.x:\d+:\d+: error: .*VIR_UUID_BUFLEN", done.stderr)
    assert "-D VIR_UUID_BUFLEN=" in done.stderr
    assert "--constants" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("way", WAYS)
def test_both_ways_to_give_the_constants_work(
    way: str, files: dict[str, Path], tmp_path: Path
) -> None:
    done = run(files, "lint", *WAYS[way](files))
    assert done.returncode == 0, done.stderr
    small = {name: path for name, path in files.items() if name not in LARGE}
    done = run(small, "generate", "-o", str(tmp_path / "out"), *WAYS[way](files))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/log_protocol/server.py").exists()


def test_they_generate_import_and_type_check(files: dict[str, Path], tmp_path: Path) -> None:
    inputs = [str(path) for path in files.values() if path.suffix == ".x"]
    generate(load(inputs, constants=CONSTANTS), tmp_path, "of_libvirt")
    import_all(tmp_path, "of_libvirt")
    type_check(tmp_path, "of_libvirt")


def without_headers(_stem: str, text: str) -> str:
    """What libvirt's own headers declare is given by ``-D``; the other protocols' stay."""
    return re.sub(r"^%#include (?!.*_protocol\.h).*$", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("ours", COUNTERPARTS, ids=lambda path: path.stem)
def test_our_protocols_have_the_bytes_of_libvirts(
    ours: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    require(not missing(), missing())
    (mine,) = load([str(ours)])
    (original,) = load([str(files[ours.stem])], constants=CONSTANTS)
    shared = [one for one in mine.types if one.name in {other.name for other in original.types}]
    assert len(shared) == len(original.types)
    defines = [f"{name}={value}" for name, value in CONSTANTS.items()]
    with build(original, tmp_path, without_headers, defines) as theirs:
        pair = Pair(Bindings(mine, "libvirt_rpc"), theirs, shared)
        for_all(shared, drawn, partial(agree, pair))
