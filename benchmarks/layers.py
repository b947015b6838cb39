"""Calls and streams of our sync client and server on each transport: UNIX, TCP, TLS, and a layer of SASL.

Beside them a copy through Python's own ``ssl``: the limit of what streams can do inside TLS. A MB is a million bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import clients, report, streams
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
from benchmarks.peers import certificates, kerberos
from benchmarks.peers.certificates import VERSIONS
from benchmarks.processes import Missing, Worker, place, python, worker

UNIX, TCP, GSSAPI = "UNIX socket", "TCP", "TCP, GSSAPI's layer"

_CALLS: Final = "calls"

_RAW: Final = "a copy, Python's ssl, {}"

_AGAINST: Final = {
    TCP: [UNIX],
    **{version: [TCP, _RAW.format(version)] for version in VERSIONS},
    GSSAPI: [TCP],
}
"""What each transport is compared with."""

_MEGABYTE: Final = 1_000_000


def run(folder: Path, effort: Effort) -> Section:
    """Start everyone, measure, and sum up."""
    missing: list[str] = []
    with ExitStack() as stack:
        everyone = dict(_everyone(stack, folder, missing))
        results = {
            operation: interleave(
                {
                    name: _repeated(operation, *one, effort)
                    for name, one in everyone.items()
                    if _worked(operation) in one[0].operations
                },
                effort.rounds,
            )
            for operation in (_CALLS, *streams.OPERATIONS)
        }
    return Section(_text(results), _targets(results), [], missing)


def _worked(operation: str) -> str:
    """What a worker calls it."""
    return "sequential" if operation == _CALLS else operation


def _repeated(operation: str, client: Worker, pid: int, effort: Effort) -> Callable[[], Cost]:
    if operation == _CALLS:
        one = clients.Contestant(client, pid, "sequential")
        return partial(one.run, one.number(effort.seconds))
    for peer in (client.pid, pid):
        place(peer, os.sched_getaffinity(0))  # calls have left them where they were
    return partial(streams.Contestant(client, pid).run, operation, effort.size)


# Who takes part


def _everyone(
    stack: ExitStack, folder: Path, missing: list[str]
) -> Iterator[tuple[str, tuple[Worker, int]]]:
    """Each transport, and on it a client and a server's pid."""
    for peers in (_sockets, _tls, _gssapi):
        try:
            yield from peers(stack, folder)
        except Missing as word:
            missing.append(str(word))


def _client(stack: ExitStack, log: Path, *arguments: str | Path) -> Worker:
    return stack.enter_context(worker(python("benchmarks.peers.layer_worker", *arguments), log))


def _sockets(stack: ExitStack, folder: Path) -> Iterator[tuple[str, tuple[Worker, int]]]:
    ours = listening(stack, folder / "plain", "guarded_server", "-", "none")
    for name, kind in ((UNIX, "unix"), (TCP, "tcp")):
        log = folder / f"{kind}.log"
        yield name, (_client(stack, log, ours.addresses[kind], "-", "-"), ours.pid)


def _tls(stack: ExitStack, folder: Path) -> Iterator[tuple[str, tuple[Worker, int]]]:
    pki = certificates.write(folder / "pki")
    ours = listening(stack, folder / "tls", "guarded_server", pki, "none")
    for version in VERSIONS:
        log = folder / f"{version}.log"
        yield version, (_client(stack, log, ours.addresses["tls"], pki, version), ours.pid)
    for version in VERSIONS:
        # It serves one client at a time.
        peer = listening(stack, folder / f"ssl-{version}", "ssl_server", pki)
        log = folder / f"ssl-{version}.log"
        client = _client(stack, log, "ssl", peer.addresses["tls"], pki, version)
        yield _RAW.format(version), (client, peer.pid)


def _gssapi(stack: ExitStack, folder: Path) -> Iterator[tuple[str, tuple[Worker, int]]]:
    inside = stack.enter_context(kerberos.realm(folder / "realm"))
    ours = listening(stack, folder / "gssapi", "guarded_server", "-", "GSSAPI", inside=inside)
    port = ours.addresses["tcp"].rpartition(":")[2]
    command = [*inside, *python("benchmarks.peers.layer_worker", "gssapi", port)]
    client = stack.enter_context(worker(command, folder / "gssapi.log"))
    yield GSSAPI, (client, ours.pid)


# What came out


def _text(results: Mapping[str, Figures]) -> str:
    names = list(results[streams.OPERATIONS[0]].costs)
    rows = [[name, *(_cell(what, one, name) for what, one in results.items())] for name in names]
    head = ["", "calls/s · client, server, a call", *(f"{one}, MB/s" for one in streams.OPERATIONS)]
    return (
        "One call at a time, and MB/s, with the processor time of client and server for a call or a MB:"
        f"\n\n{report.table(head, rows)}"
    )


def _cell(operation: str, figures: Figures, name: str) -> str:
    if name not in figures.costs:
        return ""
    unit = 1 if operation == _CALLS else _MEGABYTE
    rate = figures.rate(name) / unit
    both = ", ".join(duration(one(name) * unit) for one in (figures.client, figures.server))
    return f"{thousands(rate) if operation == _CALLS else f'{rate:,.0f}'} · {both}"


def _targets(results: Mapping[str, Figures]) -> list[Target]:
    return [
        Target.ratio(f"{operation}: {name}", base, None, figures.times(name, base))
        for operation, figures in results.items()
        for name, bases in _AGAINST.items()
        for base in bases
        if {name, base} <= figures.costs.keys()
    ]
