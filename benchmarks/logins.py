"""Drivers opened and closed per second, without a login, with SCRAM and with GSSAPI.

Beside SCRAM the one thing that no client can do without: PBKDF2 with as many iterations, by ``hashlib``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benchmarks import clients, report
from benchmarks.figures import (
    Cost,
    Effort,
    Figures,
    Section,
    Target,
    duration,
    interleave,
    thousands,
)
from benchmarks.handshakes import listening
from benchmarks.peers import kerberos
from benchmarks.processes import Missing, python, worker
from rpcgen.runtime.auth.scram import ITERATIONS

UNIX, TCP = "UNIX socket", "TCP"
SCRAM, GSSAPI = "UNIX socket, SCRAM-SHA-256", "TCP, GSSAPI"
PBKDF2: Final = f"PBKDF2 alone, {ITERATIONS:,} iterations"

_AGAINST: Final = ((SCRAM, PBKDF2), (SCRAM, UNIX), (GSSAPI, TCP))
"""Ours, and against what."""

_STEP: Final = 4
"""Logins of a try: each takes as long as a thousand calls."""

Runs = dict[str, Callable[[], Cost]]


def run(folder: Path, effort: Effort) -> Section:
    """Start everyone, measure, and sum up."""
    missing: list[str] = []
    with ExitStack() as stack:
        everyone: Runs = {}
        for peers in (_plain, _scram, _gssapi):
            try:
                everyone |= peers(stack, folder, effort)
            except Missing as word:
                missing.append(str(word))
        figures = interleave(everyone, effort.rounds)
    return Section(_text(figures), _targets(figures), [], missing)


def _plain(stack: ExitStack, folder: Path, effort: Effort) -> Runs:
    ours = listening(stack, folder / "plain", "guarded_server", "-", "none")
    where = {UNIX: _uri("unix", ours.addresses["unix"]), TCP: _uri("tcp", ours.addresses["tcp"])}
    return {
        name: _run(stack, folder / f"{name}.log", ours.pid, effort, uri)
        for name, uri in where.items()
    }


def _scram(stack: ExitStack, folder: Path, effort: Effort) -> Runs:
    if not find_spec("scramp"):
        raise Missing("SCRAM: no package scramp")
    ours = listening(stack, folder / "scram", "guarded_server", "-", "SCRAM-SHA-256")
    uri, log = _uri("unix", ours.addresses["unix"]), folder / "derive.log"
    return {
        SCRAM: _run(stack, folder / "scram.log", ours.pid, effort, uri),
        PBKDF2: _run(stack, log, ours.pid, effort, "derive", str(ITERATIONS)),
    }


def _gssapi(stack: ExitStack, folder: Path, effort: Effort) -> Runs:
    inside = stack.enter_context(kerberos.realm(folder / "realm"))
    ours = listening(stack, folder / "gssapi", "guarded_server", "-", "GSSAPI", inside=inside)
    uri = _uri("tcp", ours.addresses["tcp"])
    log = folder / "gssapi.log"
    return {GSSAPI: _run(stack, log, ours.pid, effort, uri, inside=inside)}


def _uri(kind: str, address: str) -> str:
    if kind == "unix":
        return f"test+unix:///default?socket={address.removeprefix('unix://')}"
    return f"test+tcp://localhost:{address.rpartition(':')[2]}/default"


def _run(
    stack: ExitStack,
    log: Path,
    pid: int,
    effort: Effort,
    *arguments: str,
    inside: Sequence[str] = (),
) -> Callable[[], Cost]:
    command = [*inside, *python("benchmarks.peers.login_worker", *arguments)]
    one = clients.Contestant(stack.enter_context(worker(command, log)), pid, "sequential")
    one.run(_STEP)  # what is made once is made
    return partial(one.run, max(_STEP, round(effort.seconds / one.run(_STEP).seconds)))


# What came out


def _text(figures: Figures) -> str:
    rows = [
        [
            name,
            thousands(figures.rate(name)),
            duration(figures.client(name)),
            "" if name == PBKDF2 else duration(figures.server(name)),
        ]
        for name in figures.costs
    ]
    head = ["", "a second", "client's processor", "server's processor"]
    return f"Drivers opened and closed:\n\n{report.table(head, rows)}"


def _targets(figures: Figures) -> list[Target]:
    return [
        Target.ratio(name, base, None, figures.times(name, base))
        for name, base in _AGAINST
        if {name, base} <= figures.costs.keys()
    ]
