"""How a server is set: whatever can be chosen, with libvirt's defaults, checked when it is."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rpcgen.runtime.interfaces import ByteStream, Identity


class Settings:
    """See ``Server``; what may change at run time is changed here."""

    __slots__ = (
        "auth_required",
        "keepalive",
        "max_anonymous_clients",
        "max_client_requests",
        "max_clients",
        "max_queued_clients",
        "max_workers",
        "min_workers",
        "priority_workers",
        "socket_mode",
    )

    def __init__(
        self,
        *,
        min_workers: int,
        max_workers: int,
        priority_workers: int,
        max_clients: int,
        max_anonymous_clients: int,
        max_queued_clients: int,
        max_client_requests: int,
        keepalive: tuple[float, int],
        socket_mode: int,
        auth_required: bool | Callable[[Identity], bool],
    ) -> None:
        self.max_queued_clients = max_queued_clients
        self.max_client_requests = max_client_requests
        self.keepalive = keepalive
        self.socket_mode = socket_mode
        self.auth_required = auth_required
        if max_client_requests < 1:
            raise ValueError(f"max_client_requests: expected 1 or more, got {max_client_requests}")
        if max_queued_clients < 0:
            raise ValueError(f"max_queued_clients: expected 0 or more, got {max_queued_clients}")
        if keepalive[1] < 0:
            raise ValueError(f"keepalive: expected a count of 0 or more, got {keepalive[1]}")
        self.set_workers(min_workers, max_workers, priority_workers)
        self.set_clients(max_clients, max_anonymous_clients)

    def demands_auth(self, stream: ByteStream) -> bool:
        """Whether who is on the other end must authenticate; only then the system is asked who it is."""
        required = self.auth_required
        return required if isinstance(required, bool) else required(stream.identity)

    def set_workers(self, minimum: int, maximum: int, priority: int) -> None:
        """Bounds of the pool of workers."""
        if minimum < 0 or maximum < 0 or priority < 0 or (maximum and minimum > maximum):
            raise ValueError(
                f"workers: expected 0 <= min <= max, and priority >= 0; "
                f"got {minimum}, {maximum} and {priority}"
            )
        self.min_workers = minimum
        self.max_workers = maximum
        self.priority_workers = priority

    def set_clients(self, clients: int, anonymous: int) -> None:
        """Bounds of the clients that are accepted."""
        if clients < 1 or anonymous < 0 or anonymous > clients:
            raise ValueError(
                f"clients: expected max_clients >= 1 and at least max_anonymous_clients, "
                f"got {clients} and {anonymous}"
            )
        self.max_clients = clients
        self.max_anonymous_clients = anonymous


def check_tls(tls: object) -> None:
    """See that it is a server's: a client's has no list of those who may come.

    Raises:
        TypeError: it is anything else.
    """
    from rpcgen.runtime.tls.context import ServerTls

    if not isinstance(tls, ServerTls):
        raise TypeError(f"tls: expected ServerTls(...), got {tls!r}")


def demands_of(programs: Sequence[object]) -> bool | Callable[[Identity], bool]:
    """What programs demand of clients; one that wants to know them is not served to others."""
    asked = [one.is_auth_required for one in programs if hasattr(one, "is_auth_required")]
    return (lambda identity: any(one(identity) for one in asked)) if asked else False
