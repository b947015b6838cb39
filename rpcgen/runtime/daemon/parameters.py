"""Typed parameters of the admin program: made for replies, taken apart and checked for settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libvirt_rpc.admin_protocol.types import (
    AdminTypedParam,
    AdminTypedParamValueVirTypedParamBoolean,
    AdminTypedParamValueVirTypedParamInt,
    AdminTypedParamValueVirTypedParamString,
    AdminTypedParamValueVirTypedParamUint,
)
from rpcgen.runtime.daemon import adminerrors as errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

TYPES = ("unknown", "int", "uint", "llong", "ullong", "double", "boolean", "string")
"""libvirt's names of the types, by their numbers (virTypedParameterType)."""


def unsigned(**values: int) -> list[AdminTypedParam]:
    """Parameters of type unsigned int."""
    return [
        AdminTypedParam(name, AdminTypedParamValueVirTypedParamUint(value))
        for name, value in values.items()
    ]


def fact(name: str, value: bool | int | str) -> AdminTypedParam:
    """A parameter of the type that its value has; numbers are int."""
    if isinstance(value, bool):
        return AdminTypedParam(name, AdminTypedParamValueVirTypedParamBoolean(int(value)))
    if isinstance(value, int):
        return AdminTypedParam(name, AdminTypedParamValueVirTypedParamInt(value))
    return AdminTypedParam(name, AdminTypedParamValueVirTypedParamString(value))


def unsigned_values(params: Iterable[AdminTypedParam], known: Collection[str]) -> dict[str, int]:
    """The values of parameters by name.

    Args:
        known: the names that there are; all are unsigned ints.

    Raises:
        RemoteError: another name, another type, or a name twice.
    """
    values: dict[str, int] = {}
    for param in params:
        if param.field not in known:
            raise errors.unsupported_parameter(param.field)
        if not isinstance(param.value, AdminTypedParamValueVirTypedParamUint):
            raise errors.wrong_type(param.field, TYPES[param.value.type], TYPES[2])
        if param.field in values:
            raise errors.repeated_parameter(param.field)
        values[param.field] = param.value.ui
    return values
