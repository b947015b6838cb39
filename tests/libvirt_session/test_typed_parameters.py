"""Typed parameters: dictionaries to lists and back, every type, every bound, through their bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libvirt_rpc.admin_protocol.decoder import decode_admin_typed_param
from libvirt_rpc.admin_protocol.encoder import encode_admin_typed_param
from libvirt_rpc.libvirt_common.types import VirTypedParameterType as Type
from libvirt_rpc.remote_protocol.decoder import decode_remote_typed_param
from libvirt_rpc.remote_protocol.encoder import encode_remote_typed_param
from libvirt_rpc.remote_protocol.types import (
    RemoteTypedParam,
    RemoteTypedParamValueVirTypedParamBoolean,
    RemoteTypedParamValueVirTypedParamInt,
)
from rpcgen.libvirt.parameters import (
    ParameterError,
    Value,
    from_params,
    to_admin_params,
    to_params,
    types_of,
    value_of,
)

BOUNDS = {
    Type.VIR_TYPED_PARAM_INT: (-(2**31), 2**31 - 1),
    Type.VIR_TYPED_PARAM_UINT: (0, 2**32 - 1),
    Type.VIR_TYPED_PARAM_LLONG: (-(2**63), 2**63 - 1),
    Type.VIR_TYPED_PARAM_ULLONG: (0, 2**64 - 1),
}

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
TYPED = st.one_of(
    *(st.tuples(st.just(kind), st.integers(*bounds)) for kind, bounds in BOUNDS.items()),
    st.tuples(st.just(Type.VIR_TYPED_PARAM_DOUBLE), st.floats(allow_nan=False)),
    st.tuples(st.just(Type.VIR_TYPED_PARAM_BOOLEAN), st.booleans()),
    st.tuples(st.just(Type.VIR_TYPED_PARAM_STRING), TEXT),
)
NAMES = st.text("abc._0", max_size=79)


@given(st.dictionaries(NAMES, TYPED))
def test_there_and_back_with_types(typed: dict[str, tuple[Type, Value]]) -> None:
    types = {name: kind for name, (kind, _) in typed.items()}
    values = {name: value for name, (_, value) in typed.items()}
    remote = [
        decode_remote_typed_param(encode_remote_typed_param(one))
        for one in to_params(values, types)
    ]
    admin = [
        decode_admin_typed_param(encode_admin_typed_param(one))
        for one in to_admin_params(values, types)
    ]
    for params in (remote, admin):
        assert types_of(params) == types
        back = from_params(params)
        assert back == values
        assert {name: type(value) for name, value in back.items()} == {
            name: type(value) for name, value in values.items()
        }


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, Type.VIR_TYPED_PARAM_BOOLEAN),
        (0, Type.VIR_TYPED_PARAM_ULLONG),
        (2**64 - 1, Type.VIR_TYPED_PARAM_ULLONG),
        (-1, Type.VIR_TYPED_PARAM_LLONG),
        (1.5, Type.VIR_TYPED_PARAM_DOUBLE),
        ("", Type.VIR_TYPED_PARAM_STRING),
    ],
)
def test_the_type_follows_the_value(value: Value, kind: Type) -> None:
    assert types_of(to_params({"x": value})) == {"x": kind}


def test_types_of_other_names_do_no_harm() -> None:
    current = to_params({"weight": 5, "cap": 1}, {"weight": Type.VIR_TYPED_PARAM_UINT})
    (changed,) = to_params({"weight": 6}, types_of(current))
    assert (changed.field, changed.value.type) == ("weight", Type.VIR_TYPED_PARAM_UINT)


def test_an_integer_may_be_sent_as_a_double() -> None:
    (param,) = to_params({"x": 3}, {"x": Type.VIR_TYPED_PARAM_DOUBLE})
    assert repr(value_of(param)) == "3.0"


def test_several_values_make_several_parameters() -> None:
    params = to_params({"disk": ["vda", "vdb"], "none": (), "n": 1})
    assert [(one.field, value_of(one)) for one in params] == [
        ("disk", "vda"),
        ("disk", "vdb"),
        ("n", 1),
    ]
    with pytest.raises(ParameterError, match="typed parameter 'disk': the name comes again"):
        from_params(params)


@pytest.mark.parametrize("kind", BOUNDS)
def test_bounds_are_those_of_the_type(kind: Type) -> None:
    low, high = BOUNDS[kind]
    for value in (low, high):
        assert from_params(to_params({"x": value}, {"x": kind})) == {"x": value}
    for value in (low - 1, high + 1):
        expected = f"typed parameter 'x': expected {low} to {high} \\({kind.name}\\), got {value}$"
        with pytest.raises(ParameterError, match=expected):
            to_params({"x": value}, {"x": kind})


@pytest.mark.parametrize(
    ("value", "kind", "reason"),
    [
        (2**64, None, "expected 0 to 18446744073709551615 (VIR_TYPED_PARAM_ULLONG), got 1844"),
        (True, Type.VIR_TYPED_PARAM_INT, "expected -2147483648 to 2147483647 (VIR_TYPED_PARAM_INT)"),
        ("1", Type.VIR_TYPED_PARAM_UINT, "expected 0 to 4294967295 (VIR_TYPED_PARAM_UINT), got '1'"),
        (1.0, Type.VIR_TYPED_PARAM_LLONG, "expected -9223372036854775808 to 9223372036854775807"),
        (1, Type.VIR_TYPED_PARAM_BOOLEAN, "expected True or False (VIR_TYPED_PARAM_BOOLEAN), got 1"),
        (1, Type.VIR_TYPED_PARAM_STRING, "expected text (VIR_TYPED_PARAM_STRING), got 1"),
        (True, Type.VIR_TYPED_PARAM_DOUBLE, "expected a floating-point number (VIR_TYPED_PARAM_D"),
        (10**400, Type.VIR_TYPED_PARAM_DOUBLE, "too large for VIR_TYPED_PARAM_DOUBLE"),
        ("a\0", None, "C takes a NUL for the end of a text"),
        ("\ud800", None, "not text: surrogates not allowed"),
        (None, None, "expected a number, True, False or text, got NoneType"),
        (b"ab", None, "expected a number, True, False or text, got bytes"),
        ([[1]], None, "expected a number, True, False or text, got list"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(value: Any, kind: Type | None, reason: str) -> None:
    for make in (to_params, to_admin_params):
        with pytest.raises(ParameterError) as caught:
            make({"cap": value}, {"cap": kind} if kind else {})
        assert caught.value.field == "cap"
        assert caught.value.reason.startswith(reason)


def test_a_name_has_79_bytes_at_most() -> None:
    for name in ("x" * 79, "ü" * 39):
        assert from_params(to_params({name: 1})) == {name: 1}
    for name in ("x" * 80, "ü" * 40, "\udcff" * 80):
        with pytest.raises(ParameterError, match="a name has 79 bytes at most"):
            to_params({name: 1})
        param = RemoteTypedParam(name, RemoteTypedParamValueVirTypedParamInt(1))
        with pytest.raises(ParameterError, match="a name has 79 bytes at most"):
            from_params([param])


def test_any_other_number_than_zero_is_true() -> None:
    param = RemoteTypedParam("x", RemoteTypedParamValueVirTypedParamBoolean(7))
    assert from_params([param]) == {"x": True}
