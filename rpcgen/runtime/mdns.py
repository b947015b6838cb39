"""Services that are told and found on the local network without a directory: mDNS, DNS-SD (RFC 6763).

Old deployments of libvirt announce themselves so. What is announced is no more to be trusted than
the network: who it is, TLS or SASL has to say. It needs ``zeroconf``: ``pip install rpcgen[mdns]``.
Nothing here listens for, or connects to, the service itself.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Self, TypeAlias

from rpcgen.runtime.errors import TransportError

if TYPE_CHECKING:
    from zeroconf import ServiceInfo, ServiceStateChange, Zeroconf

    Changes: TypeAlias = SimpleQueue[tuple[str, ServiceStateChange]]

SERVICE_TYPE: Final = "_libvirt._tcp"
"""What libvirt's daemons announced."""

PATIENCE: Final = 3.0
"""Seconds in which a network's answers come: they are delayed by half of one at most, and asked for
three times in this.
"""

FOUND_MAX: Final = 1_000
"""Services after which no more are looked for: anybody on the network can make them up."""

_STEP: Final = 0.5
"""Seconds for the details of one service before another has its turn."""

_TYPE: Final = re.compile(
    r"(_[A-Za-z0-9](?:[A-Za-z0-9-]{0,13}[A-Za-z0-9])?\._(?:tcp|udp))(\.local\.?)?"
)
_LABEL_MAX: Final = 63
_TEXT_MAX: Final = 255

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
"""What no name of a service has (RFC 6763, section 4.1.1)."""

