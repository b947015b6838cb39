"""Files of groups, keys and values as GLib reads them (``GKeyFile``), which ``auth.conf`` is one of.

What the groups mean is not known here. All that GLib takes is taken; translations of values are keys
of their own, and the encoding is UTF-8 whatever the file says.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, TypeAlias

    Groups: TypeAlias = dict[str, dict[str, str]]

SPACE: Final = " \t\n\f\r"
"""What GLib takes for space (``g_ascii_isspace``): a vertical tab is none."""

GROUP: Final = re.compile(r"\[([^\]]*)\][ \t]*")
GROUP_NAME: Final = re.compile(r"[^\[\]\x00-\x1f\x7f]+")
KEY: Final = re.compile(r"(?! )[^=\[\]]+(?<! )(?:\[(?:[^\W_]|[-_.@])*\])?")

ESCAPES: Final = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\", "": ""}


class KeyFileError(ValueError):
    """A line is none of a group, a key with its value, and a comment.

    Attributes:
        line: its number, from 1.
    """

    def __init__(self, line: int, expected: str) -> None:
        super().__init__(line, expected)
        self.line = line

    def __str__(self) -> str:
        return f"{self.args[0]}: expected {self.args[1]}"


def parse(text: str) -> Groups:
    """The groups of a file, with values as they stand there.

    A group that comes again goes on, and a key that comes again replaces.

    Raises:
        KeyFileError: there is a line that GLib refuses, too.
    """
    groups: Groups = {}
    current: dict[str, str] | None = None
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        line = line.lstrip(SPACE)  # noqa: PLW2901  (as it counts)
        if not line or line.startswith("#"):
            continue
        if group := GROUP.fullmatch(line):
            current = groups.setdefault(_group_name(group[1], number), {})
        elif "=" not in line[1:]:
            raise KeyFileError(number, "a [group], a key=value or a # comment")
        elif current is None:
            raise KeyFileError(number, "a [group] before the first key=value")
        else:
            key, _, value = line.partition("=")
            current[_key(key, number)] = value.lstrip(SPACE)
    return groups


def unescape(value: str) -> str | None:
    """A value as ``g_key_file_get_string`` gives it: unknown escapes stay, bytes beyond UTF-8 are None."""
    if any("\udc80" <= c <= "\udcff" for c in value):
        return None  # bytes that are no UTF-8
    return re.sub(r"\\(.|$)", lambda found: ESCAPES.get(found[1], found[0]), value, flags=re.DOTALL)


def _group_name(name: str, number: int) -> str:
    if not GROUP_NAME.fullmatch(name):
        raise KeyFileError(number, "a name of a group, without brackets and control characters")
    return name


def _key(text: str, number: int) -> str:
    key = text.rstrip(SPACE)
    if not KEY.fullmatch(key):
        raise KeyFileError(number, "a key, without brackets")
    return key
