"""A libvirt session for asyncio: from a URI to an opened, typed client.

``session`` is the same for threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from libvirt_rpc.libvirt_common.types import VirDrvFeature
from libvirt_rpc.remote_protocol.client import AsyncRemoteClient
from libvirt_rpc.remote_protocol.program import REMOTE_PROC_CONNECT_CLOSE
from libvirt_rpc.remote_protocol.types import RemoteNonnullDomain
from rpcgen.libvirt.aio_registration import AsyncRegistration
from rpcgen.libvirt.aio_restoring import AsyncRestoringConnection
from rpcgen.libvirt.events import DOMAIN, message_of
from rpcgen.libvirt.login import Ask
from rpcgen.libvirt.opening import Opened, Plan, open_driver, plan, supports
from rpcgen.libvirt.reaching import reach_async
from rpcgen.libvirt.times import FAREWELL, PAUSES, Left, countdown
from rpcgen.runtime.client.aio import AsyncConnection
from rpcgen.runtime.errors import ConnectionClosed, RpcError
from rpcgen.runtime.program import Procedure
from rpcgen.runtime.stubs import AsyncCaller
from rpcgen.runtime.values import XdrStruct

if TYPE_CHECKING:
    from libvirt_rpc.lxc_protocol.client import AsyncLxcClient
    from libvirt_rpc.qemu_protocol.client import AsyncQemuClient

M = TypeVar("M")


def open_async(
    uri: str | None = None,
    *,
    readonly: bool = False,
    keepalive: tuple[float, int] | None = None,
    reconnect: bool = False,
    ask: Ask | None = None,
    timeout: float | None = None,
) -> Opening:
    """``open`` for asyncio: to be awaited, or entered with ``async with``.

    With ``reconnect`` a task makes the new connection as soon as the old one is lost; calls made
    meanwhile wait for it.
    """
    wanted = plan(uri, readonly=readonly, keepalive=keepalive, ask=ask)
    return Opening(wanted, pauses=PAUSES if reconnect else (), timeout=timeout)


class Opening:
    """A session that is opened where it is awaited, or where its block is entered."""

    def __init__(self, plan: Plan, *, pauses: Sequence[float], timeout: float | None) -> None:
        self._plan = plan
        self._pauses = pauses
        self._timeout = timeout
        self._session: AsyncSession | None = None

    def __await__(self) -> Generator[Any, None, AsyncSession]:
        return self._open().__await__()

    async def _open(self) -> AsyncSession:
        session = AsyncSession(self._plan, pauses=self._pauses, timeout=self._timeout)
        return await session.start()

    async def __aenter__(self) -> AsyncSession:
        self._session = await self._open()
        return self._session

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._session is not None  # noqa: S101  (the block was entered)
        await self._session.close()


class AsyncSession:
    """An opened driver, on the loop that was running when it was opened.

    Leaving the block of ``open_async`` closes it.

    Attributes:
        remote: the driver's procedures.
    """

    remote: AsyncRemoteClient

    def __init__(self, plan: Plan, *, pauses: Sequence[float], timeout: float | None) -> None:
        self._plan = plan
        self._opened = Opened(None, {})
        self._has_pauses = bool(pauses)
        self._line = AsyncRestoringConnection(self._connect, timeout=timeout, pauses=pauses)
        self._caller: AsyncCaller = self._line

    async def start(self) -> Self:
        """Open it; ``open_async`` does that."""
        connection = await self._line.start()
        if not self._has_pauses:
            self._caller = connection
        self.remote = AsyncRemoteClient(self._caller)
        return self

    @cached_property
    def qemu(self) -> AsyncQemuClient:
        """What only the QEMU driver has."""
        from libvirt_rpc.qemu_protocol.client import AsyncQemuClient

        return AsyncQemuClient(self._caller)

    @cached_property
    def lxc(self) -> AsyncLxcClient:
        """What only the LXC driver has."""
        from libvirt_rpc.lxc_protocol.client import AsyncLxcClient

        return AsyncLxcClient(self._caller)

    @property
    def uri(self) -> str:
        """The URI as it was given, or what the server chose without one."""
        return self._opened.uri or self._plan.uri

    async def supports(self, feature: int, *, timeout: float | None = None) -> bool:
        """Whether driver and server have a feature; see ``Session.supports``.

        Args:
            feature: a ``VirDrvFeature``.
            timeout: seconds.
        """
        known = self._opened.features
        if feature not in known:
            known[feature] = await supports(self._caller.call, feature, timeout)
        return known[feature]

    async def features(self, *, timeout: float | None = None) -> frozenset[VirDrvFeature]:
        """All that driver and server have of the features that we know.

        Args:
            timeout: seconds for each one that they have not been asked about.
        """
        return frozenset(
            [one for one in VirDrvFeature if await self.supports(one, timeout=timeout)]
        )

    async def on_event(
        self,
        message: Procedure[M, None],
        handler: Callable[[M], object] | None = None,
        about: XdrStruct | None = None,
        *,
        timeout: float | None = None,
    ) -> AsyncRegistration[M]:
        """Register for events of domains, networks, storage pools, node devices or secrets.

        Args:
            message: the row of what brings the event and carries a ``callback_id``, such as
                ``REMOTE_PROC_NETWORK_EVENT_LIFECYCLE``; see ``rpcgen.libvirt.events``.
            handler: called on the loop; a coroutine that it returns is run. Without one, the
                events wait for ``async for``.
            about: the object whose events are wanted; all by default.
            timeout: seconds for registering.

        Raises:
            RemoteError: the server refuses.
            ValueError: one does not register for such messages.
        """
        return await self._line.register(message, handler, about, timeout)

    async def on_domain_event(
        self,
        event_id: int,
        handler: Callable[[Any], object] | None = None,
        domain: RemoteNonnullDomain | None = None,
        *,
        timeout: float | None = None,
    ) -> AsyncRegistration[Any]:
        """``on_event`` for domains, by number.

        Args:
            event_id: a ``VirDomainEventID``.
            handler: its argument is the message of that event.
            domain: whose events; of all domains by default.
            timeout: seconds for registering.
        """
        message = message_of(DOMAIN, event_id)
        return await self.on_event(message, handler, domain, timeout=timeout)

    def on_close(self, callback: Callable[[ConnectionClosed], object]) -> None:
        """Call back with the reason, on the loop, whenever the connection ends, by whichever side."""
        self._line.on_close(callback)

    async def close(self) -> None:
        """Take leave of the server and close the connection.

        A server that does not answer is given ``FAREWELL`` seconds.
        """
        try:
            connection, registrations = await self._line.stop()
            left = countdown(FAREWELL)
            for registration in registrations:
                with suppress(RpcError):
                    await registration.cancel(timeout=left())
            with suppress(RpcError):
                await connection.call(REMOTE_PROC_CONNECT_CLOSE, None, left())
        finally:
            await self._line.close()

    async def _connect(self, left: Left) -> AsyncConnection:
        """A connection with an opened driver."""
        plan = self._plan
        connection = await reach_async(plan, left)
        try:
            self._opened = await open_driver(
                connection.call, plan, left, connection, asyncio.to_thread
            )
            if plan.keepalive and self._opened.is_watched:
                connection.start_keepalive(*plan.keepalive)
        except BaseException:
            await connection.close()
            raise
        return connection
