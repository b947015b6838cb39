"""A libvirt session for threads: from a URI to an opened, typed client.

Puts the parts together: what is said is in ``opening``, what outlives a connection in
``restoring``. ``aio`` is the same for asyncio.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from libvirt_rpc.libvirt_common.types import VirDrvFeature
from libvirt_rpc.remote_protocol.client import RemoteClient
from libvirt_rpc.remote_protocol.program import REMOTE_PROC_CONNECT_CLOSE
from libvirt_rpc.remote_protocol.types import RemoteNonnullDomain
from rpcgen.libvirt.events import DOMAIN, message_of
from rpcgen.libvirt.login import Ask
from rpcgen.libvirt.opening import Opened, Plan, calling, now, open_driver, plan, supports
from rpcgen.libvirt.reaching import reach
from rpcgen.libvirt.registration import Registration, registering
from rpcgen.libvirt.restoring import RestoringConnection
from rpcgen.libvirt.times import FAREWELL, PAUSES, Left, countdown
from rpcgen.runtime.client.sync import Connection
from rpcgen.runtime.errors import ConnectionClosed, RpcError
from rpcgen.runtime.program import Procedure
from rpcgen.runtime.stubs import Caller
from rpcgen.runtime.values import XdrStruct

if TYPE_CHECKING:
    from libvirt_rpc.lxc_protocol.client import LxcClient
    from libvirt_rpc.qemu_protocol.client import QemuClient

M = TypeVar("M")


def open(  # noqa: A001  (libvirt's word; asked for as ``rpcgen.libvirt.open``)
    uri: str | None = None,
    *,
    readonly: bool = False,
    keepalive: tuple[float, int] | None = None,
    reconnect: bool = False,
    ask: Ask | None = None,
    timeout: float | None = None,
) -> Session:
    """Connect to a libvirt daemon and open a driver.

    Args:
        uri: which one (``qemu:///system``, ``test+unix:///default?socket=/run/x``). By default
            what LIBVIRT_DEFAULT_URI says, or what the local daemon chooses.
        readonly: only look.
        keepalive: after how many seconds of silence to ask for a sign of life, and how often, before
            the connection is given up; the server does the same with its own settings. By default
            neither side does.
        reconnect: when the connection is lost, make a new one at the next use, and register
            event handlers again. Calls and streams that were under way fail all the same.
        ask: asked for the user's name and password if the server wants them and ``auth.conf`` does
            not have them; see ``Question``.
        timeout: seconds for connecting and opening.

    Raises:
        UriError: the URI is none, or means what cannot be done.
        ConnectError: nobody answers there.
        TlsError: certificates that do not do, the server's or our own.
        AuthError: the server demands what this side cannot give.
        RemoteError: it refuses to open the driver.
    """
    wanted = plan(uri, readonly=readonly, keepalive=keepalive, ask=ask)
    return Session(wanted, pauses=PAUSES if reconnect else (), timeout=timeout)


class Session:
    """An opened driver.

    Its methods, and those of its clients, may be called from any thread. Leaving its block closes
    it.

    Attributes:
        remote: the driver's procedures.
    """

    def __init__(self, plan: Plan, *, pauses: Sequence[float], timeout: float | None) -> None:
        self._plan = plan
        self._opened = Opened(None, {})
        self._line = RestoringConnection(self._connect, timeout=timeout, pauses=pauses)
        self._caller: Caller = self._line if pauses else self._line.current(countdown(None))
        self.remote = RemoteClient(self._caller)

    @cached_property
    def qemu(self) -> QemuClient:
        """What only the QEMU driver has."""
        from libvirt_rpc.qemu_protocol.client import QemuClient

        return QemuClient(self._caller)

    @cached_property
    def lxc(self) -> LxcClient:
        """What only the LXC driver has."""
        from libvirt_rpc.lxc_protocol.client import LxcClient

        return LxcClient(self._caller)

    @property
    def uri(self) -> str:
        """The URI as it was given, or what the server chose without one."""
        return self._opened.uri or self._plan.uri

    def supports(self, feature: int, *, timeout: float | None = None) -> bool:
        """Whether driver and server have a feature; they are asked once.

        About VIR_DRV_FEATURE_PROGRAM_KEEPALIVE they are asked only while opening with
        ``keepalive``: a server that was asked drops clients that stay silent.

        Args:
            feature: a ``VirDrvFeature``.
            timeout: seconds.
        """
        known = self._opened.features
        if feature not in known:
            known[feature] = now(supports(calling(self._caller), feature, timeout))
        return known[feature]

    def features(self, *, timeout: float | None = None) -> frozenset[VirDrvFeature]:
        """All that driver and server have of the features that we know.

        Args:
            timeout: seconds for each one that they have not been asked about.
        """
        return frozenset(one for one in VirDrvFeature if self.supports(one, timeout=timeout))

    def on_event(
        self,
        message: Procedure[M, None],
        handler: Callable[[M], object],
        about: XdrStruct | None = None,
        *,
        timeout: float | None = None,
    ) -> Registration:
        """Call a handler for the events of domains, networks, storage pools, node devices, secrets.

        Args:
            message: the row of what brings the event and carries a ``callback_id``, such as
                ``REMOTE_PROC_NETWORK_EVENT_LIFECYCLE``; see ``rpcgen.libvirt.events``.
            handler: called on the connection's event thread; it may call back.
            about: the object whose events are wanted; all by default.
            timeout: seconds for registering.

        Raises:
            RemoteError: the server refuses.
            ValueError: one does not register for such messages.
        """
        return self._line.attach(registering(message, handler, about), timeout)

    def on_domain_event(
        self,
        event_id: int,
        handler: Callable[[Any], object],
        domain: RemoteNonnullDomain | None = None,
        *,
        timeout: float | None = None,
    ) -> Registration:
        """``on_event`` for domains, by number.

        Args:
            event_id: a ``VirDomainEventID``.
            handler: its argument is the message of that event.
            domain: whose events; of all domains by default.
            timeout: seconds for registering.
        """
        return self.on_event(message_of(DOMAIN, event_id), handler, domain, timeout=timeout)

    def on_close(self, callback: Callable[[ConnectionClosed], object]) -> None:
        """Call back with the reason whenever the connection ends, by whichever side.

        It is called on the connection's event thread. With ``reconnect``, whoever waits for
        events only can make any call there, which brings a new connection.
        """
        self._line.on_close(callback)

    def close(self) -> None:
        """Take leave of the server and close the connection.

        A server that does not answer is given ``FAREWELL`` seconds.
        """
        left = countdown(FAREWELL)
        connection, registrations = self._line.stop()
        try:
            for registration in registrations:
                with suppress(RpcError):
                    registration.cancel(timeout=left())
            with suppress(RpcError):
                connection.call(REMOTE_PROC_CONNECT_CLOSE, None, left())
        finally:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _connect(self, left: Left) -> Connection:
        """A connection with an opened driver."""
        plan = self._plan
        connection = reach(plan, left)
        try:
            self._opened = now(open_driver(calling(connection), plan, left, connection))
            if plan.keepalive and self._opened.is_watched:
                connection.start_keepalive(*plan.keepalive)
        except BaseException:
            connection.close()
            raise
        return connection
