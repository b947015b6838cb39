"""The words that decoders and encoders share: what a template writes as it is, and when it gives up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(slots=True)
class Statement:
    """One line of Python."""

    kind: ClassVar[str] = "statement"
    text: str


@dataclass(slots=True)
class Check:
    """A condition under which the straight line gives up."""

    kind: ClassVar[str] = "check"
    condition: str
