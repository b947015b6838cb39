"""The figures of a server that the admin program shows, and which of them it sets.

Whether new ones do is decided elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from rpcgen.runtime.daemon.parameters import unsigned, unsigned_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from libvirt_rpc.admin_protocol.types import AdminTypedParam
    from rpcgen.runtime.server import Server


class Figure(NamedTuple):
    """Where a figure is: an attribute of the server's settings, of its statistics, or of both.

    What is in the settings can be set; what is in the statistics is shown as it is there.
    """

    setting: str = ""
    counted: str = ""


WORKERS: Final = {
    "minWorkers": Figure("min_workers"),
    "maxWorkers": Figure("max_workers"),
    "nWorkers": Figure(counted="workers"),
    "freeWorkers": Figure(counted="free_workers"),
    "prioWorkers": Figure("priority_workers", "priority_workers"),
    "jobQueueDepth": Figure(counted="queued_jobs"),
}
"""Of its pool (VIR_THREADPOOL_*), in the order in which they are shown, and set."""

CLIENTS: Final = {
    "nclients_max": Figure("max_clients"),
    "nclients": Figure(counted="clients"),
    "nclients_unauth_max": Figure("max_anonymous_clients"),
    "nclients_unauth": Figure(counted="unauthenticated"),
}
"""The same of its clients (VIR_SERVER_CLIENTS_*)."""


def shown(server: Server, figures: Mapping[str, Figure]) -> list[AdminTypedParam]:
    """All of them, at one moment."""
    settings, statistics = server.settings, server.statistics
    return unsigned(
        **{
            name: (
                getattr(statistics, one.counted) if one.counted else getattr(settings, one.setting)
            )
            for name, one in figures.items()
        }
    )


def wanted(
    server: Server, figures: Mapping[str, Figure], params: Iterable[AdminTypedParam]
) -> list[int]:
    """Those that can be set, in their order: as given, or else as they are.

    Raises:
        RemoteError: one that cannot be set, of another type, or twice.
    """
    settable = {name: one.setting for name, one in figures.items() if one.setting}
    given = unsigned_values(params, settable)
    return [
        given.get(name, getattr(server.settings, setting)) for name, setting in settable.items()
    ]