_ELSEWHERE: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses of nobody (RFC 5737, RFC 3849), to which the way leads through the network."""

_logger = logging.getLogger(__name__)


class Found(NamedTuple):
    """A service that somebody announces.

    Attributes:
        name: as people read it (``Virtualization Host alpha``).
        host: the name of its machine (``alpha.local``), which only mDNS may know.
        port: 1 to 65535.
        addresses: the machine's, those first that are reached from everywhere; at least one.
        txt: what else is said of it.
    """

    name: str
    host: str
    port: int
    addresses: tuple[str, ...]
    txt: Mapping[str, str]

    def address(self, transport: str = "tcp") -> str:
        """Where to connect, as ``connect`` takes it; ``tls`` if that is spoken there."""
        host = self.addresses[0]
        return f"{transport}://{f'[{host}]' if ':' in host else host}:{self.port}"


class Announcement:
    """A service that is announced for as long as a block lasts, or from ``start`` to ``stop``.

    A network without multicast is no error: there is a warning in the log, and nobody is told.
    Starting takes a second or two, in which others are asked whether they have that name;
    ``async with`` keeps the loop free meanwhile.

    Attributes:
        name: of the service; another than was asked for if somebody had that one, and said so.

    Args:
        port: where the service listens.
        name: up to 63 bytes, without control characters; by default what libvirt said:
            ``Virtualization Host`` and the machine's name.
        service_type: which protocol it speaks, as registered with IANA.
        txt: what else to say of it; up to 255 bytes each, with the key.
        addresses: of the machine, as numbers; by default those of ``interfaces`` or, without
            them, by which it is seen from elsewhere.
        interfaces: where to announce it, by their addresses; all by default.

    Raises:
        ValueError: one of them is not what it has to be.
    """

    __slots__ = ("_addresses", "_interfaces", "_port", "_txt", "_type", "_zeroconf", "name")

    def __init__(
        self,
        port: int,
        *,
        name: str | None = None,
        service_type: str = SERVICE_TYPE,
        txt: Mapping[str, str] | None = None,
        addresses: Iterable[str] | None = None,
        interfaces: Iterable[str] | None = None,
    ) -> None:
        self.name = (
            f"Virtualization Host {socket.gethostname()}"[:_LABEL_MAX] if name is None else name
        )
        self._port = port
        self._type = _full_type(service_type)
        self._txt = dict(txt or {})
        self._interfaces = _numbers("interfaces", interfaces)
        self._addresses = (
            self._interfaces if addresses is None else _numbers("addresses", addresses)
        )
        self._zeroconf: Zeroconf | None = None
        self._check()

    @property
    def is_started(self) -> bool:
        """Whether the network is told."""
        return self._zeroconf is not None

    def start(self) -> None:
        """Announce it, and go on doing so in the background.

        Raises:
            TransportError: ``zeroconf`` is not installed.
        """
        _require()
        from zeroconf import Error

        if self._zeroconf is not None:
            return
        try:
            self._zeroconf = self._register()
        except (OSError, Error) as error:
            _logger.warning("mDNS: %r is not announced: %s", self.name, _words(error))

    def stop(self) -> None:
        """Tell the network that it is gone; more than once does nothing."""
        opened, self._zeroconf = self._zeroconf, None
        if opened is not None:
            opened.close()  # which takes leave

    def _check(self) -> None:
        if not 1 <= self._port <= 0xFFFF:
            raise ValueError(f"port: expected 1 to 65535, got {self._port}")
        if not 1 <= len(self.name.encode()) <= _LABEL_MAX:
            raise ValueError(f"name: expected 1 to {_LABEL_MAX} bytes, got {self.name!r}")
        if _CONTROL.search(self.name):
            raise ValueError(f"name: expected no control characters, got {self.name!r}")
        for key, value in self._txt.items():
            if not key or "=" in key or len(f"{key}={value}".encode()) > _TEXT_MAX:
                raise ValueError(
                    f"txt: expected a key without = and up to {_TEXT_MAX} bytes, got {key!r}"
                )

    def _register(self) -> Zeroconf:
        info = self._make_info()
        opened = _open(self._interfaces)
        try:
            opened.register_service(info, allow_name_change=True)
        except BaseException:
            opened.close()
            raise
        self.name = info.name.removesuffix(f".{self._type}")
        return opened

    def _make_info(self) -> ServiceInfo:
        from zeroconf import ServiceInfo

        addresses = _own_addresses() if self._addresses is None else self._addresses
        if not addresses:
            raise OSError("this machine has no address but loopback")
        return ServiceInfo(
            self._type,
            f"{self.name}.{self._type}",
            port=self._port,
            parsed_addresses=addresses,
            server=f"{socket.gethostname().partition('.')[0]}.local.",
            properties=self._txt,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)


def discover(
    service_type: str = SERVICE_TYPE,
    *,
    timeout: float = PATIENCE,
    enough: int = FOUND_MAX,
    interfaces: Iterable[str] | None = None,
) -> list[Found]:
    """Ask the local network for services.

    A network without multicast is no error: there is a warning in the log, and nothing is found.

    Args:
        service_type: which protocol they are to speak.
        timeout: seconds until the list is complete: there is no other way to tell that it is.
        enough: how many services end the search earlier, ``FOUND_MAX`` at the most.
        interfaces: where to ask, by their addresses; everywhere by default.

    Returns:
        Those that are there, by their names.

    Raises:
        TransportError: ``zeroconf`` is not installed.
        ValueError: the type is none, or an interface is no address.
    """
    full, where = _full_type(service_type), _numbers("interfaces", interfaces)
    _require()
    from zeroconf import Error, ServiceBrowser

    try:
        opened = _open(where)
    except (OSError, Error) as error:
        _logger.warning("mDNS: nothing is looked for: %s", _words(error))
        return []
    changes: Changes = SimpleQueue()

    def note(*, name: str, state_change: ServiceStateChange, **_: object) -> None:
        changes.put((name, state_change))

    try:
        ServiceBrowser(opened, full, handlers=[note])
        found = _gather(opened, full, changes, time.monotonic() + timeout, min(enough, FOUND_MAX))
    finally:
        opened.close()
    return sorted(found.values(), key=lambda one: one.name)


async def discover_async(
    service_type: str = SERVICE_TYPE,
    *,
    timeout: float = PATIENCE,
    enough: int = FOUND_MAX,
    interfaces: Iterable[str] | None = None,
) -> list[Found]:
    """``discover`` without blocking the loop."""
    search = partial(discover, timeout=timeout, enough=enough, interfaces=interfaces)
    return await asyncio.to_thread(search, service_type)


def _gather(
    opened: Zeroconf, full: str, changes: Changes, deadline: float, enough: int
) -> dict[str, Found]:
    """What comes until the deadline, less what goes."""
    from zeroconf import BadTypeInNameException, ServiceStateChange

    found: dict[str, Found] = {}
    while len(found) < enough and (left := deadline - time.monotonic()) > 0:
        try:
            name, change = changes.get(timeout=left)
        except Empty:
            break
        found.pop(name, None)
        if change is ServiceStateChange.Removed:
            continue
        try:
            info = opened.get_service_info(full, name, timeout=max(1, int(min(_STEP, left) * 1000)))
        except BadTypeInNameException:  # a name of something else: anybody can send it
            continue
        if info is None:
            changes.put((name, change))  # again, when the others have had their turn
        elif one := _read(info, full):
            found[name] = one
    return found


def _read(info: ServiceInfo, full: str) -> Found | None:
    """What is known of a service, if it can be connected to."""
    addresses = tuple(sorted(info.parsed_scoped_addresses(), key=_reach))
    if not info.port or not addresses:
        return None
    txt = {_text(key): _text(value or b"") for key, value in info.properties.items()}
    host = (info.server or "").rstrip(".")
    return Found(info.name.removesuffix(f".{full}"), host, info.port, addresses, txt)


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _reach(text: str) -> tuple[bool, int, str]:
    address = ipaddress.ip_address(text)
    return address.is_link_local, address.version, text


def _full_type(text: str) -> str:
    match = _TYPE.fullmatch(text)
    if match is None:
        raise ValueError(f"service type: expected the likes of {SERVICE_TYPE}, got {text!r}")
    return f"{match[1]}.local."


def _numbers(what: str, texts: Iterable[str] | None) -> list[str] | None:
    found = None if texts is None else list(texts)
    for one in found or ():
        try:
            ipaddress.ip_address(one)
        except ValueError:
            reason = f"expected addresses as numbers, such as 192.0.2.1, got {one!r}"
            raise ValueError(f"{what}: {reason}") from None
    return found


def _require() -> None:
    try:
        import zeroconf  # noqa: F401  (to say what is missing, once for all)
    except ImportError:
        raise TransportError("mDNS needs the package zeroconf: pip install rpcgen[mdns]") from None


def _open(interfaces: list[str] | None) -> Zeroconf:
    from zeroconf import InterfaceChoice, Zeroconf

    try:
        return Zeroconf(InterfaceChoice.All if interfaces is None else interfaces)
    except RuntimeError as error:  # its word for that there is no interface
        raise OSError(str(error)) from error


def _own_addresses() -> list[str]:
    """This machine's, by which it is seen from elsewhere. Nothing is sent to find out."""
    found = []
    for family, target in _ELSEWHERE:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            found.append(str(probe.getsockname()[0]))
    return [one for one in found if not ipaddress.ip_address(one).is_loopback]


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
