"""What one generated codec module names besides its own functions: layouts, classes, imports.

Filled while the steps are made, read when the import lines are.
"""

from __future__ import annotations

from rpcgen.emit.layouts import Layouts
from rpcgen.emit.naming import Naming
from rpcgen.model.types import TypeDefinition

SOURCES = {
    "MAX_DEPTH": "rpcgen.runtime.limits",
    "MAX_EMPTY_ELEMENTS": "rpcgen.runtime.limits",
    "MAX_UNCHECKED_LINKS": "rpcgen.runtime.limits",
    "SHORT": "rpcgen.runtime.limits",
    "walk_decode": "rpcgen.runtime.reader",
    "walk_encode": "rpcgen.runtime.writer",
    "walk_read": "rpcgen.runtime.reader",
    "Struct": "struct",
    "pack": "struct",
    "unpack_from": "struct",
    "repeat": "itertools",
    "starmap": "itertools",
}
"""Where a name comes from that is not of ``rpcgen.runtime.xdr``."""


class Uses:
    """The names that one module uses, each noted once.

    Args:
        naming: the names of the module.
        always: names that the template writes in every such module.
    """

    def __init__(self, naming: Naming, *always: str) -> None:
        self._naming = naming
        self.layouts = Layouts()
        self.classes: set[tuple[str, str]] = set()
        """(stem, class) of every class named at run time."""
        self.functions: set[tuple[str, str]] = set()
        """(stem, function) of every codec of another module that is called."""
        self.imported: set[tuple[str, str]] = set()
        """(module, name) of what comes from the runtime and the standard library."""
        for name in always:
            self.name(name)

    def name(self, name: str) -> None:
        """Note a name of the runtime or of the standard library."""
        self.imported.add((SOURCES.get(name, "rpcgen.runtime.xdr"), name))

    def cls(self, definition: TypeDefinition, name: str = "") -> str:
        """The class of a definition, or a class that belongs to it, noted."""
        name = name or self._naming.type(definition)
        self.classes.add((definition.module, name))
        return name

    def codec(self, verb: str, definition: TypeDefinition) -> str:
        """The function that does ``verb`` with a definition, noted if another module has it."""
        function = f"{verb}_{self._naming.function(definition)}"
        if not self._naming.is_local(definition):
            self.functions.add((definition.module, function))
        return function
