"""A policy in a file: rules in TOML, of which the first that fits decides.

A reader of the file can follow it from the top, as with libvirt's polkit rules: exceptions stand
before what they are exceptions of, and later rules never take back what an earlier one said. So
there is no other precedence, of ``deny`` over ``allow`` say. What no rule fits is denied. ::

    default = "deny"                      # the default; or "allow"

    [[rules]]
    deny = "domain:delete"                # object:permission, with * and ?
    user = "trainee"

    [[rules]]
    allow = ["connect:*", "domain:*"]
    certificate = "C=UK,O=Example,CN=*"

What a rule says of who must be true altogether; of a list, any one. A rule that says nothing of
who is about everybody. Rules do not change: to reload them is to load others.
"""

from __future__ import annotations

import pwd
import re
from fnmatch import translate
from typing import TYPE_CHECKING, Any, Final

from rpcgen.runtime.access.policy import halves
from rpcgen.runtime.tomlfile import TomlError, read_toml, statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rpcgen.runtime.access.policy import Permission
    from rpcgen.runtime.interfaces import Identity

    Test = Callable[[Any], bool]
    """Whether a value is what a rule is about."""

ID_MAX: Final = 2**32 - 2
"""The largest ``uid_t``: the one above stands for none."""

_VERDICTS: Final = {"allow": True, "deny": False}


class RulesError(TomlError):
    """Rules are refused; ``key`` is such as ``rules[0].uid``."""


class Rules:
    """An ``AccessPolicy`` that decides by rules.

    Args:
        values: what a file would say: ``default`` and ``rules``.

    Raises:
        RulesError: an unknown key, or a value that does not do.
    """

    __slots__ = ("_default", "_rules")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._default = False
        self._rules: tuple[_Rule, ...] = ()
        for key, value in values.items():
            if key == "default":
                self._default = _default(value)
            elif key == "rules":
                self._rules = tuple(_rules(value))
            else:
                raise RulesError("", None, key, "unknown key")

    @classmethod
    def load(cls, path: str) -> Rules:
        """The rules in the file at ``path``.

        Raises:
            RulesError: the file cannot be read, is no TOML, or says what does not do.
        """
        values, source = read_toml(path, RulesError)
        try:
            return cls(values)
        except RulesError as error:
            line = _line_of(source, error.key)
            raise RulesError(path, line, error.key, error.reason) from None

    def is_allowed(self, identity: Identity, permission: Permission) -> bool:
        """Whether the first rule that fits allows it, or the default."""
        for rule in self._rules:
            if rule.fits(identity, permission):
                return rule.allows
        return self._default


class _Rule:
    __slots__ = ("_permissions", "_who", "allows")

    def __init__(self, table: Mapping[str, Any], key: str) -> None:
        verdicts = [one for one in _VERDICTS if one in table]
        if len(verdicts) != 1:
            raise RulesError("", None, key, "expected either 'allow' or 'deny'")
        self.allows = _VERDICTS[verdicts[0]]
        self._permissions: list[tuple[Test, Test]] = []
        self._who: list[tuple[str, list[Test]]] = []
        for name, value in table.items():
            try:
                self._take(name, value if isinstance(value, list) else [value])
            except ValueError as error:
                raise RulesError("", None, f"{key}.{name}", str(error)) from None

    def fits(self, identity: Identity, permission: Permission) -> bool:
        return any(
            is_object(permission.object) and is_name(permission.name)
            for is_object, is_name in self._permissions
        ) and all(_is_any(tests, getattr(identity, attribute)) for attribute, tests in self._who)

    def _take(self, name: str, values: list[Any]) -> None:
        if not values:
            raise ValueError("expected a value, got an empty list")
        if name in _VERDICTS:
            self._permissions = [_permission(value) for value in values]
        elif name in _WHO:
            attribute, make = _WHO[name]
            self._who.append((attribute, [make(value) for value in values]))
        else:
            raise ValueError("unknown key")


def _is_any(tests: list[Test], value: object) -> bool:
    return value is not None and any(test(value) for test in tests)


def _default(value: Any) -> bool:
    if not isinstance(value, str) or value not in _VERDICTS:
        raise RulesError("", None, "default", f"expected 'allow' or 'deny', got {value!r}")
    return _VERDICTS[value]


def _rules(value: Any) -> Iterator[_Rule]:
    if not isinstance(value, list):
        raise RulesError("", None, "rules", "expected [[rules]], a list of tables")
    for number, table in enumerate(value):
        key = f"rules[{number}]"
        if not isinstance(table, dict):
            raise RulesError("", None, key, f"expected a table, got {table!r}")
        yield _Rule(table, key)


def _permission(value: Any) -> tuple[Test, Test]:
    kind, name = halves(value)
    return _glob(kind), _glob(name)


def _number(value: Any) -> Test:
    if type(value) is not int or not 0 <= value <= ID_MAX:
        raise ValueError(f"expected a whole number from 0 to {ID_MAX}, got {value!r}")
    return lambda found: found == value


def _user(value: Any) -> Test:
    """Looked up once: who gets the number later has the rule's permissions."""
    try:
        return _number(pwd.getpwnam(value).pw_uid)
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"expected the name of a user, got {value!r}") from None


def _glob(value: Any) -> Test:
    """A match of an entire text; ``*`` and ``?`` mean something, and nothing else does."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a text with * and ?, got {value!r}")
    # fnmatch never goes back over what a star has taken, so that no long name takes long.
    match = re.compile(translate(value.replace("[", "[[]"))).match
    return lambda found: match(found) is not None


_WHO: Final[dict[str, tuple[str, Callable[[Any], Test]]]] = {
    "uid": ("uid", _number),
    "gid": ("gid", _number),
    "user": ("uid", _user),
    "certificate": ("distinguished_name", _glob),
    "sasl": ("sasl_user_name", _glob),
}
"""What a rule may say of who: the attribute of an identity, and what it is compared with."""


def _line_of(source: str, key: str) -> int:
    """The line, from 1, of the statement that sets ``default`` or ``rules[0].uid``."""
    table, _, name = key.partition(".")
    name = name.partition(".")[0]
    begun, found = -1, 1
    for line, _, values in statements(source):
        header = values.get("rules") == [{}]
        begun += header
        if begun < 0 and table.partition("[")[0] in values:
            return line
        if f"rules[{begun}]" == table:
            found = line if header else found
            below = values.get("rules")  # of ``[rules.who]``
            if name in values or (isinstance(below, dict) and name in below):
                return line
    return found
