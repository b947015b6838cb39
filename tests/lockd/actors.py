"""Clients of a lock daemon that do what they are told: connections of this process, and processes of their own.

As a program it is such a process: it takes its steps, a JSON line each, and prints what came of them.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from typing import Any, Self, TypeAlias

from libvirt_rpc.lock_protocol.client import VirLockSpaceProtocolClient
from libvirt_rpc.lock_protocol.types import VirLockSpaceProtocolOwner
from rpcgen.runtime import RemoteError, connect

DEADLINE = 30.0
"""Seconds for what takes a few milliseconds."""

Outcome: TypeAlias = "dict[str, Any] | None"
"""All fields of an error, or nothing if there was none."""

UUID = bytes(range(16))


class Connected:
    """A connection of this process.

    It registers an owner that is not this process, whom nobody watches: leases stay when it goes.
    """

    def __init__(self, address: str) -> None:
        self._connection = connect(address)
        self._locks = VirLockSpaceProtocolClient(self._connection)

    def do(self, method: str, *arguments: Any) -> Outcome:
        """Call a method of the generated client."""
        try:
            if method == "register":
                arguments = (VirLockSpaceProtocolOwner(UUID, *arguments[:3]), *arguments[3:])
            getattr(self._locks, method)(*arguments, timeout=DEADLINE)
        except RemoteError as error:
            return dict(vars(error))
        return None

    def leave(self) -> None:
        """Disconnect."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()


class Process:
    """A process with a connection of its own, which may register itself: pid -1."""

    def __init__(self, address: str, *, deaf: bool = False) -> None:
        command = [sys.executable, __file__, address, *(["deaf"] if deaf else [])]
        self._popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._popen.pid

    def do(self, method: str, *arguments: Any) -> Outcome:
        """The same in the process."""
        found: Outcome = json.loads(self._tell([method, *arguments]))
        return found

    def leave(self) -> None:
        """Disconnect, and live on."""
        assert self._tell(["leave"]) == "null\n"

    def lives(self) -> bool:
        """Whether it still does what it is told."""
        return self._tell(["ping"]) == "null\n"

    def end(self) -> int:
        """Wait for its end: the code, negative for a signal."""
        return self._popen.wait(DEADLINE)

    def kill(self) -> None:
        """End it at once."""
        self._popen.kill()
        self._popen.wait(DEADLINE)

    def close(self) -> None:
        """Clear away what is left of it."""
        self.kill()
        for pipe in (self._popen.stdin, self._popen.stdout):
            assert pipe is not None
            pipe.close()

    def _tell(self, step: list[Any]) -> str:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.write(json.dumps(step) + "\n")
        self._popen.stdin.flush()
        assert select.select([self._popen.stdout], [], [], DEADLINE)[0]
        return self._popen.stdout.readline()


def main(address: str, *options: str) -> None:
    """Act, until there are no more steps."""
    if "deaf" in options:
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    client = Connected(address)
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        outcome = None
        if method not in ("leave", "ping"):
            mine = [os.getpid() if one == -1 else one for one in arguments]
            outcome = client.do(method, *mine)
        sys.stdout.write(json.dumps(outcome) + "\n")
        sys.stdout.flush()
        if method == "leave":  # which may be its end
            client.leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
