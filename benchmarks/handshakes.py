"""Connections per second, plain and inside TLS: ours, Python's own sockets, and OpenSSL's load.

Each client meets each server, on the same certificates, both sides showing one. Nothing is resumed, as with libvirt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
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
from benchmarks.peers import announcing, certificates, s_time
from benchmarks.peers.certificates import VERSIONS
from benchmarks.processes import Missing, python, server, worker

OURS, PYTHON = "rpcgen", "Python"

PLAIN: Final = "TCP"

_CLIENTS: Final = {OURS: "rpcgen", PYTHON: "ssl"}

_OF_PYTHON: Final = ((OURS, PYTHON), (PYTHON, OURS), (OURS, OURS))
"""Client and server, to be compared with Python's own on both sides."""


@dataclass(frozen=True, slots=True)
class Listening:
    """A server.

    Attributes:
        pid: of it.
        addresses: by kind, the part before the colon.
    """

    pid: int
    addresses: Mapping[str, str]


def run(folder: Path, effort: Effort) -> Section:
    """Start everyone, measure, and sum up.

    Raises:
        Missing: there can be no certificates.
    """
    missing: list[str] = []
    with ExitStack() as stack:
        everyone = _contestants(stack, folder, effort, missing)
        figures = interleave(everyone, effort.rounds)
    return Section(_text(figures), _targets(figures), [], missing)


def listening(
    stack: ExitStack, own: Path, module: str, *arguments: str | Path, inside: Sequence[str] = ()
) -> Listening:
    """Start a server that announces itself, with a new folder of its own.

    Args:
        inside: the beginning of a command that runs it in another environment.
    """
    own.mkdir()
    command = [*inside, *python(f"benchmarks.peers.{module}", own, *arguments)]
    pid = stack.enter_context(server(command, announcing.ready(own), own / "log"))
    return Listening(pid, {one.partition(":")[0]: one for one in announcing.addresses(own)})


def _name(client: str, listener: str, kind: str) -> str:
    return f"{kind}: {client}, {listener}"


def _contestants(
    stack: ExitStack, folder: Path, effort: Effort, missing: list[str]
) -> dict[str, Callable[[], Cost]]:
    pki = certificates.write(folder / "pki")
    servers = {
        OURS: listening(stack, folder / "ours", "guarded_server", pki, "none"),
        PYTHON: listening(stack, folder / "ssl", "ssl_server", pki),
    }
    found: dict[str, Callable[[], Cost]] = {}
    for title, one in servers.items():
        for kind in (PLAIN, *VERSIONS):
            address = one.addresses["tcp" if kind == PLAIN else "tls"]
            for client, word in _CLIENTS.items():
                command = python("benchmarks.peers.connect_worker", word, address, pki, kind)
                log = folder / f"{word}-{title[:6]}-{kind}.log"
                peer = stack.enter_context(worker(command, log))
                found[_name(client, title, kind)] = _repeated(
                    clients.Contestant(peer, one.pid, "sequential"), effort.seconds
                )
            if kind != PLAIN:
                found |= _openssl(one, title, pki, kind, missing)
    return found


def _repeated(one: clients.Contestant, seconds: float) -> Callable[[], Cost]:
    return partial(one.run, one.number(seconds))


def _openssl(
    one: Listening, title: str, pki: Path, version: str, missing: list[str]
) -> dict[str, Callable[[], Cost]]:
    try:
        load = s_time.load(one.pid, one.addresses["tls"], pki, version)
    except Missing as word:
        if str(word) not in missing:
            missing.append(str(word))
        return {}
    return {_name(s_time.NAME, title, version): load.run}


# What came out


def _text(figures: Figures) -> str:
    rows = [
        [
            name,
            thousands(figures.rate(name)),
            f"{figures.times(name, _base(name)):.2f}x",
            duration(figures.client(name)),
            duration(figures.server(name)),
        ]
        for name in figures.costs
    ]
    head = [
        "client, server",
        "a second",
        f"of {PYTHON}",
        "client's processor",
        "server's processor",
    ]
    return f"Connections, opened and closed:\n\n{report.table(head, rows)}"


def _base(name: str) -> str:
    return _name(PYTHON, PYTHON, name.partition(":")[0])


def _targets(figures: Figures) -> list[Target]:
    found = []
    for version in VERSIONS:
        for pair in _OF_PYTHON:
            name, base = _name(*pair, version), _name(PYTHON, PYTHON, version)
            found.append(Target.ratio(name, base, None, figures.times(name, base)))
        tcp, name = _name(OURS, OURS, PLAIN), _name(OURS, OURS, version)
        found.append(Target.ratio(name, tcp, None, figures.times(name, tcp)))
    return found
