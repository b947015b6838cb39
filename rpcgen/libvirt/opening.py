"""How a session is opened: what is asked for, and what is said until the driver is there.

Coroutines, so that it is written once. ``now`` lets a thread run them: with a ``Calling`` made by
``calling``, nothing that they await has to be waited for. Nothing here connects.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Coroutine
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from libvirt_rpc.libvirt_common.constants import VIR_CONNECT_RO
from libvirt_rpc.libvirt_common.types import VirDrvFeature, VirErrorNumber
from libvirt_rpc.remote_protocol import program as rows
from libvirt_rpc.remote_protocol.types import (
    RemoteAuthType,
    RemoteConnectOpenArgs,
    RemoteConnectSupportsFeatureArgs,
)
from rpcgen.libvirt.sockets import address
from rpcgen.libvirt.times import Left
from rpcgen.libvirt.uri import parse
from rpcgen.runtime.errors import AuthError
from rpcgen.runtime.message import RemoteError
from rpcgen.runtime.program import Procedure
from rpcgen.runtime.stubs import Caller

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")

_KEEPALIVE: Final = VirDrvFeature.VIR_DRV_FEATURE_PROGRAM_KEEPALIVE
_PROBED: Final = (
    VirDrvFeature.VIR_DRV_FEATURE_REMOTE_EVENT_CALLBACK,
    VirDrvFeature.VIR_DRV_FEATURE_REMOTE_CLOSE_CALLBACK,
)
"""What libvirt's own client asks about as soon as the driver is open."""

_METHODS: Final[dict[int, str]] = {
    RemoteAuthType.REMOTE_AUTH_NONE: "none",
    RemoteAuthType.REMOTE_AUTH_SASL: "sasl",
    RemoteAuthType.REMOTE_AUTH_POLKIT: "polkit",
}


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
        auth: the way to authenticate that the URI asks for.
        readonly: only look.
        keepalive: seconds between signs of life, and how many may fail to come.
    """

    uri: str
    address: str
    name: str
    auth: str | None
    readonly: bool
    keepalive: tuple[float, int] | None


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


def plan(uri: str | None, *, readonly: bool, keepalive: tuple[float, int] | None) -> Plan:
    """What a URI means on this machine; without one, the user's LIBVIRT_DEFAULT_URI.

    Raises:
        UriError: it is no URI, or means what cannot be done.
    """
    text = os.environ.get("LIBVIRT_DEFAULT_URI", "") if uri is None else uri
    parsed = parse(text)
    place = address(parsed, readonly=readonly)
    return Plan(text, place, parsed.name, parsed.parameters.get("auth"), readonly, keepalive)


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


async def open_driver(call: Calling, plan: Plan, left: Left) -> Opened:
    """Authenticate, and open the driver.

    Raises:
        AuthError: the server demands what this side cannot give.
        RemoteError: the server refuses.
    """
    await _authenticate(call, plan.auth, left)
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


async def _authenticate(call: Calling, wanted: str | None, left: Left) -> None:
    offered = await _offered(call, left)
    method = (wanted or "").partition(".")[0]
    names = [_METHODS.get(one, f"method {one}") for one in offered]
    if method and method not in names:
        offer = ", ".join(names) or "nothing"
        raise AuthError(f"auth={wanted} was asked for, the server offers {offer}")
    if RemoteAuthType.REMOTE_AUTH_NONE in offered or not offered:
        return
    raise AuthError(f"the server demands authentication by {' or '.join(names)}")


async def _offered(call: Calling, left: Left) -> list[RemoteAuthType | int]:
    """The ways to authenticate; none if the server is too old to have any."""
    try:
        return (await call(rows.REMOTE_PROC_AUTH_LIST, None, left())).types
    except RemoteError as error:
        if error.code == VirErrorNumber.VIR_ERR_NO_SUPPORT:
            return []
        raise
