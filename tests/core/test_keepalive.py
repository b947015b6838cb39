"""When a silent peer is asked, and when it is given up: the clock is the test's."""

from __future__ import annotations

import pytest
from core.pairs import client, events, raw, server, taken

from rpcgen.runtime.connection import PING, PONG
from rpcgen.runtime.keepalive import Keepalive, Pulse


def test_silence_kills_after_one_interval_more_than_questions() -> None:
    """2 seconds, 2 questions: pings at 2 and 4, the end at 6, as libvirt does it."""
    one = Keepalive(2, 2, 0)
    found = [(now / 2, one.tick(now / 2)) for now in range(13)]
    assert [(now, pulse) for now, pulse in found if pulse is not Pulse.QUIET] == [
        (2, Pulse.PING),
        (4, Pulse.PING),
        (6, Pulse.DEAD),
    ]


def test_anything_received_starts_anew() -> None:
    one = Keepalive(2, 1, 0)
    assert one.tick(2) is Pulse.PING
    one.alive(3)
    assert (one.tick(4.5), one.deadline) == (Pulse.QUIET, 5)
    assert one.tick(5) is Pulse.PING
    assert one.tick(7) is Pulse.DEAD


def test_no_question_at_all_is_possible() -> None:
    assert Keepalive(3, 0, 0).tick(3) is Pulse.DEAD


@pytest.mark.parametrize(("interval", "count"), [(0, 1), (-1, 1), (1, -1)])
def test_other_settings_are_refused(interval: float, count: int) -> None:
    with pytest.raises(ValueError, match="keepalive"):
        Keepalive(interval, count, 0)


@pytest.mark.parametrize("core", [client(), server()])
def test_a_ping_is_answered_without_being_asked_for(core: object) -> None:
    assert bytes.fromhex("0000001c6b65657000000001000000010000000200000000 00000000") == PING
    core.receive_data(PING + PONG + raw(9, program=0x6B656570, kind=2))  # type: ignore[attr-defined]
    assert events(core) == []  # type: ignore[arg-type]
    assert taken(core) == PONG  # type: ignore[arg-type]
    assert core.dropped == 0  # type: ignore[attr-defined]


def test_a_connection_asks_and_gives_up() -> None:
    core = client()
    assert core.tick(1e9)
    core.start_keepalive(5, 1, 0)
    assert core.tick(4)
    assert taken(core) == b""
    assert core.tick(5)
    assert taken(core) == PING
    core.receive_data(PONG, now=6)
    assert core.tick(10)
    assert core.tick(11)
    assert taken(core) == PING
    assert not core.tick(16)
    core.start_keepalive(0, 0, 16)
    assert core.tick(1e9)
