"""Every arrow of docs/architecture.md, read from the imports of every module, lazy and type-only ones too."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

GENERATOR = [
    {"rpcgen.errors"},
    {"rpcgen.syntax"},
    {"rpcgen.model"},
    {"rpcgen.emit"},
    {"rpcgen.config", "rpcgen.stamp"},
    {"rpcgen.generate"},
    {"rpcgen.dump"},
    {"rpcgen.cli"},
    {"rpcgen.__main__"},
]
"""A module imports what stands in a row before its own, or in its own."""

RUNTIME = [
    {
        "rpcgen.runtime.errors",
        "rpcgen.runtime.exports",
        "rpcgen.runtime.globs",
        "rpcgen.runtime.limits",
        "rpcgen.runtime.tomlfile",
    },
    {"rpcgen.runtime.process"},
    {"rpcgen.runtime.xdr", "rpcgen.runtime.values", "rpcgen.runtime.shapes"},
    {"rpcgen.runtime.reader", "rpcgen.runtime.writer"},
    {"rpcgen.runtime.program"},
    {
        "libvirt_rpc.libvirt_common",
        "libvirt_rpc.virnetprotocol",
        "libvirt_rpc.virkeepaliveprotocol",
    },
    {"rpcgen.runtime.message"},
    {"rpcgen.runtime.framing", "rpcgen.runtime.keepalive", "rpcgen.runtime.outbox"},
    {"rpcgen.runtime.state"},
    {"rpcgen.runtime.streams"},
    {"rpcgen.runtime.connection"},
    {"rpcgen.runtime.client_connection", "rpcgen.runtime.server_connection"},
    {"rpcgen.runtime.auth"},
    {"rpcgen.runtime.interfaces"},
    {"rpcgen.runtime.stubs"},
    {"rpcgen.runtime.access"},
    {
        "rpcgen.runtime.files",
        "rpcgen.runtime.transport",
        "rpcgen.runtime.tls",
        "rpcgen.runtime.mdns",
    },
    {"rpcgen.runtime.client", "rpcgen.runtime.server"},
    {"rpcgen.runtime.connecting"},
    {"libvirt_rpc.admin_protocol"},
    {"rpcgen.runtime.daemon"},
    {"rpcgen.runtime"},
    {"rpcgen.libvirt"},
]
"""The same for the runtime, which sees nothing of the generator, and what stands on it.

Our own wire structures are generated, like any other, and come from below.
"""

STRANGERS = [
    ("rpcgen.runtime.client", "rpcgen.runtime.server"),
    ("rpcgen.runtime.client", "rpcgen.runtime.server_connection"),
    ("rpcgen.runtime.server", "rpcgen.runtime.client_connection"),
    ("rpcgen.runtime.client", "rpcgen.runtime.transport"),
    ("rpcgen.runtime.process", "rpcgen.runtime.limits"),
]
"""Pairs that must not know each other, in either direction, whatever their rows."""

SANS_IO = ["framing", "keepalive", "outbox", "state", "streams", "connection", "message"]
SANS_IO += ["client_connection", "server_connection"]
"""Modules of the protocol's core, which know no sockets, threads or clocks."""

WORLDLY = {"asyncio", "select", "selectors", "socket", "ssl", "threading", "time", "os", "logging"}

GENERATED = [
    {"constants"},
    {"types"},
    {"encoder", "decoder"},
    {"program"},
    {"client", "server"},
]
"""The same within a generated package."""

THIRD_PARTY = {
    "ply": "rpcgen.syntax",
    "jinja2": "rpcgen.emit.render",
    "black": "rpcgen.emit.formatting",
    "cryptography": "rpcgen.runtime.tls",
    "scramp": "rpcgen.runtime.auth",
    "gssapi": "rpcgen.runtime.auth",
    "dbus_fast": "rpcgen.runtime.auth",
    "zeroconf": "rpcgen.runtime.mdns",
    "asyncssh": "rpcgen.libvirt.sshlibrary",
}
"""The one place of each package that is not Python's own."""


def modules(folder: str, root: Path = ROOT) -> dict[str, Path]:
    """Dotted names of all modules below a folder."""
    paths = {
        path.relative_to(root).with_suffix(""): path
        for path in sorted((root / folder).rglob("*.py"))
    }
    return {".".join(name.parts).removesuffix(".__init__"): path for name, path in paths.items()}


OURS = modules("rpcgen")
BOTH_WAYS = STRANGERS + [(b, a) for a, b in STRANGERS]
COMMITTED = modules("libvirt_rpc", ROOT / "generated") | {
    name: path for name, path in OURS.items() if ".bindings" in name
}
BY_HAND = {name: path for name, path in OURS.items() if name not in COMMITTED}


