"""Lists of names that may enter, with the patterns of ``tls_allowed_dn_list`` and its like."""

from __future__ import annotations

from collections.abc import Iterable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def is_allowed(name: str, patterns: Sequence[str] | None) -> bool:
    """Whether a name is on a list (``tls_allowed_dn_list``, ``sasl_allowed_username_list``).

    Args:
        name: a distinguished name as GnuTLS writes it, or a user's name.
        patterns: each for an entire name; ``*`` is any text, ``?`` any character, and nothing
            else has a meaning (as in GLib's ``g_pattern_match_simple``). None allows everybody,
            an empty list nobody.
    """
    return patterns is None or any(_matches(name, pattern) for pattern in patterns)


def patterns_of(names: object, what: str) -> tuple[str, ...] | None:
    """A list of patterns as it is kept.

    A single text is a sequence of texts, too, one of which might be a star: it is refused.

    Args:
        names: None, or a list of texts.
        what: the argument that they came in.

    Raises:
        TypeError: it is anything else.
    """
    if names is None:
        return None
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise TypeError(f"{what}: expected a list of patterns, got {names!r}")
    patterns = tuple(names)
    for one in patterns:
        if not isinstance(one, str):
            raise TypeError(f"{what}: expected patterns, got {one!r}")
    return patterns


def _matches(text: str, pattern: str) -> bool:
    """A match in at most ``len(text) * len(pattern)`` steps: long names come from peers."""
    at = star = mark = 0
    position = -1
    while mark < len(text):
        if at < len(pattern) and pattern[at] == "*":
            position, star, at = mark, at, at + 1
        elif at < len(pattern) and pattern[at] in ("?", text[mark]):
            at, mark = at + 1, mark + 1
        elif position >= 0:  # the last star takes one more
            position += 1
            at, mark = star + 1, position
        else:
            return False
    return not pattern[at:].strip("*")
