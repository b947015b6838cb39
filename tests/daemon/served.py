"""A daemon for tests, with a small program; as a script it runs, as a module it is what clients call.

The script takes the keyword arguments of ``Daemon`` as JSON, as ``pki`` where its certificates are,
as ``access`` the rules of its policy, and as ``heritage`` what happens while it leaves itself to the
next program. With ``forks`` among them, it starts a daemon in a child for
each line that it reads, prints its pid, and waits for its end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from rpcgen.runtime.access import Rules
from rpcgen.runtime.daemon import Configuration, Daemon, Heritage, exit_code, whole
from rpcgen.runtime.program import VOID, DispatchTable, Procedure, Program, shape_codec
from rpcgen.runtime.server import Server
from rpcgen.runtime.tls.context import ServerTls

if TYPE_CHECKING:
    from rpcgen.runtime.program import Codec

SERVED = Program("SERVED", 0x20F0_0010, 1)
NUMBER: Codec[int] = shape_codec({}, "unsigned int")
PLUS = Procedure(SERVED, 1, "PLUS", "plus", NUMBER, NUMBER, parameters=None, acl=("number:plus",))
HOLD = Procedure(SERVED, 2, "HOLD", "hold", VOID, VOID, acl=("none",))
HELD = Procedure(SERVED, 3, "HELD", "held", VOID, VOID, acl=("none",))
CONFIGURED = Procedure(
    SERVED, 4, "CONFIGURED", "configured", VOID, NUMBER, nonblocking=True, acl=("none",)
)


class ServedServer:
    """What the generator would write, as far as it is needed: what is not overridden is not offered."""

    DISPATCH: DispatchTable
    plus: Any = None
    hold: Any = None
    held: Any = None
    configured: Any = None


ServedServer.DISPATCH = DispatchTable(SERVED, ServedServer)


class Served(ServedServer):
    """What the program does."""

    def __init__(self) -> None:
        self.file = Configuration()
        self._held = threading.Semaphore(0)

    def plus(self, _: object, number: int) -> int:
        """One more, by a worker."""
        return number + 1

    def hold(self, _: object) -> None:
        """Keep a worker until something can be read on standard input."""
        self._held.release()
        os.read(0, 1)

    def held(self, _: object) -> None:
        """Return once a ``hold`` has begun."""
        self._held.acquire()

    def configured(self, _: object) -> int:
        """The program's own key."""
        return int(self.file.get("own.number", 0))

    def take(self, file: Configuration) -> None:
        """Be told what the configuration says."""
        self.file = file


class Unsaved(Heritage):
    """It has something that is no JSON."""

    def save(self) -> dict[str, object]:
        return {"word": object()}


class Stopped(Heritage):
    """Somebody wants the daemon's end, and another thread than the main one gets the signal."""

    def save(self) -> dict[str, object]:
        other = threading.Thread(target=self._get)
        other.start()
        other.join()
        return {}

    def _get(self) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)


HERITAGES = {"unsaved": Unsaved, "stopped": Stopped, "": Heritage}


def daemon_of(options: dict[str, Any]) -> Daemon:
    """A daemon with one server, which has 5 to 20 workers."""
    served = Served()
    pki = options.pop("pki", None)
    tls = None if pki is None else ServerTls(pkipath=pki, lazy=True)
    rules = options.pop("access", None)
    access = None if rules is None else Rules(rules)
    server = Server([served], listen=options.pop("listen"), tls=tls, access=access)
    keys = {"own.number": whole(0, 9)}
    options["heritage"] = HERITAGES[options.pop("heritage", "")]()
    return Daemon({"served": server}, name="served", keys=keys, configured=served.take, **options)


def main(options: dict[str, Any]) -> int:
    """Run one, and say what keeps it from that."""
    try:
        daemon_of(options).run()
        if blocked := signal.pthread_sigmask(signal.SIG_BLOCK, ()):
            raise AssertionError(f"the daemon has left signals blocked: {blocked}")
    except Exception as error:  # noqa: BLE001  (the test compares it)
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return exit_code(error)
    return 0


def fork_for_each_line(options: dict[str, Any]) -> None:
    """The next line is read when the child has ended, however it has."""
    for _ in sys.stdin:
        pid = os.fork()
        if not pid:
            os._exit(main(options))
        os.write(1, f"{pid}\n".encode())
        os.write(1, f"{os.waitpid(pid, 0)[1]}\n".encode())


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if given.pop("forks", False):
        fork_for_each_line(given)
    else:
        sys.exit(main(given))