def imports(module: str, source: str) -> Iterator[str]:
    """The modules that a module names in its imports, wherever they stand."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: a relative import hides where it leads"
            origin = str(node.module)
            for alias in node.names:
                name = f"{origin}.{alias.name}"
                yield name if name in OURS or name in COMMITTED else origin


def is_within(module: str, folder: str) -> bool:
    return module == folder or module.startswith(f"{folder}.")


def row(module: str, rows: list[set[str]]) -> int | None:
    """The row that a module belongs to."""
    for number, names in enumerate(rows):
        if module in names or any(is_within(module, name) for name in names - {"rpcgen.runtime"}):
            return number
    return None


def is_allowed(importer: str, imported: str) -> bool:
    """Whether one module may import another."""
    package = imported.partition(".")[0]
    if package in sys.stdlib_module_names:
        return True
    if any(is_within(importer, a) and is_within(imported, b) for a, b in BOTH_WAYS):
        return False
    if importer == "rpcgen.cli" and is_within(imported, "rpcgen.examples"):
        return True  # what ``rpcgen demo`` runs
    if is_within(importer, "rpcgen.libvirt") and package == "libvirt_rpc":
        return True
    if package not in ("rpcgen", "libvirt_rpc"):
        return package in THIRD_PARTY and is_within(importer, THIRD_PARTY[package])
    if imported == "rpcgen":
        return True  # its docstring and its version
    is_above = is_within(importer, "rpcgen.runtime") or is_within(importer, "rpcgen.libvirt")
    rows = RUNTIME if is_above else GENERATOR
    own, other = row(importer, rows), row(imported, rows)
    return own is not None and other is not None and other <= own


def is_allowed_in_generated(importer: str, imported: str) -> bool:
    """Whether a generated module may import another module."""
    if imported.partition(".")[0] in sys.stdlib_module_names or is_within(
        imported, "rpcgen.runtime"
    ):
        return True
    (package, _, name), (other, _, wanted) = importer.rpartition("."), imported.rpartition(".")
    if package.rpartition(".")[0] != other.rpartition(".")[0]:
        return False
    own, theirs = row(name, GENERATED), row(wanted, GENERATED)
    return own is not None and theirs is not None and theirs <= own and importer != imported


@pytest.mark.parametrize(
    "module", [name for name in BY_HAND if not is_within(name, "rpcgen.examples")]
)
def test_imports_go_one_way(module: str) -> None:
    found = imports(module, BY_HAND[module].read_text())
    assert [name for name in found if not is_allowed(module, name)] == []


def test_examples_use_what_a_user_has() -> None:
    for module in (name for name in BY_HAND if is_within(name, "rpcgen.examples")):
        allowed = (
            "rpcgen.runtime",
            "rpcgen.libvirt",
            "libvirt_rpc",
            "rpcgen.examples.progress",
            ".".join(module.split(".")[:3]),
        )
        for name in imports(module, BY_HAND[module].read_text()):
            package = name.partition(".")[0]
            assert package in sys.stdlib_module_names or any(
                is_within(name, one) for one in allowed
            )


@pytest.mark.parametrize("module", COMMITTED)
def test_generated_modules_import_the_runtime_and_each_other(module: str) -> None:
    found = imports(module, COMMITTED[module].read_text())
    assert [name for name in found if not is_allowed_in_generated(module, name)] == []


@pytest.mark.parametrize("module", [name for name in BY_HAND if name != "rpcgen"])
def test_every_module_has_a_place(module: str) -> None:
    rows = [*GENERATOR, *RUNTIME, {"rpcgen.examples"}]
    assert row(module, rows) is not None, "put it into a row, here and in docs/architecture.md"


@pytest.mark.parametrize("name", SANS_IO)
def test_the_core_does_no_io(name: str) -> None:
    module = f"rpcgen.runtime.{name}"
    assert WORLDLY.isdisjoint(imports(module, BY_HAND[module].read_text()))


def test_the_top_imports_nothing() -> None:
    assert list(imports("rpcgen", OURS["rpcgen"].read_text())) == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("rpcgen.errors", "rpcgen.syntax.tree"),
        ("rpcgen.syntax.grammar", "rpcgen.model.types"),
        ("rpcgen.model.build", "rpcgen.emit.names"),
        ("rpcgen.emit.output", "rpcgen.stamp"),
        ("rpcgen.generate", "rpcgen.cli"),
        ("rpcgen.cli", "rpcgen.runtime.program"),
        ("rpcgen.model.build", "ply.yacc"),
        ("rpcgen.emit.naming", "jinja2"),
        ("rpcgen.generate", "black.mode"),
        ("rpcgen.runtime.xdr", "rpcgen.errors"),
        ("rpcgen.runtime.xdr", "rpcgen.runtime.program"),
        ("rpcgen.runtime.program", "black"),
        ("rpcgen.runtime.new", "rpcgen.runtime.errors"),
        ("rpcgen.runtime.client.sync", "rpcgen.runtime.server.session"),
        ("rpcgen.runtime.server.session", "rpcgen.runtime.client.sync"),
        ("rpcgen.runtime.client.sync", "rpcgen.runtime.transport.dial"),
        ("rpcgen.runtime.message", "libvirt_rpc.remote_protocol.types"),
        ("rpcgen.runtime.xdr", "libvirt_rpc.virnetprotocol.types"),
        ("rpcgen.runtime.connecting", "rpcgen.libvirt.uri"),
        ("rpcgen.generate", "rpcgen.examples.filer"),
        ("rpcgen.cli", "requests"),
    ],
)
def test_an_arrow_the_wrong_way_is_seen(importer: str, imported: str) -> None:
    assert not is_allowed(importer, imported)


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("libvirt_rpc.a.types", "libvirt_rpc.a.encoder"),
        ("libvirt_rpc.a.types", "libvirt_rpc.a.types"),
        ("libvirt_rpc.a.types", "elsewhere.a.types"),
        ("libvirt_rpc.a.types", "rpcgen.errors"),
        ("libvirt_rpc.a.types", "ply"),
    ],
)
def test_an_arrow_out_of_generated_code_is_seen(importer: str, imported: str) -> None:
    assert not is_allowed_in_generated(importer, imported)


def test_imports_in_functions_and_for_types_count() -> None:
    source = "def f():\n    import black\nif TYPE_CHECKING:\n    from rpcgen import cli\n"
    assert set(imports("m", source)) == {"black", "rpcgen.cli"}
