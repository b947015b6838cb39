"""The only place where a ``.x`` name becomes a Python name.

Every function here is pure: the same spelling gives the same name, whatever stands around
it. Whether two names meet is for ``view`` to find out, which knows what stands around.
"""

from __future__ import annotations

import builtins
import enum
import keyword
import re
from collections.abc import Mapping

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Between the words of a camelCase name: ``entry|Ids``, ``HTTP|Server``."""

USED_IN_ANNOTATIONS = frozenset({"bool", "bytes", "float", "int", "list", "object", "str", "tuple"})
"""Builtins that generated annotations name: a field so called would capture them in its class body.

``type`` is not among them: it is the most common field name of all, and nothing generated
uses it in an annotation.
"""

PARAMETERS = frozenset({"self", "call", "timeout", "fds"})
"""Parameters that every stub or handler has beside those of its procedure."""

EVENT_PARAMETERS = PARAMETERS | {"to"}
"""The same for what sends an event."""

PROGRAM_MODULE = frozenset({"VOID", "Codec", "Procedure", "Program"})
"""What a generated ``program`` module imports."""

CLASSES = frozenset(
    {
        *("Any", "ClassVar", "Final", "TypeAlias", "IntEnum", "Struct"),
        *("Buffer", "Irregular", "Shapes", "XdrStruct"),
        *(name for name in dir(builtins) if name[0].isupper()),
    }
)
"""Class names that generated modules import or that Python has built in."""

_ENUM_MEMBERS = frozenset(dir(enum.IntEnum)) | frozenset(dir(int)) | {"name", "value", "mro"}
"""What a member of an IntEnum may not be called."""

_DUNDER = re.compile(r"__\w+__", re.ASCII)
"""Names that Python gives to a module, or may."""

_PROGRAM_SUFFIX = re.compile(r"_(?:PROGRAM|PROG)$", re.IGNORECASE)


def type_name(name: str) -> str:
    """CapWords of a type: ``remote_nonnull_domain`` gives ``RemoteNonnullDomain``."""
    return _free(_cap_words(name), CLASSES)


def value_name(name: str) -> str:
    """snake_case of a field, function or parameter: ``entryIds`` gives ``entry_ids``.

    ``self`` gives way too: every class and stub has one of its own.
    """
    bare, underscores = _split(name, "x")
    words = _HUMP.sub("_", bare).lower() + underscores
    return _free(words, USED_IN_ANNOTATIONS | {"self"})


def parameter_name(name: str, *, event: bool = False) -> str:
    """A field's name as a parameter of a stub: those that every stub has get a trailing ``_``."""
    return _free(value_name(name), EVENT_PARAMETERS if event else PARAMETERS)


def row_name(name: str) -> str:
    """A program or a procedure in the ``program`` module: the spelling, as for a constant."""
    return _free(constant_name(name), PROGRAM_MODULE)


def constant_name(name: str) -> str:
    """A constant keeps its spelling, unless its module has that name already, as every one has ``__doc__``."""
    taken = CLASSES | USED_IN_ANNOTATIONS | {"TYPE_CHECKING", "annotations"}
    return _free(name, taken | {name} if _DUNDER.fullmatch(name) else taken)


def member_name(name: str) -> str:
    """A member of an enum keeps its spelling, unless IntEnum needs the name."""
    bare, underscores = _split(name, "X")
    return _free(bare + underscores, _ENUM_MEMBERS)


def arm_suffix(label: str) -> str:
    """What a union's name gets for an arm, from its first label: ``20``, ``Minus1``, ``NfsOk``."""
    if label.startswith("-"):
        return "Minus" + label[1:]
    return _cap_words(label)


def program_name(name: str) -> str:
    """The stem of a program's classes: ``REMOTE_PROGRAM`` gives ``Remote``."""
    return _cap_words(_PROGRAM_SUFFIX.sub("", name))


def module_name(stem: str) -> str:
    """A module or package name from a file's stem: ``my-proto`` gives ``my_proto``."""
    words = re.sub(r"\W", "_", stem, flags=re.ASCII) or "_"
    return _free("_" + words if words[0].isdigit() else words, frozenset())


def file_label(stem: str) -> str:
    """How generated text calls the ``.x`` file: what could end a string or a line is a ``?`` there."""
    plain = (char if char.isprintable() and char not in '"\\' else "?" for char in stem)
    return "".join(plain) + ".x"


def renamed(name: str, rename: Mapping[str, str], owner: str = "") -> str:
    """The spelling to use for a ``.x`` name: what ``[tool.rpcgen.rename]`` says, or itself.

    Args:
        name: the ``.x`` name of a type, constant, procedure, field or member.
        rename: ``.x`` name, or ``owner.name`` for a field or member, to the spelling wanted;
            the rules of this module apply to that spelling.
        owner: the ``.x`` name of the struct, union or enum that the name belongs to.
    """
    if owner:
        return rename.get(f"{owner}.{name}", name)
    return rename.get(name, name)


def _cap_words(name: str) -> str:
    """Underscores go, each word is capitalised; shouted words are lowered, humps are kept."""
    bare, underscores = _split(name, "X")
    words = [word for word in bare.split("_") if word]
    joined = "".join(
        word.capitalize() if word.isupper() and len(word) > 1 else word[:1].upper() + word[1:]
        for word in words
    )
    return (joined or "X") + underscores


def _split(name: str, letter: str) -> tuple[str, str]:
    """A name without its leading underscores, and these, which go to its end; no digit is left to begin it."""
    bare = name.lstrip("_")
    underscores = name[: len(name) - len(bare)]
    return (letter + bare if underscores and bare[:1].isdigit() else bare), underscores


def _free(name: str, taken: frozenset[str]) -> str:
    """The name, with a trailing ``_`` where Python or our own code needs it."""
    return name + "_" if keyword.iskeyword(name) or name in taken else name
