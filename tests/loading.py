"""Loading a text as if it were a file, with everything that is said about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from rpcgen.model.types import Module, TypeDefinition


@dataclass
class Loaded:
    """The modules of a run, and everything that was said about them, as ``error: 3:5: message``."""

    modules: list[Module]
    said: list[str]

    @property
    def module(self) -> Module:
        """The first one."""
        return self.modules[0]

    def type(self, name: str) -> TypeDefinition:
        """A definition of the first module."""
        return next(one for one in self.module.types if one.name == name)


class Loads(Protocol):
    """What the fixture ``loads`` is."""

    def __call__(
        self, text: str, /, *wanted: str, pedantic: bool = False, **options: Any
    ) -> Loaded: ...
