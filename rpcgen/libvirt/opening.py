"""How a session is opened: what is asked for, and what is said until the driver is there.

Coroutines, so that it is written once. ``now`` lets a thread run them: with a ``Calling`` made by
``calling``, nothing that they await has to be waited for. Nothing here connects.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

from libvirt_rpc.libvirt_common.constants import VIR_CONNECT_RO
from libvirt_rpc.libvirt_common.types import VirDrvFeature
from libvirt_rpc.remote_protocol import program as rows
from libvirt_rpc.remote_protocol.types import (
    RemoteConnectOpenArgs,
    RemoteConnectSupportsFeatureArgs,
)
from rpcgen.libvirt.autostart import daemon_of
from rpcgen.libvirt.login import Ask, Line, Login, Work, at_once, log_in
from rpcgen.libvirt.sockets import FAR, address, socket_path
from rpcgen.libvirt.times import Left
from rpcgen.libvirt.uri import LibvirtUri, Transport, parse
from rpcgen.runtime.message import RemoteError
from rpcgen.runtime.program import Procedure
from rpcgen.runtime.stubs import Caller

if TYPE_CHECKING:
    from rpcgen.runtime.tls.context import ClientTls

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")

_KEEPALIVE: Final = VirDrvFeature.VIR_DRV_FEATURE_PROGRAM_KEEPALIVE
_PROBED: Final = (
    VirDrvFeature.VIR_DRV_FEATURE_REMOTE_EVENT_CALLBACK,
    VirDrvFeature.VIR_DRV_FEATURE_REMOTE_CLOSE_CALLBACK,
)
"""What libvirt's own client asks about as soon as the driver is open."""


class Calling(Protocol):
    """How to call: a connection's ``call``, awaited."""

    def __call__(
        self, procedure: Procedure[A, R], argument: A, timeout: float | None, /
    ) -> Awaitable[R]: ...


class Plan(NamedTuple):
    """What is to be opened.

    Attributes:
        uri: as it was given; empty if the local server is to choose.
        address: where the server is.
        name: of the driver, as a URI; empty if the server is to choose.
        login: what there is to authenticate with.
        readonly: only look.
        keepalive: seconds between signs of life, and how many may fail to come.
        tls: certificates, if the address is of TLS.
        daemon: which program to start if nobody listens there; None for none.
        library: the URI, and the socket on the far side, where SSH is spoken by a library.
    """

    uri: str
    address: str
    name: str
    login: Login
    readonly: bool
    keepalive: tuple[float, int] | None
    tls: ClientTls | None = None
    daemon: str | None = None
    library: tuple[LibvirtUri, str] | None = None


class Opened(NamedTuple):
    """What came of it.

    Attributes:
        uri: what the server chose; None if it had no choice.
        features: those that were asked about, and whether they are there.
    """

    uri: str | None
    features: dict[int, bool]

    @property
    def is_watched(self) -> bool:
        """Whether the server asks for signs of life, and gives them."""
        return self.features[_KEEPALIVE]


def plan(
    uri: str | None,
    *,
    readonly: bool,
    keepalive: tuple[float, int] | None,
    ask: Ask | None = None,
) -> Plan:
    """What a URI means on this machine; without one, the user's LIBVIRT_DEFAULT_URI.

    Args:
        ask: asked for names and passwords that no file has.

    Raises:
        UriError: it is no URI, or means what cannot be done.
        TlsError: it needs certificates, and those that there are do not do.
    """
    text = os.environ.get("LIBVIRT_DEFAULT_URI", "") if uri is None else uri
    parsed = parse(text)
    library = None
    if parsed.transport in (Transport.LIBSSH, Transport.LIBSSH2):
        library = parsed, socket_path(parsed, readonly=readonly)
    place = "" if library else address(parsed, readonly=readonly)
    login = _login(parsed, ask)
    return Plan(
        text,
        place,
        parsed.name,
        login,
        readonly,
        keepalive,
        _tls(parsed),
        daemon_of(parsed, place),
        library,
    )


def _login(uri: LibvirtUri, ask: Ask | None) -> Login:
    return Login(
        uri.parameters.get("auth"),
        host=uri.host or "localhost",
        user=uri.user or "",
        authfile=uri.parameters.get("authfile"),
        ask=ask,
        is_tunnel=uri.transport in FAR,
    )


def _tls(uri: LibvirtUri) -> ClientTls | None:
    if uri.transport is not Transport.TLS:
        return None
    from rpcgen.runtime.tls.context import ClientTls
    from rpcgen.runtime.tls.priority import DEFAULT

    parameters = uri.parameters
    return ClientTls(
        pkipath=parameters.get("pkipath"),
        priority=parameters.get("tls_priority", DEFAULT),
        verify=not int(parameters.get("no_verify", "0")),
        sanity=not int(parameters.get("no_sanity", "0")),
    )


def calling(caller: Caller) -> Calling:
    """The ``call`` of a thread's connection, for coroutines that ``now`` runs."""

    async def call(procedure: Procedure[A, R], argument: A, timeout: float | None) -> R:
        return caller.call(procedure, argument, timeout)

    return call


def now(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("expected a coroutine that does not wait")


async def open_driver(
    call: Calling, plan: Plan, left: Left, line: Line, work: Work = at_once
) -> Opened:
    """Authenticate, and open the driver.

    Args:
        line: the connection, which may get a layer of SASL.
        work: for asyncio, what keeps the loop free.

    Raises:
        AuthError: the server demands what this side cannot give.
        RemoteError: the server refuses.
    """
    await log_in(call, plan.login, line, left, work)
    features: dict[int, bool] = {_KEEPALIVE: False}
    if plan.keepalive:
        features[_KEEPALIVE] = await _probe(call, _KEEPALIVE, left)
    arguments = RemoteConnectOpenArgs(plan.name, VIR_CONNECT_RO if plan.readonly else 0)
    await call(rows.REMOTE_PROC_CONNECT_OPEN, arguments, left())
    chosen = None
    if not plan.name:
        chosen = (await call(rows.REMOTE_PROC_CONNECT_GET_URI, None, left())).uri
    for feature in _PROBED:
        features[feature] = await _probe(call, feature, left)
    return Opened(chosen, features)


async def supports(call: Calling, feature: int, timeout: float | None) -> bool:
    """Whether driver and server have a feature."""
    arguments = RemoteConnectSupportsFeatureArgs(feature)
    return bool(
        (await call(rows.REMOTE_PROC_CONNECT_SUPPORTS_FEATURE, arguments, timeout)).supported
    )


async def _probe(call: Calling, feature: int, left: Left) -> bool:
    """A server that cannot even be asked does not have it."""
    try:
        return await supports(call, feature, left())
    except RemoteError:
        return False
