"""Permissions: what a call needs, by the annotations of its procedure, and how a policy is asked.

Who gets them is a policy's decision, and what follows from it the guard's.
"""

from __future__ import annotations

from collections import ChainMap
from functools import reduce
from importlib import import_module
from importlib.util import find_spec
from operator import or_
from typing import TYPE_CHECKING, Any, Final, Protocol

from libvirt_rpc.libvirt_common import constants as libvirt_constants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rpcgen.runtime.interfaces import Identity
    from rpcgen.runtime.program import Procedure

    Condition = Callable[[Sequence[Any]], bool]
    """Whether an entry applies to a call with these arguments."""

NONE: Final = "none"
"""The entry of a procedure that anybody may call."""

FLAGS: Final = "flags"
"""The parameter that the third part of an entry is about."""


class Permission:
    """Something that a call needs to be allowed.

    Attributes:
        object: the kind of object, such as ``domain`` or ``storage_pool``.
        name: what is done with it, such as ``getattr`` or ``write``.
        procedure: what was called.
    """

    __slots__ = ("name", "object", "procedure")

    def __init__(
        self,
        object: str,  # noqa: A002  (the annotations' word)
        name: str,
        procedure: Procedure[Any, Any],
    ) -> None:
        self.object = object
        self.name = name
        self.procedure = procedure

    def __str__(self) -> str:
        return f"{self.object}:{self.name}"

    def __repr__(self) -> str:
        return f"<Permission {self}, for {self.procedure.name}>"


def halves(text: Any) -> tuple[str, str]:
    """The object and the name of a permission in ``object:name``.

    Raises:
        ValueError: that is not how it is written.
    """
    parts = text.split(":") if isinstance(text, str) else ()
    if len(parts) != 2 or not all(parts):
        raise ValueError(f"expected 'object:permission', got {text!r}")
    return parts[0], parts[1]


class AccessPolicy(Protocol):
    """Decides."""

    def is_allowed(self, identity: Identity, permission: Permission, /) -> bool:
        """Whether this peer has that permission: ``True``, and nothing else, says so.

        It is asked where the handler would run: on the event loop for some, so it must not wait.
        Whatever it raises is no permission: the call fails as if the handler had raised it.
        """


class Needs:
    """What calls of one procedure need.

    Args:
        procedure: the row with the annotations.
        constants: values of the names in them.

    Raises:
        ValueError: there are none (``none`` is one), or one that cannot be understood.
    """

    __slots__ = ("_entries", "procedure")

    def __init__(self, procedure: Procedure[Any, Any], constants: Mapping[str, Any]) -> None:
        self.procedure = procedure
        if not procedure.acl:
            raise ValueError(
                f"{procedure.name}: expected '@acl: object:permission' or '@acl: none', got nothing"
            )
        entries = () if procedure.acl == (NONE,) else procedure.acl
        try:
            self._entries = [_parsed(entry, procedure, constants) for entry in entries]
        except ValueError as error:
            raise ValueError(f"{procedure.name}: {error}") from None

    def __bool__(self) -> bool:
        """Whether there can be any."""
        return bool(self._entries)

    def of(self, arguments: Sequence[Any]) -> list[Permission]:
        """The permissions that a call needs, all of them.

        Args:
            arguments: as its handler takes them, see ``Route.arguments``.
        """
        return [
            permission
            for permission, conditions in self._entries
            if all(holds(arguments) for holds in conditions)
        ]


def constants_beside(module: str) -> Mapping[str, Any]:
    """The constants of the generated package that a module is in, and libvirt's."""
    package, _, _ = module.rpartition(".")
    name = f"{package}.constants"
    own = vars(import_module(name)) if package and find_spec(name) else {}
    return ChainMap(own, vars(libvirt_constants))


def _parsed(
    entry: str, procedure: Procedure[Any, Any], constants: Mapping[str, Any]
) -> tuple[Permission, list[Condition]]:
    """An entry ``object:permission[:flags[:parameter:value]]``, as gendispatch.pl reads it."""
    parts = entry.split(":")
    if len(parts) not in (2, 3, 5) or not all(parts[:2]):
        expected = "object:permission[:flags[:parameter:value]]"
        raise ValueError(f"expected '{expected}', got {entry!r}")
    permission = Permission(parts[0], parts[1], procedure)
    return permission, list(_conditions(parts[2:], procedure, constants))


def _conditions(
    parts: Sequence[str], procedure: Procedure[Any, Any], constants: Mapping[str, Any]
) -> Iterator[Condition]:
    if parts and parts[0]:
        yield _has_flags(_place(FLAGS, procedure), *_negated(parts[0], constants))
    if len(parts) > 1:
        yield _has_value(_place(parts[1], procedure), *_negated(parts[2], constants))


def _has_flags(place: int, value: int, is_negated: bool) -> Condition:
    wanted = 0 if is_negated else value
    return lambda arguments: arguments[place] & value == wanted


def _has_value(place: int, value: int, is_negated: bool) -> Condition:
    return lambda arguments: (arguments[place] == value) is not is_negated


def _place(parameter: str, procedure: Procedure[Any, Any]) -> int:
    """Where among the arguments a parameter is."""
    parameters = procedure.parameters or ()
    if parameter not in parameters:
        raise ValueError(f"@acl names {parameter!r}, but the parameters are {list(parameters)}")
    return parameters.index(parameter)


def _negated(text: str, constants: Mapping[str, Any]) -> tuple[int, bool]:
    """The value of ``A|B`` or ``!A|B``, and whether it begins with the mark."""
    names = text.removeprefix("!").split("|")
    return reduce(or_, (_value(name, constants) for name in names)), text.startswith("!")


def _value(name: str, constants: Mapping[str, Any]) -> int:
    value = int(name) if name.isdecimal() else constants.get(name)
    if not isinstance(value, int):
        raise ValueError(f"@acl names {name!r}, which is no constant of its file or of libvirt")
    return value
