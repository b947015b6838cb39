"""What an encoder is made of: items before fields are fused, steps and blocks for the template after.

A step holds the expressions that it needs; the template holds the statements.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from rpcgen.emit.steps import Check, Statement
from rpcgen.model.types import Union

# Items: what a value is made of on the wire, one after the other, before fusion.


@dataclass(slots=True)
class Fixed:
    """A field of fixed size: its code and the expression packed."""

    code: str
    value: str


@dataclass(slots=True)
class Blob:
    """Bytes of variable length in the local ``raw``; ``length`` is the local that has their number."""

    raw: str
    length: str
    maximum: int


@dataclass(slots=True)
class Part:
    """An expression that is encoded already."""

    value: str


# Steps: what is written before the parts are packed.


@dataclass(slots=True)
class Maybe:
    """An optional, encoded into the local ``target``."""

    kind: ClassVar[str] = "maybe"
    value: str
    target: str
    body: Block


@dataclass(slots=True)
class Loop:
    """A list, encoded element by element into the local ``target``."""

    kind: ClassVar[str] = "loop"
    values: str
    item: str
    target: str
    body: Block


@dataclass(slots=True)
class Block:
    """Steps, then the parts whose concatenation is the value; or one block for each arm of a union."""

    steps: list[Step]
    parts: list[str]
    arms: list[ArmBlock] = field(default_factory=list)
    subject: str = ""

    @property
    def result(self) -> str:
        """The parts as one expression."""
        if len(self.parts) > 2:
            return f'b"".join(({", ".join(self.parts)}))'
        return " + ".join(self.parts) or 'b""'


@dataclass(slots=True)
class ArmBlock:
    """What is written for one class of a union."""

    cls: str
    body: Block


Item: TypeAlias = "Fixed | Blob | Part | Step | Arms"
Step: TypeAlias = "Statement | Check | Maybe | Loop"


@dataclass(slots=True)
class Arms:
    """A union in place at the end of its owner: what stands before it is packed with each arm."""

    value: str
    union: Union


@dataclass(slots=True)
class Encoder:
    """The encoder of one definition; ``link`` is where a linked list goes on."""

    name: str
    x_name: str
    word: str
    hint: str
    body: Block
    recursive: bool
    link: str = ""


@dataclass(slots=True)
class EachEncoder:
    """A private function that encodes the elements of a list of one type."""

    name: str
    x_name: str
    hint: str
    body: Block
