"""Every type of ``protocols/``: what was encoded decodes to the same value, and no bytes are half understood."""

from __future__ import annotations

from pathlib import Path

import pytest
from bindings import Bindings
from hypothesis import strategies as st
from neutral import Neutral, dump, leaves
from strategies import damaged, drawn, edges, for_all
from wire import same_value

from rpcgen.model import load
from rpcgen.model import types as t
from rpcgen.runtime.errors import XdrDecodeError

PROTOCOLS = sorted((Path(__file__).parents[1] / "protocols").glob("*.x"))


@pytest.fixture(scope="module", params=PROTOCOLS, ids=lambda path: path.stem)
def bindings(request: pytest.FixtureRequest) -> Bindings:
    """The committed bindings of one protocol."""
    (module,) = load([str(request.param)])
    return Bindings(module, "libvirt_rpc")


def test_what_was_encoded_decodes_to_the_same(bindings: Bindings) -> None:
    def check(definition: t.TypeDefinition, value: Neutral) -> None:
        named = t.Named(definition)
        built = bindings.to_python(named, value)
        data = bindings.encode(definition)(built)
        back = bindings.decode(definition)(data)
        assert dump(named, bindings.to_neutral(named, back)) == dump(named, value)
        assert repr(back) == repr(built)
        if not any(leaf != leaf for _, leaf in leaves(named, value)):  # NaN
            assert back == built

    for definition in bindings.module.types:
        for value in edges(definition):
            check(definition, value)
    for_all(bindings.module.types, drawn, check)


def test_a_value_is_read_from_between_others_and_from_any_buffer(bindings: Bindings) -> None:
    def check(definition: t.TypeDefinition, value: Neutral) -> None:
        built = bindings.to_python(t.Named(definition), value)
        data = bindings.encode(definition)(built)
        between = b"\xff" * 4 + data + b"\xff" * 7
        read = bindings.read(definition)
        for buffer in (between, bytearray(between), memoryview(between)):
            back, end = read(buffer, 4)
            assert (repr(back), end) == (repr(built), 4 + len(data))
        with pytest.raises(XdrDecodeError) as refusal:
            bindings.decode(definition)(between[4:])
        assert refusal.value.offset == len(data)

    for_all(bindings.module.types, drawn, check)


def test_damaged_bytes_are_refused_or_encode_back(bindings: Bindings) -> None:
    def sound(definition: t.TypeDefinition) -> st.SearchStrategy[bytes]:
        encode = bindings.encode(definition)
        return drawn(definition).map(
            lambda value: encode(bindings.to_python(t.Named(definition), value))
        )

    def check(definition: t.TypeDefinition, data: bytes) -> None:
        found = bindings.attempt(definition, data)
        if isinstance(found, XdrDecodeError):
            assert 0 <= found.offset <= len(data)
        else:
            again, read = bindings.encode(definition)(found[0]), data[: found[1]]
            assert same_value(t.Named(definition), read, again)

    for_all(bindings.module.types, lambda definition: sound(definition).flatmap(damaged), check)
