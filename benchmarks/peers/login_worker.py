"""Our sync client that opens a driver and closes it: ``python -m benchmarks.peers.login_worker URI``.

Or ``... login_worker derive ITERATIONS``: only what SCRAM asks of a client that knows the password, PBKDF2.
"""

from __future__ import annotations

import hashlib
import sys

from benchmarks.peers import worker
from benchmarks.peers.guarded_server import PASSWORD, USER
from rpcgen import libvirt
from rpcgen.libvirt import Question

_ANSWERS = {"user": USER, "password": PASSWORD}


def _answer(question: Question) -> str | None:
    return _ANSWERS.get(question.kind)


def main(what: str, iterations: str = "0") -> None:
    """Log in as often as told."""

    def sequential(number: int) -> None:
        for _ in range(number):
            libvirt.open(what, ask=_answer).close()

    def derive(number: int) -> None:
        for _ in range(number):
            hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), bytes(16), int(iterations))

    worker.serve({"sequential": derive if what == "derive" else sequential})


if __name__ == "__main__":
    main(*sys.argv[1:])
