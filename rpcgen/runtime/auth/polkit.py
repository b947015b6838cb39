"""Polkit: asks the system's authority whether a process may use a socket.

Owns the question over D-Bus and the meaning of its answer. Which clients are asked about, and
what they are told, is the server's matter. It needs ``dbus-fast``: ``pip install rpcgen[polkit]``.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from rpcgen.runtime.errors import AuthError
from rpcgen.runtime.process import proc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from types import ModuleType
    from typing import Any

    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

MANAGE: Final = "org.libvirt.unix.manage"
"""The action of a client at the socket for everything."""

MONITOR: Final = "org.libvirt.unix.monitor"
"""The action of a client at the socket for looking on (``...-sock-ro``)."""

CONNECT_SECONDS: Final = 10.0
"""How long the bus, which is on this machine, may take to greet."""

CHECK_SECONDS: Final = 120.0
"""How long an answer may take: somebody may have to find and type a password."""

_AUTHORITY: Final = {
    "destination": "org.freedesktop.PolicyKit1",
    "path": "/org/freedesktop/PolicyKit1/Authority",
    "interface": "org.freedesktop.PolicyKit1.Authority",
}

_INTERACTIVE: Final = 1
"""AllowUserInteraction of CheckAuthorizationFlags."""


class PolkitError(AuthError):
    """Polkit does not authorize a process, or cannot be asked.

    Attributes:
        code: what to tell the client: VIR_ERR_AUTH_FAILED (45), VIR_ERR_AUTH_CANCELLED (79) if
            the user has dismissed the question, VIR_ERR_AUTH_UNAVAILABLE (94) if there is no
            agent that could put it to the user.
    """

    def __init__(
        self, message: str, code: VirErrorNumber = VirErrorNumber.VIR_ERR_AUTH_FAILED
    ) -> None:
        super().__init__(message, code)
        self.code = code

    def __str__(self) -> str:
        return str(self.args[0])


class PolkitUnavailable(PolkitError):  # noqa: N818  (what is the case, not what went wrong)
    """There is no bus, no authority on it, or no answer."""


def is_exempt(uid: int | None) -> bool:
    """Whether a peer need not be asked about: root, to whom polkit never says no."""
    return uid == 0


def action_for(*, readonly: bool) -> str:
    """The action of a client, by the kind of its socket."""
    return MONITOR if readonly else MANAGE


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since the system did; 0 if it is gone.

    With it a number of a process means that one and no later one. Ask when the client connects:
    what was behind the number before that, nobody can tell afterwards.
    """
    return proc.start_time(pid) or 0


async def check(
    action: str,
    pid: int,
    start_time: int,
    uid: int,
    *,
    details: Mapping[str, str] | None = None,
    interactive: bool = True,
    bus: MessageBus | None = None,
    timeout: float = CHECK_SECONDS,
) -> None:
    """Return if a process may do something.

    Args:
        action: such as ``MANAGE``.
        pid, start_time, uid: of the process, as they were when it connected.
        details: for rules and for what the user is asked.
        interactive: whether the user may be asked.
        bus: a connection to use, which stays open; by default one is made to the system's bus
            (``DBUS_SYSTEM_BUS_ADDRESS``).
        timeout: seconds to wait for the answer; then the question is withdrawn.

    Raises:
        PolkitError: it may not; or another process has its number by now.
        PolkitUnavailable: nobody can be asked.
        AuthError: ``dbus-fast`` is not installed.
    """
    if start_time <= 0 or pid <= 0:
        raise PolkitError(
            f"process {pid} is not known well enough for polkit: it has no start time"
        )
    question = str(uuid4())
    subject = _subject(pid, start_time, uid)
    flags = _INTERACTIVE if interactive else 0
    body = [subject, action, dict(details or {}), flags, question]
    message = _call("CheckAuthorization", "(sa{sv})sa{ss}us", body)
    async with _connected(bus) as connection:
        reply = await _answer(connection, message, question, timeout)
    _judge(reply, action)
    if not _is_still(pid, start_time):
        raise PolkitError(f"process {pid} has ended")


def _is_still(pid: int, started: int) -> bool:
    return start_time(pid) == started


def _subject(pid: int, started: int, uid: int) -> list[Any]:
    variant = _dbus().Variant
    return [
        "unix-process",
        {"pid": variant("u", pid), "start-time": variant("t", started), "uid": variant("i", uid)},
    ]


def _call(member: str, signature: str, body: list[Any]) -> Message:
    message: Message = _dbus().Message(**_AUTHORITY, member=member, signature=signature, body=body)
    return message


async def _answer(bus: MessageBus, message: Message, question: str, seconds: float) -> Message:
    """The authority's reply; a question that nobody waits for any more is withdrawn."""
    try:
        async with asyncio.timeout(seconds):
            return await bus.call(message)
    except TimeoutError:
        await _withdraw(bus, question)
        raise PolkitUnavailable(f"polkit has not answered in {seconds:g} seconds") from None
    except asyncio.CancelledError:
        await _withdraw(bus, question)
        raise
    except (OSError, EOFError) as error:
        raise PolkitUnavailable(f"the D-Bus connection is gone: {error}") from error


async def _withdraw(bus: MessageBus, question: str) -> None:
    """Have the authority close what the user sees."""
    with suppress(OSError, EOFError, TimeoutError):
        async with asyncio.timeout(CONNECT_SECONDS):
            await bus.send(_call("CancelCheckAuthorization", "s", [question]))


def _judge(reply: Message, action: str) -> None:
    if reply.message_type is _dbus().MessageType.ERROR:
        words = reply.body[0] if reply.signature.startswith("s") else ""
        raise PolkitUnavailable(f"polkit cannot be asked: {reply.error_name}: {words}")
    if reply.signature != "(bba{ss})":
        raise PolkitUnavailable(f"expected (bba{{ss}}) from polkit, got {reply.signature}")
    is_authorized, is_challenge, details = reply.body[0]
    if is_authorized:
        return
    if details.get("polkit.dismissed") == "true":
        raise PolkitError(
            "the user has dismissed the authentication", VirErrorNumber.VIR_ERR_AUTH_CANCELLED
        )
    if is_challenge:
        raise PolkitError(
            f"no polkit agent is there to authenticate action {action!r}",
            VirErrorNumber.VIR_ERR_AUTH_UNAVAILABLE,
        )
    raise PolkitError("access denied by policy")


@asynccontextmanager
async def _connected(bus: MessageBus | None) -> AsyncIterator[MessageBus]:
    if bus is not None:
        yield bus
        return
    own: Any = await _connect()
    try:
        yield own
    finally:
        own.disconnect()
        with suppress(OSError, EOFError):
            await own.wait_for_disconnect()


async def _connect() -> MessageBus:
    """A connection to the system's bus."""
    dbus = _dbus()
    from dbus_fast.aio import MessageBus

    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await MessageBus(bus_type=dbus.BusType.SYSTEM).connect()
    except (OSError, EOFError, TimeoutError, dbus.DBusFastError, dbus.AuthError) as error:
        reason = str(error) or type(error).__name__
        raise PolkitUnavailable(f"the system's D-Bus cannot be reached: {reason}") from error


def check_package() -> None:
    """See that the bus can be talked to at all.

    Raises:
        AuthError: ``dbus-fast`` is not installed.
    """
    _dbus()


def _dbus() -> ModuleType:
    try:
        import dbus_fast
    except ModuleNotFoundError:
        raise AuthError("polkit needs dbus-fast: pip install 'rpcgen[polkit]'") from None
    return dbus_fast
