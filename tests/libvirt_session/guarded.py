"""A hypervisor that wants to know who comes, and notes whom it was told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rpcgen.examples.hypervisor.hypervisor import Hypervisor
from rpcgen.libvirt import Authenticating, Authentication
from rpcgen.runtime import Call, Server

PASSWORD = "open sesame, 7 times"  # noqa: S105  (of nobody)


class Guarded(Authenticating, Hypervisor):
    """It notes who asks for the name of its host.

    Attributes:
        users: their names by SASL.
        port: where it listens on TCP, beside its UNIX socket.
    """

    def __init__(self, authentication: Authentication) -> None:
        super().__init__()
        self.authentication = authentication
        self.users: list[str | None] = []
        self.port = 0

    def connect_get_hostname(self, call: Call) -> str:
        self.users.append(call.session.identity.sasl_user_name)
        return super().connect_get_hostname(call)


@contextmanager
def guarded(folder: Path, authentication: Authentication, mode: int = 0o700) -> Iterator[Guarded]:
    """One that listens at ``s`` in a folder, and on loopback."""
    hypervisor = Guarded(authentication)
    with Server(
        [hypervisor],
        listen=[f"unix://{folder}/s", "tcp://127.0.0.1:0"],
        socket_mode=mode,
    ) as server:
        hypervisor.port = int(server.addresses[1].rpartition(":")[2])
        yield hypervisor


def uri(folder: Path, more: str = "") -> str:
    """Where its UNIX socket is."""
    return f"test+unix:///default?socket={folder}/s{more}"
