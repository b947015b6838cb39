"""Who takes part in ``benchmarks.rpc``: a module each, most of them run as processes of their own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """What a load made of a server.

    Attributes:
        calls: answered.
        seconds: by the clock.
        cpu: processor seconds of the server.
        load: processor seconds of those who called.
    """

    calls: int
    seconds: float
    cpu: float
    load: float
