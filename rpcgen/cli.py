"""The command line: the only place that knows argv, prints, and chooses an exit code.

0: done. 1: the input is wrong, the output is stale, or a file cannot be read or written. 2: wrong
usage. 130: Ctrl-C. What the user asked for goes to stdout, what we have to say about it to stderr.
What takes long to import is imported by the command that needs it.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress

from rpcgen import __version__
from rpcgen.config import Config, find_config, is_package_name
from rpcgen.emit.output import Changes
from rpcgen.errors import Diagnostics, SpecError, SpecErrors, as_github, as_json, as_text
from rpcgen.generate import Settings, Task, generate, load_modules

_EXTRA = 'pip install "rpcgen[generator]"'
_EXTRA_PACKAGES = frozenset({"ply", "jinja2", "black"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; wrong usage raises SystemExit(2), as argparse does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options = _parser().parse_args(argv)
        status: int = options.run(options)
        print(end="", flush=True)
        return status
    except SpecError as error:
        return _failed(as_text(error))
    except SpecErrors as found:
        return _failed(*map(as_text, _in_order(found)))
    except BrokenPipeError:
        return _failed()
    except OSError as failure:
        return _failed(f"rpcgen: error: {_reason(failure)}")
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in _EXTRA_PACKAGES:
            raise
        return _failed(f"rpcgen: error: {missing.name} is not installed: {_EXTRA}")
    except KeyboardInterrupt:
        _failed("rpcgen: interrupted")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rpcgen",
        description="Typed Python from .x protocol definitions.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_generate(
        commands.add_parser(
            "generate",
            allow_abbrev=False,
            help="write Python packages",
            description="Write one Python package for each FILE.x; without FILE.x, all that "
            "[tool.rpcgen] of the nearest pyproject.toml lists. All files are written, or none.",
        )
    )
    _add_lint(
        commands.add_parser(
            "lint",
            allow_abbrev=False,
            help="check definitions and write nothing",
            description="Check each FILE.x; without FILE.x, all that [tool.rpcgen] lists.",
        )
    )
    _add_dump(
        commands.add_parser(
            "dump",
            allow_abbrev=False,
            help="show what a definition means, as JSON",
            description="Print the model of FILE.x as JSON, .x names beside Python names.",
        )
    )
    commands.add_parser(
        "demo",
        allow_abbrev=False,
        help="run a server and clients made from a .x",
        description="Start the server of the example filer on a UNIX socket in a temporary "
        "folder, call it through generated clients, and print what happens.",
    ).set_defaults(run=_demo)
    return parser


def _add_generate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_generate, usage_error=parser.error)
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE.x")
    add("-o", dest="directory", metavar="DIR", help="folder of the packages (default: this one)")
    add("--package", type=_package, metavar="NAME", help="dotted name under which DIR is imported")
    _add_lookup(parser)
    add(
        "--check",
        action="store_true",
        help="write nothing; exit 1 and print a diff if anything is stale",
    )
    add(
        "--depfile",
        default="",
        metavar="FILE",
        help="write what depends on what, for make and ninja",
    )
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("-q", "--quiet", action="store_true", help="no summary")
    volume.add_argument("-v", "--verbose", action="store_true", help="name each file written")


def _add_lint(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_lint, usage_error=parser.error, directory=None, package=None)
    parser.add_argument("files", nargs="*", metavar="FILE.x")
    _add_lookup(parser)
    parser.add_argument(
        "--pedantic", action="store_true", help="warn of forms that are not in the RFCs"
    )
    parser.add_argument(
        "--format", choices=_REPORTS, default="text", help="(default: text, on stderr)"
    )


def _add_dump(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_dump, usage_error=parser.error, directory=None, package=None)
    parser.add_argument("files", nargs=1, metavar="FILE.x")
    _add_lookup(parser)
    parser.add_argument("--tree", action="store_true", help="the syntax tree instead of the model")


def _add_lookup(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "-I",
        dest="include",
        action="append",
        default=[],
        metavar="DIR",
        help="look here for imports too",
    )
    add(
        "-D",
        dest="defines",
        action="append",
        default=[],
        type=_define,
        metavar="NAME=VALUE",
        help="a constant",
    )
    add(
        "--constants",
        action="append",
        default=[],
        metavar="FILE",
        help="take constants from a C header, a .toml or another .x",
    )


def _package(text: str) -> str:
    if is_package_name(text):
        return text
    raise argparse.ArgumentTypeError(f"expected the dotted name of a package, got {text!r}")


def _define(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if name.isidentifier():
        return name, value if equals else "1"
    raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")


# What the options and the configuration ask for together


def _settings(options: argparse.Namespace, config: Config) -> Settings:
    return Settings(
        dict(options.defines),
        config.constants,
        (*config.constants_files, *options.constants),
        config.rename,
    )


def _tasks(options: argparse.Namespace, config: Config) -> list[Task]:
    if options.files:
        return [_task_of_files(options, config)]
    if options.directory or options.package or options.include:
        options.usage_error(
            "-o, --package and -I need a FILE.x: without one, [tool.rpcgen] decides"
        )
    if not config.output:
        options.usage_error(
            "no FILE.x given, and no [tool.rpcgen] in a pyproject.toml here or above"
        )
    return [
        Task(one.inputs, one.directory, one.package, one.include, one.wire_lock, whole=True)
        for one in config.output
    ]


def _task_of_files(options: argparse.Namespace, config: Config) -> Task:
    """The files named, once each; those of the project are looked up as the project says."""
    files = {os.path.abspath(path): path for path in options.files}
    include = list(options.include)
    for output in config.output:
        if not files.keys().isdisjoint(map(os.path.abspath, output.inputs)):
            include += output.include
    return Task(
        tuple(files.values()), options.directory or "", options.package or "", tuple(include)
    )


# Commands


def _generate(options: argparse.Namespace) -> int:
    config = find_config()
    tasks, settings = _tasks(options, config), _settings(options, config)
    diagnostics = Diagnostics()
    try:
        changes = generate(
            tasks, settings, diagnostics, depfile=options.depfile, check=options.check
        )
    finally:
        _say(*map(as_text, diagnostics.warnings))
    if options.check:
        return _checked(changes)
    if options.verbose:
        _show(f"wrote {path}" for path in sorted(changes.writes))
        _show(f"removed {path}" for path in sorted(changes.removals))
    if not options.quiet:
        _show([_summary(changes)])
    return 0


def _checked(changes: Changes) -> int:
    if not changes:
        return 0
    _show(line.removesuffix("\n") for line in changes.difference())
    count = len(changes.writes) + len(changes.removals)
    what = "1 file is" if count == 1 else f"{count} files are"
    _say(*changes.hints)
    return _failed(f"rpcgen: error: {what} stale: run rpcgen generate")


def _summary(changes: Changes) -> str:
    if not changes:
        return "nothing to do: all is up to date"
    unchanged = len(changes.outputs) - len(changes.writes)
    return f"{len(changes.writes)} written, {len(changes.removals)} removed, {unchanged} unchanged"


def _lint(options: argparse.Namespace) -> int:
    from rpcgen.emit.naming import Naming

    config = find_config()
    settings = _settings(options, config)
    diagnostics = Diagnostics(pedantic=options.pedantic)
    # Whatever is raised has been recorded.
    with suppress(SpecErrors):
        for task in _tasks(options, config):
            for module in load_modules(task.inputs, task.include, settings, diagnostics):
                Naming(module, task.package, settings.rename).check(diagnostics)
    _REPORTS[options.format](diagnostics)
    return 1 if diagnostics.errors else 0


def _dump(options: argparse.Namespace) -> int:
    from rpcgen.dump import dump_model, dump_tree

    config = find_config()
    settings = _settings(options, config)
    (task,) = _tasks(options, config)
    _show([dump_tree(task, settings) if options.tree else dump_model(task, settings)])
    return 0


def _demo(_options: argparse.Namespace) -> int:
    from rpcgen.examples.filer.demo import run

    return 0 if run() else 1


# What is printed


def _report_text(diagnostics: Diagnostics) -> None:
    _say(*map(as_text, diagnostics))


def _report_json(diagnostics: Diagnostics) -> None:
    _show([as_json(diagnostics)])


def _report_github(diagnostics: Diagnostics) -> None:
    _show(map(as_github, diagnostics))


_REPORTS = {"text": _report_text, "json": _report_json, "github": _report_github}


def _in_order(found: SpecErrors) -> Iterable[SpecError]:
    """By place: the steps of a run find errors in an order that means nothing to a reader."""
    diagnostics = Diagnostics()
    diagnostics.errors.extend(found.errors)
    return diagnostics


def _show(lines: Iterable[str]) -> None:
    """What was asked for."""
    for line in lines:
        print(line)


def _say(*lines: str) -> None:
    """What we have to say about it; if nobody listens, that is no reason to fail."""
    with suppress(OSError):
        print(*lines, sep="\n", end="\n" if lines else "", file=sys.stderr, flush=True)


def _failed(*lines: str) -> int:
    """Say why, and leave nothing in stdout that could fail once more at the exit of the interpreter."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    _say(*lines)
    return 1


def _reason(failure: OSError) -> str:
    reason = failure.strerror or str(failure)
    return f"{failure.filename}: {reason}" if failure.filename else reason
