"""Opening connections, for threads and for asyncio, and pairs that need no address.

A command is a connection as soon as it runs: whether it reaches anybody shows when it is used.
"""

from __future__ import annotations

import os
import socket
import time

from rpcgen.runtime.errors import ConnectError
from rpcgen.runtime.transport import address as addresses
from rpcgen.runtime.transport.command import spawn
from rpcgen.runtime.transport.stream import SocketStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable
    from typing import Any

    from rpcgen.runtime.interfaces import ByteStream
    from rpcgen.runtime.transport.address import Address, Candidate


def dial(address: Address, timeout: float | None = None) -> ByteStream:
    """Connect, and wait until that has happened.

    Args:
        timeout: seconds, for all addresses of the host together; None waits for the system.

    Raises:
        ConnectError: nobody answers there, or the program cannot be run.
    """
    if address.kind == "command":
        return spawn(address.argv)
    deadline = None if timeout is None else time.monotonic() + timeout
    problem: OSError | None = None
    try:
        candidates = _candidates(address)
    except OSError as error:
        raise _refused(address, error) from error
    for family, name in candidates:
        connecting = socket.socket(family, socket.SOCK_STREAM)
        try:
            connecting.settimeout(None if deadline is None else _left(deadline))
            connecting.connect(name)
            return SocketStream(connecting)
        except OSError as error:
            connecting.close()
            problem = error
        except BaseException:
            connecting.close()
            raise
    raise _refused(address, problem) from problem


async def dial_async(address: Address, loop: asyncio.AbstractEventLoop) -> ByteStream:
    """``dial`` without blocking the loop; to be limited in time by the caller."""
    if address.kind == "command":
        return spawn(address.argv)
    problem: OSError | None = None
    try:
        candidates: Iterable[Candidate] = (
            _candidates(address)
            if address.kind == "unix"
            else _found(await loop.getaddrinfo(**_lookup(address)))
        )
    except OSError as error:
        raise _refused(address, error) from error
    for family, name in candidates:
        connecting = socket.socket(family, socket.SOCK_STREAM)
        connecting.setblocking(False)
        try:
            await loop.sock_connect(connecting, name)
            return SocketStream(connecting)
        except OSError as error:
            connecting.close()
            problem = error
        except BaseException:
            connecting.close()
            raise
    raise _refused(address, problem) from problem


def pair() -> tuple[SocketStream, SocketStream]:
    """Two ends of one connection inside this process; they pass descriptors, too."""
    one, two = socket.socketpair()
    return SocketStream(one), SocketStream(two)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _lookup(address: Address) -> dict[str, Any]:
    if not address.host:
        raise ConnectError(f"{address}: expected a host to connect to")
    if not _is_name(address.host):
        raise ConnectError(f"{address.host!a} is no name of a host")
    flags = socket.AI_ADDRCONFIG | socket.AI_V4MAPPED
    return {
        "host": address.host,
        "port": address.port,
        "type": socket.SOCK_STREAM,
        "flags": 0 if _is_literal(address.host) else flags,
    }


def _is_name(host: str) -> bool:
    """Whether the system can be asked for a host: a NUL would end its name, for some of those asked."""
    try:
        return b"\0" not in host.encode("idna")
    except UnicodeError:
        return False


def _is_literal(host: str) -> bool:
    """Whether a host is an address already: those of loopback need no configured network."""
    return ":" in host or host.replace(".", "").isdigit()


def _candidates(address: Address) -> list[Candidate]:
    if address.kind == "unix":
        return [(socket.AF_UNIX, addresses.unix_name(address.path))]
    return _found(socket.getaddrinfo(**_lookup(address)))


def _found(results: Iterable[tuple[Any, ...]]) -> list[Candidate]:
    return [(family, name) for family, _, _, _, name in results]


def _refused(address: Address, problem: OSError | None) -> ConnectError:
    why = "no address found"
    if problem is not None:
        # By the number: asyncio's own words name an address again, and no reason.
        number = problem.errno or 0
        why = os.strerror(number) if number > 0 else problem.strerror or str(problem)
    return ConnectError(f"{address}: cannot connect: {why}")
