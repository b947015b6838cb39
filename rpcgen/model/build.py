"""From files to modules: the order of the steps, and what is shared between the files of a run.

Each step is a module of its own; nothing is decided here but when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rpcgen.errors import Diagnostics
from rpcgen.model import prose
from rpcgen.model.check import check
from rpcgen.model.definitions import Definitions
from rpcgen.model.headers import evaluate
from rpcgen.model.imports import Source, Sources
from rpcgen.model.libvirt import EnumPrograms
from rpcgen.model.programs import Programs
from rpcgen.model.scope import Import, Scope
from rpcgen.model.types import Module
from rpcgen.model.values import Values


def load(
    files: Sequence[str],
    *,
    include_path: Sequence[str] = (),
    defines: Mapping[str, str] | None = None,
    constants: Mapping[str, int] | None = None,
    diagnostics: Diagnostics | None = None,
) -> list[Module]:
    """Read ``.x`` files, follow their imports, and say what they mean.

    Args:
        files: their names, as messages shall show them.
        include_path: folders for ``#include`` and ``%#include``, beside that of the file.
        defines: macros of ``-D``; those that are integers are constants too.
        constants: constants that no file defines.
        diagnostics: collects errors and warnings; without it errors are raised at the end.

    Returns:
        One module for each file that could be read, in order, without repeats. Modules that are only
        imported are reachable through ``imports``.

    Raises:
        SpecErrors: without ``diagnostics``, if there was any error; with it, if there were too many.
    """
    found = diagnostics if diagnostics is not None else Diagnostics()
    external = {**(constants or {}), **_integers(defines or {})}
    sources = Sources(include_path, defines or {}, found)
    wanted = list(dict.fromkeys(source for file in files if (source := sources.read(file))))
    built: dict[Source, tuple[Module, Scope]] = {}
    for source in sources.in_order():
        built[source] = _build(source, built, external, found)
    if diagnostics is None:
        found.check()
    return [built[source][0] for source in wanted]


def _build(
    source: Source,
    built: Mapping[Source, tuple[Module, Scope]],
    external: Mapping[str, int],
    diagnostics: Diagnostics,
) -> tuple[Module, Scope]:
    specification = source.specification
    imports = [Import(built[one][1], at) for one, at in source.imports.items()]
    scope = Scope(
        diagnostics,
        imports=imports,
        external=external,
        damaged=source.damaged or any(one.scope.damaged for one in imports),
        absent=source.absent,
        c_only=source.c_only,
    )
    module = Module(source.file, source.stem, prose.head(specification.remarks))
    module.imports = [built[one][0] for one in source.imports]
    module.inputs = _inputs(source, module)
    values = Values(scope, diagnostics)
    definitions = Definitions(module, scope, values, diagnostics)
    definitions.declare(specification.definitions)
    values.settle()
    definitions.fill()
    Programs(module, scope, values, definitions.declarations, diagnostics).build(
        specification.definitions
    )
    EnumPrograms(module, scope, values, diagnostics).build(definitions.enums)
    definitions.check_tags()
    check(module, diagnostics)
    return module, scope


def _inputs(source: Source, module: Module) -> tuple[str, ...]:
    imported = (file for one in module.imports for file in one.inputs)
    return tuple(dict.fromkeys([source.file, *source.specification.included, *imported]))


def _integers(defines: Mapping[str, str]) -> dict[str, int]:
    values = ((name, evaluate(text, {})) for name, text in defines.items())
    return {name: value for name, value in values if value is not None}
