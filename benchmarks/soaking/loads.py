"""Clients that do all kinds of things at once, each checked: sync threads on one connection, asyncio tasks on another.

A third kind comes and goes. All of them go on until they are told to stop, and note what is wrong.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from benchmarks.soaking import deeds, streams
from benchmarks.soaking.deeds import EVENT, Deed, Names
from benchmarks.soaking.tally import Tally, Wrong
from libvirt_rpc.remote_protocol.client import AsyncRemoteClient, RemoteClient
from libvirt_rpc.remote_protocol.types import RemoteDomainEventCallbackLifecycleMsg
from rpcgen.runtime import CallTimeout, RemoteError, connect, connect_async

THREADS: Final = 16
TASKS: Final = 32

_STREAMS: Final = 0.02
"""Of all that is done, how much is a stream."""

_CANCELLED: Final = 0.02
"""Of asyncio calls, how many are cancelled while they wait."""

_EVENTS_DEADLINE: Final = 10.0

_VISIT: Final = 50
"""Calls of a client that comes and goes."""


class Events:
    """The events that one connection is to get, and no others."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._changed = threading.Condition()
        self._expected: set[str] = set()

    def expect(self, deed: Deed) -> None:
        """A call is about to be made; some cause an event."""
        if deed.method == EVENT:
            with self._changed:
                self._expected.add(deed.arguments[0].name)

    def arrived(self, message: RemoteDomainEventCallbackLifecycleMsg) -> None:
        """The handler."""
        name = message.msg.dom.name
        with self._changed:
            known = name in self._expected
            self._expected.discard(name)
            self._changed.notify_all()
        self._tally.count("events")
        if not known:
            self._tally.fail("events", Wrong(f"nobody caused one for {name}"))

    def wait(self) -> None:
        """Until all have come."""
        with self._changed:
            self._changed.wait_for(lambda: not self._expected, _EVENTS_DEADLINE)
            if self._expected:
                self._tally.fail("events", Wrong(f"{len(self._expected)} did not come"))


class Load:
    """What all kinds share.

    Args:
        address: the server's.
        seed: of everything that is chosen.
    """

    def __init__(self, address: str, tally: Tally, seed: int) -> None:
        self._address = address
        self._tally = tally
        self._seed = seed
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin, on threads."""
        for function in (self._sync, self._async, self._visits):
            thread = threading.Thread(target=self._guarded, args=(function,))
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End in good order, and wait for that."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _guarded(self, function: Callable[[], None]) -> None:
        try:
            function()
        except Exception as error:  # noqa: BLE001  (it is reported)
            self._tally.fail(function.__name__, error)

    # Threads on one connection

    def _sync(self) -> None:
        events = Events(self._tally)
        with connect(self._address) as connection:
            remote = RemoteClient(connection)
            remote.connect_open()
            subscription = remote.on_domain_event_callback_lifecycle(events.arrived)
            threads = [
                threading.Thread(target=self._thread, args=(remote, events, number))
                for number in range(THREADS)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            events.wait()
            subscription.cancel()

    def _thread(self, remote: RemoteClient, events: Events, number: int) -> None:
        random, names = self._own("thread", number)
        while not self._stop.is_set():
            try:
                if random.random() < _STREAMS:
                    plan = streams.plan(random, names)
                    streams.run(remote, plan, random.random() < 0.5, self._tally)
                else:
                    deed = deeds.choose(random, names)
                    events.expect(deed)
                    self._tally.count(deed.judge(_done(remote, deed)))
            except Exception as error:  # noqa: BLE001  (it is reported)
                self._tally.fail("thread", error)

    # Tasks on another one

    def _async(self) -> None:
        asyncio.run(self._tasks())

    async def _tasks(self) -> None:
        events = Events(self._tally)
        async with connect_async(self._address) as connection:
            remote = AsyncRemoteClient(connection)
            await remote.connect_open()
            subscription = remote.on_domain_event_callback_lifecycle(events.arrived)
            await asyncio.gather(*(self._task(remote, events, number) for number in range(TASKS)))
            await asyncio.to_thread(events.wait)
            subscription.cancel()

    async def _task(self, remote: AsyncRemoteClient, events: Events, number: int) -> None:
        random, names = self._own("task", number)
        while not self._stop.is_set():
            try:
                if random.random() < _STREAMS:
                    plan = streams.plan(random, names)
                    await streams.run_async(remote, plan, random.random() < 0.5, self._tally)
                else:
                    deed = deeds.choose(random, names)
                    events.expect(deed)
                    await self._call(remote, deed, random.random() < _CANCELLED)
            except Exception as error:  # noqa: BLE001  (it is reported)
                self._tally.fail("task", error)

    async def _call(self, remote: AsyncRemoteClient, deed: Deed, cancel: bool) -> None:
        call = asyncio.ensure_future(_done_async(remote, deed))
        if cancel:
            await asyncio.sleep(0)  # it has been sent
            call.cancel()
        try:
            self._tally.count(deed.judge(await call))
        except asyncio.CancelledError:
            if not cancel:
                raise
            self._tally.count("calls cancelled")

    # Connections that come and go

    def _visits(self) -> None:
        number = 0
        while not self._stop.is_set():
            random, names = self._own("visit", number)
            try:
                if number % 2:
                    asyncio.run(self._visit_async(random, names))
                else:
                    self._visit(random, names)
            except Exception as error:  # noqa: BLE001  (it is reported)
                self._tally.fail("visit", error)
            self._tally.count("connections that came and went")
            number += 1

    def _visit(self, random: Random, names: Names) -> None:
        with connect(self._address) as connection:
            remote = RemoteClient(connection)
            for _ in range(_VISIT):
                deed = deeds.choose(random, names)
                self._tally.count(deed.judge(_done(remote, deed)))

    async def _visit_async(self, random: Random, names: Names) -> None:
        async with connect_async(self._address) as connection:
            remote = AsyncRemoteClient(connection)
            everything = [deeds.choose(random, names) for _ in range(_VISIT)]
            answers = await asyncio.gather(*(_done_async(remote, deed) for deed in everything))
            for deed, answer in zip(everything, answers, strict=True):
                self._tally.count(deed.judge(answer))

    def _own(self, kind: str, number: int) -> tuple[Random, Names]:
        owner = f"{kind}-{self._seed}-{number}"
        return Random(owner), Names(owner)  # noqa: S311  (a load, no secrets)


def _done(remote: RemoteClient, deed: Deed) -> object:
    """What a call gave: a result, or an error that may be the right answer."""
    try:
        result: object = getattr(remote, deed.method)(*deed.arguments, timeout=deed.timeout)
    except (RemoteError, CallTimeout) as error:
        return error
    return result


async def _done_async(remote: AsyncRemoteClient, deed: Deed) -> object:
    method: Callable[..., Awaitable[object]] = getattr(remote, deed.method)
    try:
        return await method(*deed.arguments, timeout=deed.timeout)
    except (RemoteError, CallTimeout) as error:
        return error
