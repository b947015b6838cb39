"""What a decoder is made of: items before fields are fused, steps for the template after.

A step holds the expressions that it needs; the template holds the statements.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from rpcgen.emit.steps import Check, Statement

# Items: what a value is made of on the wire, one after the other, before fusion.


@dataclass(slots=True)
class Fixed:
    """A field of fixed size: its code, where it goes, and what must be done or hold then."""

    code: str
    size: int
    target: str
    after: list[Step] = field(default_factory=list)


@dataclass(slots=True)
class Blob:
    """A string or variable-length opaque."""

    target: str
    text: bool
    maximum: int


# Steps: what is written.


@dataclass(slots=True)
class Make(Statement):
    """A new object; it may stand before fields that were declared earlier."""


@dataclass(slots=True)
class Run:
    """Fixed-size fields, one call; ``exact`` is the layout for a buffer with nothing else in it."""

    kind: ClassVar[str] = "run"
    targets: str
    layout: str
    size: int
    codes: list[str]
    exact: str = ""


@dataclass(slots=True)
class Record:
    """Fixed-size fields, an item of variable length, fixed-size fields: one call.

    ``skip`` is the offset of the last byte of the length word, ``size`` what the record
    takes beside the padded item; ``alone``: nothing else is in the buffer of ``decode_``.
    """

    kind: ClassVar[str] = "record"
    targets: str
    layout: str
    skip: int
    size: int
    target: str
    text: bool
    alone: bool = False


@dataclass(slots=True)
class Maybe:
    """An optional whose flag has been read into ``flag``."""

    kind: ClassVar[str] = "maybe"
    flag: str
    target: str
    body: list[Step]


@dataclass(slots=True)
class Loop:
    """A list whose count is known, element by element."""

    kind: ClassVar[str] = "loop"
    target: str
    items: str
    item: str
    annotation: str
    count: str
    body: list[Step]


@dataclass(slots=True)
class Branch:
    """One arm of a union."""

    condition: str
    body: list[Step]


@dataclass(slots=True)
class Branches:
    """The arms of a union whose discriminant has been read."""

    kind: ClassVar[str] = "branches"
    branches: list[Branch]
    exhaustive: bool


Item: TypeAlias = "Fixed | Blob | Step"
Step: TypeAlias = "Statement | Check | Run | Record | Maybe | Loop | Branches"


@dataclass(slots=True)
class Decoder:
    """The decoder of one definition.

    ``flat``: steps without a loop or call, written out in ``decode_`` as well as in ``read_``.
    ``linked``: a union that continues with itself, arm by arm.
    """

    name: str
    x_name: str
    word: str
    annotation: str
    steps: list[Step]
    flat: bool
    recursive: bool
    chain: Chain | None = None
    linked: bool = False

    @property
    def first(self) -> Step | None:
        """The first step that reads."""
        return next((step for step in self.steps if step.kind in {"run", "record"}), None)

    @property
    def exact(self) -> bool:
        """Whether ``decode_`` is one call that takes a buffer of the right size only."""
        return isinstance(self.first, Run) and bool(self.first.exact)

    @property
    def end(self) -> str:
        """Where the steps of a flat decoder leave off."""
        return "extent" if isinstance(self.first, Record) and self.first.alone else "offset"


@dataclass(slots=True)
class Chain:
    """What the loop over a linked list needs beside the steps of one entry."""

    cls: str
    link: str


@dataclass(slots=True)
class EachDecoder:
    """A private function that reads ``count`` elements of one type.

    ``cls`` is set where all elements are of one class and can be made at once.
    """

    name: str
    x_name: str
    annotation: str
    cls: str
    least: int
    steps: list[Step]
