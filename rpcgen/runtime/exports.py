"""What a package exports, imported name by name when it is first asked for (PEP 562).

Every generated module pays for this one: it imports nothing before it must.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def lazy(
    package: dict[str, Any], homes: dict[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: its ``globals()``, where a name stays once it has been imported.
        homes: for each module the names that are taken from it, with spaces between.
    """
    home_of = {name: home for home, names in homes.items() for name in names.split()}

    def find(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
        from importlib import import_module

        package[name] = value = getattr(import_module(home_of[name]), name)
        return value

    def listing() -> list[str]:
        return sorted({*package, *package["__all__"]})

    return find, listing
