"""From a module of the model to the text of its Python files: the only user of jinja2.

Everything a template needs is complete before rendering starts; rendering has no side
effects. Formatting, and writing to disk, are ``output``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from rpcgen.emit.naming import Naming
from rpcgen.emit.program_view import program_view
from rpcgen.emit.view import module_view
from rpcgen.errors import Diagnostics, SpecError, SpecErrors
from rpcgen.model.types import Module

TYPE_FILES = ("__init__.py", "constants.py", "types.py", "encoder.py", "decoder.py")
"""What every ``.x`` file becomes."""

PROGRAM_FILES = ("program.py", "client.py", "server.py")
"""What a file with a program becomes besides."""


def render_module(module: Module, *, package: str, rename: Mapping[str, str]) -> dict[str, str]:
    """The files generated for one module: name to text, not yet formatted.

    Args:
        module: the model of one ``.x`` file.
        package: the dotted package that holds one package per ``.x`` file; may be empty.
        rename: other spellings for ``.x`` names, from ``[tool.rpcgen.rename]``.

    Raises:
        SpecErrors: two ``.x`` names become one Python name.
    """
    naming = Naming(module, package, rename)
    diagnostics = Diagnostics()
    naming.check(diagnostics)
    diagnostics.check()
    try:
        return _files(module, naming)
    except RecursionError:
        message = f"the types of {module.file} contain each other over too many levels"
        hint = "the generator follows some hundred types that contain the next one"
        raise SpecErrors([SpecError(message, hint=hint)]) from None


def _files(module: Module, naming: Naming) -> dict[str, str]:
    view = module_view(module, naming)
    files = {name: _render(name, view) for name in TYPE_FILES}
    if module.programs:
        programs = program_view(module, naming)
        files |= {name: _render(name, programs) for name in PROGRAM_FILES}
    return files


def _render(name: str, view: object) -> str:
    return _environment().get_template(f"{name}.j2").render(module=view)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rpcgen.emit"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  (the output is Python, not HTML)
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.loopcontrols"],
    )
    environment.filters["docstring"] = docstring
    return environment


def docstring(text: str, width: int = 4) -> str:
    """A triple-quoted docstring from prose, its lines after the first indented by ``width`` blanks."""
    escaped = text.strip().replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    if escaped.endswith('"'):
        escaped = escaped[:-1] + '\\"'
    margin = " " * width
    lines = [line.rstrip() for line in escaped.split("\n")]
    body = "\n".join([lines[0], *(margin + line if line else "" for line in lines[1:])])
    return f'"""{body}\n{margin}"""' if len(lines) > 1 else f'"""{body}"""'
