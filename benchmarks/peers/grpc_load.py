"""Load for grpcio's servers: nghttp2's h2load, and grpcio's own client.

h2load is in C and knows HTTP/2, but nothing of gRPC: it makes the most calls of all that is at hand. That they were
answered is seen by the bytes of data that came back.
"""

from __future__ import annotations

import re
import resource
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.contestants.protobuf import compiled
from benchmarks.peers import Rate, grpc_server
from benchmarks.processes import Missing, cpu_seconds, python

H2LOAD, GRPCIO = "h2load", "grpcio's aio client"

_FRAME: Final = struct.Struct(">BI")
"""Before every message: whether it is compressed, and its size."""

_DONE: Final = re.compile(r"(\d+) succeeded, 0 failed, 0 errored.*\((\d+)\) data", re.DOTALL)

_HEADERS: Final = ("-H", "content-type: application/grpc", "-H", "te: trailers")


class GrpcLoad:
    """A way to make calls, aimed at a server.

    Args:
        call: takes connections, calls in flight on each, and seconds; returns how many calls were answered.
    """

    def __init__(self, pid: int, call: Callable[[int, int, float], int]) -> None:
        self._pid = pid
        self._call = call

    def __call__(self, connections: int, in_flight: int, seconds: float) -> Rate:
        """Keep calls in flight on each of some connections."""
        server, own = cpu_seconds(self._pid), _children()
        calls = self._call(connections, in_flight, seconds)
        return Rate(calls, seconds, cpu_seconds(self._pid) - server, _children() - own)


def h2load(path: Path, folder: Path) -> Callable[[int, int, float], int]:
    """Calls by h2load; ``folder`` is for the request.

    Raises:
        Missing: it is not installed.
    """
    program = shutil.which("h2load")
    if not program:
        raise Missing(f"{H2LOAD}: not installed (Debian's nghttp2-client)")
    messages = compiled()
    request = grpc_server.request(messages)
    file = folder / "request"
    file.write_bytes(_FRAME.pack(0, len(request)) + request)
    reply_size = _FRAME.size + len(grpc_server.reply(messages))
    fixed = ["-d", file, *_HEADERS, "-B", f"unix:{path}", f"http://localhost{grpc_server.PATH}"]

    def call(connections: int, in_flight: int, seconds: float) -> int:
        numbers = ["-c", connections, "-m", in_flight, "-D", f"{seconds * 1000:.0f}ms"]
        output = _output(list(map(str, [program, *numbers, *fixed])))
        found = _DONE.search(output)
        if not found or int(found[2]) != int(found[1]) * reply_size:
            raise RuntimeError(f"not all calls were answered:\n{output}")
        return int(found[1])

    return call


def grpcio(path: Path) -> Callable[[int, int, float], int]:
    """Calls by grpcio's client, in a process of its own."""

    def call(connections: int, in_flight: int, seconds: float) -> int:
        numbers = map(str, (connections, in_flight, seconds))
        return int(_output(python("benchmarks.peers.grpc_client", path, *numbers)))

    return call


def _children() -> float:
    """Processor seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _output(command: list[str]) -> str:
    return subprocess.run(  # noqa: S603  (our own module, and Debian's nghttp2-client)
        command, check=True, capture_output=True, text=True
    ).stdout
