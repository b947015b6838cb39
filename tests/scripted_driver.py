"""A libvirt driver for tests of sessions: it notes what it is asked, and misbehaves as told.

It has one domain, of which it knows nothing, and makes an event of every look at it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from libvirt_rpc.remote_protocol.server import RemoteServer
from libvirt_rpc.remote_protocol.types import (
    RemoteAuthType,
    RemoteDomainEventLifecycleMsg,
    RemoteNonnullDomain,
    RemoteNonnullNetwork,
)
from rpcgen.runtime.errors import ConnectionClosed
from rpcgen.runtime.server import Server
from rpcgen.runtime.stubs import Call, EventTarget, StreamCall

DOMAIN = RemoteNonnullDomain("web", bytes(16), 1)
NETWORK = RemoteNonnullNetwork("lan", bytes(16))


class Driver(RemoteServer):
    """One driver for all clients; all of it happens on the server's loop.

    Attributes:
        log: what was called, features apart.
        asked: the features that were asked about.
        features: those that are there: as in libvirtd's test driver.
        auth: the ways to authenticate that are offered.
        faults: the errors that methods answer with, by the method's name.
        hasty: registering brings an event before its reply.
        cuts: how many registrations are answered by dropping the client.
        next_id: the callbackID of the next registration.
        gone: released for each client that is gone.
    """

    def __init__(self) -> None:
        self.log: list[str] = []
        self.asked: list[int] = []
        self.features = {8, 9, 10, 14, 15, 16}
        self.auth: list[int] = [RemoteAuthType.REMOTE_AUTH_NONE]
        self.faults: dict[str, Exception] = {}
        self.hasty = False
        self.cuts = 0
        self.next_id = 0
        self.gone = threading.Semaphore(0)

    def called(self) -> list[str]:
        """What was called since the last time."""
        log, self.log = self.log, []
        return log

    async def auth_list(self, call: Call) -> list[RemoteAuthType | int]:
        call.session.on_close(self.gone.release)
        self._note(call)
        return [*self.auth]

    async def connect_supports_feature(self, call: Call, feature: int) -> int:
        self.asked.append(feature)
        self._fail(call)
        return int(feature in self.features)

    async def connect_open(self, call: Call, name: str | None, flags: int) -> None:
        self._note(call, name, flags)

    async def connect_get_uri(self, call: Call) -> str:
        self._note(call)
        return "test:///chosen"

    async def connect_close(self, call: Call) -> None:
        self._note(call)
        call.session.close()

    async def connect_get_hostname(self, call: Call) -> str:
        self._note(call)
        return "host"

    async def connect_get_type(self, call: Call) -> str:
        """The connection is lost before this is answered."""
        self._note(call)
        await cut(call.session)
        return "never"

    async def domain_lookup_by_name(self, call: Call, name: str) -> RemoteNonnullDomain:
        """Every registration gets an event of it."""
        self._note(call, name)
        for callback_id in range(self.next_id):
            self.tell(call.session, callback_id)
        return DOMAIN

    def domain_screenshot(
        self,
        call: StreamCall[str | None],
        dom: RemoteNonnullDomain,
        screen: int,
        flags: int,
    ) -> Iterator[bytes]:
        self._note(call, dom.name, screen, flags)
        call.reply("image/x")
        yield b"pixels"

    def domain_open_graphics_fd(
        self, call: Call, dom: RemoteNonnullDomain, idx: int, flags: int
    ) -> tuple[None, Sequence[int]]:
        self._note(call, dom.name, idx, flags)
        return None, [os.open(os.devnull, os.O_RDONLY)]

    async def connect_domain_event_callback_register_any(
        self, call: Call, event_id: int, dom: RemoteNonnullDomain | None
    ) -> int:
        self._note(call, event_id, dom and dom.name)
        if self.cuts:
            self.cuts -= 1
            await cut(call.session)
        return self._register(call)

    async def connect_domain_event_callback_deregister_any(
        self, call: Call, callback_id: int
    ) -> None:
        self._note(call, callback_id)

    async def connect_network_event_register_any(
        self, call: Call, event_id: int, net: RemoteNonnullNetwork | None
    ) -> int:
        self._note(call, event_id, net and net.name)
        callback_id = self._register(call)
        self.send_network_event_lifecycle(call.session, callback_id, NETWORK, 2, 0)
        return callback_id

    async def connect_network_event_deregister_any(self, call: Call, callback_id: int) -> None:
        self._note(call, callback_id)

    def tell(self, to: EventTarget, callback_id: int) -> None:
        """Send the event of one registration: ``detail`` says whose it is."""
        message = RemoteDomainEventLifecycleMsg(DOMAIN, 0, callback_id)
        self.send_domain_event_callback_lifecycle(to, callback_id, message)

    def _register(self, call: Call) -> int:
        self.next_id += 1
        if self.hasty:
            self.tell(call.session, self.next_id - 1)
        return self.next_id - 1

    def _note(self, call: Call, *arguments: object) -> None:
        self.log.append(" ".join([call.procedure.method, *map(repr, arguments)]))
        self._fail(call)

    def _fail(self, call: Call) -> None:
        if error := self.faults.get(call.procedure.method):
            raise error


async def cut(session: Any) -> None:
    """Drop a client without a word."""
    gone = asyncio.Event()
    session.on_close(gone.set)
    asyncio.get_running_loop().call_soon(session.lost, ConnectionClosed("cut off", 1))
    await gone.wait()


@contextmanager
def serving(driver: Driver, path: Path) -> Iterator[Server]:
    """Serve the driver on a UNIX socket, in a thread."""
    with Server([driver], listen=[f"unix://{path}"]) as server:
        yield server


def uri(path: Path, rest: str = "") -> str:
    """What a user writes to get there."""
    return f"test+unix:///default?socket={path}{rest}"
