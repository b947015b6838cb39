"""What decoded values are made of: the base class of structs and union arms, and linked lists.

Nothing here encodes or decodes. Attributes of ``XdrStruct`` other than Python's own would
collide with the fields of somebody's struct: there must be none.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import ClassVar, Self, TypeVar

    T = TypeVar("T", bound="XdrStruct")


class XdrStruct:
    """A mutable record with the fields that ``__match_args__`` names, in wire order.

    Equal to another of the same class with equal fields; not hashable, since it can change.
    A last field that holds the same class again (a linked list) is followed in a loop, so
    that long lists neither exhaust the stack nor print as a staircase.
    """

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()
    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        one: object = self
        while True:
            if one.__class__ is not other.__class__ or not isinstance(one, XdrStruct):
                return NotImplemented if one is self else one == other
            names = one.__match_args__
            for name in names[:-1]:
                if getattr(one, name) != getattr(other, name):
                    return False
            if not names:
                return True
            one, other = getattr(one, names[-1]), getattr(other, names[-1])

    def __repr__(self) -> str:
        parts: list[str] = []
        depth = 0
        one: object = self
        while isinstance(one, XdrStruct) and one.__class__ is self.__class__:
            names = one.__match_args__
            parts.append(f"{type(self).__name__}(")
            parts.extend(f"{name}={getattr(one, name)!r}, " for name in names[:-1])
            depth += 1
            if not names:
                break
            parts.append(f"{names[-1]}=")
            one = getattr(one, names[-1])
        if self.__match_args__:
            parts.append(repr(one))
        return "".join(parts) + ")" * depth

    def __replace__(self, **changes: object) -> Self:
        """A copy with other values for some fields (``copy.replace`` of Python 3.13)."""
        fields = {name: getattr(self, name) for name in self.__match_args__}
        unknown = changes.keys() - fields.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no field {min(unknown)!r}")
        return type(self)(**(fields | changes))


def replace(value: T, **changes: object) -> T:
    """A copy of a struct with other values for some fields.

    Raises:
        TypeError: a name that is not a field.
    """
    return value.__replace__(**changes)


def link(values: Iterable[T]) -> T | None:
    """Chain structs of a linked-list type through their last field; returns the first.

    The link of the last one becomes None.
    """
    first: T | None = None
    for value in reversed(list(values)):
        setattr(value, value.__match_args__[-1], first)
        first = value
    return first


def links(first: T | None) -> Iterator[T]:
    """The structs of a linked list, from the first one on."""
    while first is not None:
        yield first
        first = getattr(first, first.__match_args__[-1])
