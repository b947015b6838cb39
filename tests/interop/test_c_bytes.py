"""C decides whether our bytes are right: Debian's ``rpcgen`` and libtirpc read and write every type."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from bindings import Bindings, everything, generate, importable
from helpers import require
from hypothesis import strategies as st
from interop.pair import Pair, agree, judge
from interop.peer import CompileError, Peer, Prepare, build, missing
from interop.plain import plain
from interop.sources import (
    CONSTANTS,
    NOT_IN_C,
    REPAIRED,
    examples,
    protocols,
    repaired,
    specs,
    system,
)
from strategies import damaged, drawn, edges, for_all, overlong

from rpcgen.model import load
from rpcgen.model import types as t
from rpcgen.runtime.errors import XdrDecodeError, XdrEncodeError

UNCHANGED = [*system(), *protocols()]
OWN = [path for path in [*examples(), *specs()] if path.stem not in NOT_IN_C]
REFUSED = [path for path in [*system(), *specs()] if path.stem in REPAIRED | NOT_IN_C.keys()]


def name_of(path: Path) -> str:
    """What a test is called after its file."""
    return f"{path.parent.name}/{path.stem}"


@pytest.fixture(scope="module", params=[*UNCHANGED, *OWN], ids=name_of)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """The file's bindings, freshly generated, and its C program."""
    path: Path = request.param
    module, folder = opened(path), tmp_path_factory.mktemp(path.stem)
    generate([module], folder, "made_for_c")
    make = build if path in UNCHANGED else build_somehow
    with make(module, folder, repaired) as theirs, importable(folder, "made_for_c"):
        yield Pair(Bindings(module, "made_for_c"), theirs, module.types)


def opened(path: Path) -> t.Module:
    """The model of a file, where there is one and C's tools are there."""
    require(not missing(), missing())
    require(path.exists(), f"{path} is not installed")
    (module,) = load([str(path)], constants=CONSTANTS)
    return module


def build_somehow(module: t.Module, folder: Path, prepare: Prepare) -> Peer:
    """The program of a file as it is, or in the plainest form where C's tools do not take it."""
    by_stem = {one.stem: one for one in everything([module])}
    try:
        return build(module, folder, prepare)
    except CompileError:
        return build(module, folder, lambda stem, _text: plain(by_stem[stem]))


def test_both_write_the_same_bytes_and_read_each_others(pair: Pair) -> None:
    for definition in pair.types:
        for value in edges(definition):
            agree(pair, definition, value)
    for_all(pair.types, drawn, partial(agree, pair))


def test_both_refuse_what_is_too_long(pair: Pair) -> None:
    for definition in pair.types:
        for value in overlong(definition):
            assert pair.theirs.encode(definition, value) is None
            with pytest.raises(XdrEncodeError):
                pair.ours.encode(definition)(pair.ours.to_python(t.Named(definition), value))


def test_both_refuse_truncated_bytes(pair: Pair) -> None:
    for definition in pair.types:
        wire = pair.wire(definition, edges(definition)[-1])
        for length in range(0, len(wire), max(1, len(wire) // 40)):
            assert pair.theirs.decode(definition, wire[:length]) is None
            with pytest.raises(XdrDecodeError) as refusal:
                pair.ours.decode(definition)(wire[:length])
            assert 0 <= refusal.value.offset <= length


def test_both_judge_damaged_bytes_alike(pair: Pair) -> None:
    def wrong(definition: t.TypeDefinition) -> st.SearchStrategy[bytes]:
        return drawn(definition).map(partial(pair.wire, definition)).flatmap(damaged)

    for_all(pair.types, wrong, partial(judge, pair))


@pytest.mark.parametrize("path", REFUSED, ids=name_of)
def test_c_does_not_take_these_as_they_are(path: Path, tmp_path: Path) -> None:
    module = opened(path)
    with pytest.raises(CompileError):
        build(module, tmp_path, lambda _stem, text: text)
