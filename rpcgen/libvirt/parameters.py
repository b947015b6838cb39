"""Typed parameters: libvirt's lists of named values with types, as dictionaries and back.

The remote and the admin program have the same union under two names; one table serves both.
Which parameters exist is the server's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias, get_args

from libvirt_rpc.admin_protocol.types import AdminTypedParam, AdminTypedParamValue
from libvirt_rpc.libvirt_common.constants import VIR_TYPED_PARAM_FIELD_LENGTH
from libvirt_rpc.libvirt_common.types import VirTypedParameterType
from libvirt_rpc.remote_protocol.types import RemoteTypedParam, RemoteTypedParamValue
from rpcgen.runtime.errors import RpcError

Value: TypeAlias = int | float | bool | str
"""What a typed parameter holds."""

Values: TypeAlias = Mapping[str, Value | Sequence[Value]]
"""Values by name; several under one name make as many parameters of that name."""

Types: TypeAlias = Mapping[str, VirTypedParameterType]
"""Types by name."""

MAX_FIELD: Final = VIR_TYPED_PARAM_FIELD_LENGTH - 1
"""Bytes in a name: C keeps one for the final NUL."""


class ParameterError(RpcError, ValueError):
    """A typed parameter is refused.

    Attributes:
        field: its name.
        reason: what was expected and what came.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"typed parameter {self.field!r}: {self.reason}"


_T: Final = VirTypedParameterType

_INTEGERS: Final = {
    _T.VIR_TYPED_PARAM_INT: range(-(1 << 31), 1 << 31),
    _T.VIR_TYPED_PARAM_UINT: range(1 << 32),
    _T.VIR_TYPED_PARAM_LLONG: range(-(1 << 63), 1 << 63),
    _T.VIR_TYPED_PARAM_ULLONG: range(1 << 64),
}

_OTHERS: Final[Mapping[VirTypedParameterType, tuple[str, type]]] = {
    _T.VIR_TYPED_PARAM_DOUBLE: ("a floating-point number", float),
    _T.VIR_TYPED_PARAM_BOOLEAN: ("True or False", bool),
    _T.VIR_TYPED_PARAM_STRING: ("text", str),
}

_REMOTE_ARMS: Final = {arm.type: arm for arm in get_args(RemoteTypedParamValue)}
_ADMIN_ARMS: Final = {arm.type: arm for arm in get_args(AdminTypedParamValue)}
_AS_IT_IS: Final[Types] = MappingProxyType({})


def to_params(values: Values, types: Types = _AS_IT_IS) -> list[RemoteTypedParam]:
    """Typed parameters of the remote program.

    Servers refuse a value of a type that they do not expect. Unless ``types`` says something
    else, ``bool`` is sent as BOOLEAN, ``str`` as STRING, ``float`` as DOUBLE, ``int`` as ULLONG,
    and a negative one as LLONG.

    Args:
        values: by name.
        types: what to send them as, by name. ``types_of`` the parameters that the server
            returned is right for sending changes back.

    Raises:
        ParameterError: a name is too long, or a value does not fit its type.
    """
    return [
        RemoteTypedParam(name, _REMOTE_ARMS[kind](v)) for name, kind, v in _typed(values, types)
    ]


def to_admin_params(values: Values, types: Types = _AS_IT_IS) -> list[AdminTypedParam]:
    """Typed parameters of the admin program; see ``to_params``."""
    return [AdminTypedParam(name, _ADMIN_ARMS[kind](v)) for name, kind, v in _typed(values, types)]


def from_params(params: Iterable[RemoteTypedParam | AdminTypedParam]) -> dict[str, Value]:
    """The values of typed parameters, by name.

    Raises:
        ParameterError: a name is too long, or comes again. A list with such names has to be
            read one by one, with ``value_of``.
    """
    values: dict[str, Value] = {}
    for param in params:
        _check_field(param.field)
        if param.field in values:
            raise ParameterError(param.field, "the name comes again")
        values[param.field] = value_of(param)
    return values


def types_of(
    params: Iterable[RemoteTypedParam | AdminTypedParam],
) -> dict[str, VirTypedParameterType]:
    """The types of typed parameters, by name."""
    return {param.field: VirTypedParameterType(param.value.type) for param in params}


def value_of(param: RemoteTypedParam | AdminTypedParam) -> Value:
    """The value of one typed parameter."""
    arm = param.value
    value: Value = getattr(arm, arm.__match_args__[0])
    return bool(value) if arm.type == _T.VIR_TYPED_PARAM_BOOLEAN else value


def _typed(values: Values, types: Types) -> Iterator[tuple[str, VirTypedParameterType, Value]]:
    """Every value with its name, its type, and as the arm of that type takes it."""
    for field, given in values.items():
        _check_field(field)
        for value in _several(given):
            kind = types.get(field) or _guess(field, value)
            yield field, kind, _fit(field, kind, value)


def _several(given: object) -> Sequence[Any]:
    if isinstance(given, Sequence) and not isinstance(given, (str, bytes)):
        return given
    return (given,)


def _check_field(field: str) -> None:
    size = len(_bytes(field, field))
    if size > MAX_FIELD:
        raise ParameterError(field, f"a name has {MAX_FIELD} bytes at most, this one {size}")


def _bytes(field: str, text: str) -> bytes:
    """The text as it travels."""
    try:
        data = text.encode(errors="surrogateescape")
    except UnicodeEncodeError as error:
        raise ParameterError(field, f"not text: {error.reason}") from None
    if b"\0" in data:
        raise ParameterError(field, "C takes a NUL for the end of a text")
    return data


def _guess(field: str, value: object) -> VirTypedParameterType:
    for kind, (_, python) in _OTHERS.items():
        if isinstance(value, python):
            return kind
    if isinstance(value, int):
        return _T.VIR_TYPED_PARAM_LLONG if value < 0 else _T.VIR_TYPED_PARAM_ULLONG
    expected = "a number, True, False or text"
    raise ParameterError(field, f"expected {expected}, got {type(value).__name__}")


def _fit(field: str, kind: VirTypedParameterType, value: Value) -> Value:
    if kind in _INTEGERS:
        return _fit_integer(field, kind, value)
    if kind is _T.VIR_TYPED_PARAM_DOUBLE and type(value) is int:
        value = _float(field, value)
    expected, python = _OTHERS[kind]
    if not isinstance(value, python):
        raise ParameterError(field, f"expected {expected} ({kind.name}), got {value!r}")
    if isinstance(value, str):
        _bytes(field, value)
    return value


def _fit_integer(field: str, kind: VirTypedParameterType, value: Value) -> int:
    allowed = _INTEGERS[kind]
    if not isinstance(value, int) or isinstance(value, bool) or value not in allowed:
        bounds = f"{allowed[0]} to {allowed[-1]}"
        raise ParameterError(field, f"expected {bounds} ({kind.name}), got {value!r}")
    return value


def _float(field: str, value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ParameterError(field, "too large for VIR_TYPED_PARAM_DOUBLE") from None
