"""Black, the only place where it is imported: drafts in, formatted text out, in several processes.

Problem: formatting takes nearly all of the time of a run, and black keeps one processor busy.
Options: ``concurrent.futures`` (on the Pythons we support, it hangs for good if a worker ends while
a big draft is on its way to it, as Ctrl-C makes it do), threads (black holds the lock). Choice: one
process for each processor, each with its share from the start. It reads everything before it
works and writes everything when it is done, so neither side can wait for the other, and if its
parent is killed it ends with its share.
"""

from __future__ import annotations

import ast
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from rpcgen.emit.interrupts import interrupts_held

_LINE_LENGTH = 100

_WORTH_A_PROCESS = 50_000
"""Starting a process and importing black in it takes as long as formatting so many characters."""

_WORKER = """
import json, sys
sys.path, drafts = json.load(sys.stdin)
from rpcgen.emit.formatting import format_draft
json.dump([format_draft(draft) for draft in drafts], sys.stdout)
"""


def format_drafts(drafts: Sequence[str]) -> list[str]:
    """Format each draft, in several processes where that pays."""
    count = min(len(drafts), sum(map(len, drafts)) // _WORTH_A_PROCESS, _processors())
    if count < 2:
        return [format_draft(draft) for draft in drafts]
    finals: dict[int, str] = {}
    shares = _shares(drafts, count)
    with _workers([[drafts[index] for index in share] for share in shares]) as results:
        for share, result in zip(shares, results, strict=True):
            finals.update(zip(share, result, strict=True))
    return [finals[index] for index in range(len(drafts))]


def _shares(drafts: Sequence[str], count: int) -> list[list[int]]:
    """Which drafts each of ``count`` processes gets: the biggest first, always to whom has least."""
    shares: list[list[int]] = [[] for _ in range(count)]
    sizes = [0] * count
    for index in sorted(range(len(drafts)), key=lambda index: -len(drafts[index])):
        least = sizes.index(min(sizes))
        shares[least].append(index)
        sizes[least] += len(drafts[index])
    return shares


@contextmanager
def _workers(shares: Sequence[Sequence[str]]) -> Iterator[Iterator[list[str]]]:
    """One process for each share; yields what each returns. None outlives the block."""
    started: list[subprocess.Popen[str]] = []
    try:
        with interrupts_held():  # Ctrl-C is for us alone: they end because we end them
            started.extend(_start() for _ in shares)
        for worker, share in zip(started, shares, strict=True):
            _send(worker, json.dumps([sys.path, share]))
        yield map(_receive, started)
    finally:
        for worker in started:
            with suppress(BrokenPipeError), worker:
                worker.kill()


def _start() -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WORKER]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)  # noqa: S603  (ourselves)


def _send(worker: subprocess.Popen[str], text: str) -> None:
    if worker.stdin:
        with suppress(BrokenPipeError):  # it has ended; its exit code will say why
            worker.stdin.write(text)
            worker.stdin.close()


def _receive(worker: subprocess.Popen[str]) -> list[str]:
    text = worker.stdout.read() if worker.stdout else ""
    status = worker.wait()
    if status < 0:
        raise ChildProcessError(f"a formatting process was ended by {signal.Signals(-status).name}")
    if status:
        raise AssertionError("a formatting process failed, see above")
    finals: list[str] = json.loads(text)
    return finals


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def format_draft(draft: str) -> str:
    """One draft as black lays it out, proved to mean the same.

    Black's own proof formats everything twice; comparing the two trees is all that our templates need.
    """
    from black import format_str
    from black.mode import Mode, TargetVersion

    mode = Mode(line_length=_LINE_LENGTH, target_versions={TargetVersion.PY311})
    with _collector_paused():
        final = format_str(draft, mode=mode)
        if _meaning(draft) != _meaning(final):
            raise AssertionError("black changed the meaning of a draft")
    return final


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Trees of a million nodes, none of them garbage before the end: looking for some is a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _meaning(source: str) -> str:
    """The syntax tree as text, without the white space in docstrings that black is free to change."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and (doc := ast.get_docstring(node)):
            lines = map(str.strip, doc.strip().splitlines())
            node.body[0] = ast.Expr(ast.Constant("\n".join(lines)))
    return ast.dump(tree)
