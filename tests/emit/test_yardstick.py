"""The straight-line codecs and the slow walk are two implementations of one language: they agree."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bindings import Bindings
from hypothesis import strategies as st
from neutral import Neutral
from strategies import damaged, drawn, edges, for_all

from rpcgen.model import load
from rpcgen.model import types as t
from rpcgen.runtime.errors import XdrDecodeError
from rpcgen.runtime.reader import walk_decode
from rpcgen.runtime.writer import walk_encode

if TYPE_CHECKING:
    from rpcgen.runtime.shapes import Shapes

ROOT = Path(__file__).parents[2]
PROTOCOLS = sorted((ROOT / "protocols").glob("*.x"))


@pytest.fixture(scope="module", params=PROTOCOLS, ids=lambda path: path.stem)
def bindings(request: pytest.FixtureRequest) -> Bindings:
    """The committed bindings of one protocol."""
    (module,) = load([str(request.param)])
    return Bindings(module, "libvirt_rpc")


@pytest.fixture(scope="module")
def shapes(bindings: Bindings) -> Shapes:
    """The type table of the module."""
    name = f"libvirt_rpc.{bindings.module.stem}.types"
    table: Shapes = importlib.import_module(name).SHAPES
    return table


def test_the_same_bytes(bindings: Bindings, shapes: Shapes) -> None:
    def check(definition: t.TypeDefinition, value: Neutral) -> None:
        built = bindings.to_python(t.Named(definition), value)
        data = bindings.encode(definition)(built)
        assert data == walk_encode(shapes, definition.name, built)
        assert repr(walk_decode(shapes, definition.name, data)) == repr(built)

    for definition in bindings.module.types:
        for value in edges(definition):
            check(definition, value)
    for_all(bindings.module.types, drawn, check)


def test_the_same_refusals(bindings: Bindings, shapes: Shapes) -> None:
    def check(definition: t.TypeDefinition, data: bytes) -> None:
        fast = outcome(bindings.decode(definition), data)
        assert fast == outcome(partial(walk_decode, shapes, definition.name), data)

    def cases(definition: t.TypeDefinition) -> st.SearchStrategy[bytes]:
        encode, named = bindings.encode(definition), t.Named(definition)
        return drawn(definition).flatmap(
            lambda value: damaged(encode(bindings.to_python(named, value)))
        )

    for_all(bindings.module.types, cases, check)


def outcome(decode: Callable[[bytes], object], data: bytes) -> str:
    """What a decoder makes of bytes, as text."""
    try:
        return repr(decode(data))
    except XdrDecodeError as refusal:
        return str(refusal)
