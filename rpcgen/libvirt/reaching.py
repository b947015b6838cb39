"""How the connection of a session is made: at an address, with a daemon that may have to be started
first, or through SSH without the program ``ssh``.

Each way is another module's; here is which of them a plan wants, for threads and for asyncio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpcgen.runtime.connecting import connect, connect_async

if TYPE_CHECKING:
    from rpcgen.libvirt.opening import Plan
    from rpcgen.libvirt.times import Left
    from rpcgen.runtime.client.aio import AsyncConnection
    from rpcgen.runtime.client.sync import Connection
    from rpcgen.runtime.interfaces import ByteStream


def reach(plan: Plan, left: Left) -> Connection:
    """Connect to the server of a plan.

    Raises:
        ConnectError, TlsError: it cannot be reached.
    """
    where: str | ByteStream = plan.address
    if plan.library is not None:
        from rpcgen.libvirt import sshlibrary

        uri, socket = plan.library
        where = sshlibrary.dial(
            uri, socket, readonly=plan.readonly, timeout=left(), ask=plan.login.ask
        )
    elif plan.daemon is not None:
        from rpcgen.libvirt import autostart

        where = autostart.reach(plan.address, plan.daemon, left())
    return connect(where, tls=plan.tls, timeout=left())


async def reach_async(plan: Plan, left: Left) -> AsyncConnection:
    """``reach`` for asyncio."""
    where: str | ByteStream = plan.address
    if plan.library is not None:
        from rpcgen.libvirt import sshlibrary

        uri, socket = plan.library
        where = await sshlibrary.dial_async(
            uri, socket, readonly=plan.readonly, timeout=left(), ask=plan.login.ask
        )
    elif plan.daemon is not None:
        from rpcgen.libvirt import autostart

        where = await autostart.reach_async(plan.address, plan.daemon, left())
    return await connect_async(where, tls=plan.tls, timeout=left())
