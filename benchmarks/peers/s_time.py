"""OpenSSL's own client, which shakes hands as often as it can for a second: ``openssl s_time``.

It does not wait for libvirt's one byte, and just goes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.figures import Cost
from benchmarks.processes import DEADLINE, Missing, cpu_seconds, place

NAME: Final = "openssl s_time"

_FLAGS: Final = {"TLS 1.2": "-tls1_2", "TLS 1.3": "-tls1_3"}
_DONE: Final = re.compile(r"(\d+) connections in ([\d.]+)s;")


@dataclass(frozen=True, slots=True)
class OpensslLoad:
    """What it makes of one server.

    Attributes:
        server: its pid.
        command: that runs the load.
    """

    server: int
    command: Sequence[str]

    def run(self) -> Cost:
        """What one handshake costs.

        Raises:
            RuntimeError: there was none; with what the program had to say.
        """
        first, *others = sorted(os.sched_getaffinity(0))
        place(self.server, others or [first])
        before, started = cpu_seconds(self.server), time.perf_counter()
        with subprocess.Popen(  # noqa: S603  (OpenSSL's own tool)
            self.command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            place(process.pid, [first])
            said, _ = process.communicate(timeout=DEADLINE)
        seconds = time.perf_counter() - started
        found = _DONE.search(said)
        if not found or not int(found[1]):
            raise RuntimeError(f"{NAME}: {said}")
        number = int(found[1])
        return Cost(
            seconds / number, float(found[2]) / number, (cpu_seconds(self.server) - before) / number
        )


def load(server: int, address: str, pki: Path, version: str) -> OpensslLoad:
    """The load on a server.

    Raises:
        Missing: there is no such program.
    """
    program = shutil.which("openssl")
    if not program:
        raise Missing(f"{NAME}: no openssl")
    return OpensslLoad(
        server,
        [
            *(program, "s_time", "-new", "-time", "1", _FLAGS[version]),
            *("-connect", address.removeprefix("tls://"), "-CAfile", f"{pki}/cacert.pem"),
            *("-cert", f"{pki}/clientcert.pem", "-key", f"{pki}/clientkey.pem"),
        ],
    )
