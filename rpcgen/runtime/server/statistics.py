"""What a server counts, and what it tells about itself."""

from __future__ import annotations


class Counters:
    """What has happened since the server was started; written on the loop only.

    Attributes:
        calls: that were answered, with results or errors.
        errors: among the answers.
        bytes_in, bytes_out: of all connections.
    """

    __slots__ = ("bytes_in", "bytes_out", "calls", "errors")

    def __init__(self) -> None:
        self.calls = 0
        self.errors = 0
        self.bytes_in = 0
        self.bytes_out = 0


class Statistics:
    """A server at one moment.

    Attributes:
        clients: that are connected.
        unauthenticated: among them.
        workers: ordinary ones.
        free_workers: among them.
        priority_workers: beside them.
        stream_threads: on which plain handlers of streams run.
        queued_jobs: calls that no worker has taken.
        calls: that were answered since the server was started.
        errors: among the answers.
        bytes_in, bytes_out: of all connections since then.
    """

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "calls",
        "clients",
        "errors",
        "free_workers",
        "priority_workers",
        "queued_jobs",
        "stream_threads",
        "unauthenticated",
        "workers",
    )

    def __init__(
        self,
        *,
        clients: int,
        unauthenticated: int,
        workers: int,
        free_workers: int,
        priority_workers: int,
        stream_threads: int,
        queued_jobs: int,
        counters: Counters,
    ) -> None:
        self.clients = clients
        self.unauthenticated = unauthenticated
        self.workers = workers
        self.free_workers = free_workers
        self.priority_workers = priority_workers
        self.stream_threads = stream_threads
        self.queued_jobs = queued_jobs
        self.calls = counters.calls
        self.errors = counters.errors
        self.bytes_in = counters.bytes_in
        self.bytes_out = counters.bytes_out

    def __repr__(self) -> str:
        values = (f"{name}={getattr(self, name)}" for name in self.__slots__)
        return f"Statistics({', '.join(values)})"
