"""What calls and clients leave behind: descriptors, threads of streams, numbers, callbacks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import pytest
from raw import DEADLINE, ERROR, OK, STREAM
from server.kit import (
    CONSOLE,
    DATA,
    WITH_FDS,
    connect,
    descriptors,
    number,
    offering,
    serving,
    settle,
)

from rpcgen.runtime.errors import XdrEncodeError
from rpcgen.runtime.limits import STREAMS_MAX, Limits
from rpcgen.runtime.program import VOID, Procedure, Program
from rpcgen.runtime.server.session import Session


def test_descriptors_beside_a_bad_result_are_closed() -> None:
    def bad(_: object, __: int) -> tuple[str, list[int]]:
        return "no number", [os.open("/dev/null", os.O_RDONLY)]

    with serving(offering(with_fds=bad)) as server, connect(server) as raw:
        assert raw.call(WITH_FDS.number, number(1)).status == ERROR
        before = descriptors()
        assert raw.call(WITH_FDS.number, number(1)).status == ERROR
        assert descriptors() == before


def test_handlers_of_aborted_streams_count_until_they_end() -> None:
    gate, stuck = threading.Event(), threading.Semaphore(0)

    def console(_: object) -> Iterator[bytes]:
        yield b"x"
        stuck.release()
        gate.wait()

    with serving(offering(console=console)) as server, connect(server) as raw:
        try:
            for serial in range(1, STREAMS_MAX + 1):
                raw.send(raw.packet(CONSOLE.number, serial=serial))
                assert raw.read().status == OK
                assert raw.read().payload == b"x"
                assert stuck.acquire(timeout=DEADLINE)
                raw.send(raw.packet(CONSOLE.number, serial=serial, type_=STREAM, status=ERROR))
                assert raw.read().status == OK
            raw.send(raw.packet(CONSOLE.number, serial=STREAMS_MAX + 1))
            assert raw.read().status == ERROR
        finally:
            gate.set()


def test_a_client_without_an_id_gets_no_other_ones() -> None:
    with serving(offering()) as first:
        one, two = connect(first), connect(first)
        settle(lambda: first.statistics.clients == 2)
        first.hand_over()
    assert first.saved is not None
    first.saved.clients[0].id, first.saved.next_client_id = None, 2
    second = serving(offering())
    second.restore(first.saved)
    with one, two, second:
        assert second.statistics.clients == 2


def test_an_event_that_fits_no_packet_is_not_sent() -> None:
    long = Procedure(Program("LONG", 0x20F0_0009, 1), 1, "LONG", "long", DATA, VOID, event=True)
    limits = Limits(message=40, stream_packet=8)
    with serving(offering(), limits=limits) as server, connect(server) as raw:
        assert raw.is_quiet()
        for target in (server, server.sessions[0]):
            with pytest.raises(XdrEncodeError, match="LONG: 20 bytes do not fit a packet"):
                target.send_event(long, bytes(16))
            target.send_event(long, bytes(8))
            assert len(raw.read().payload) == 12
        assert raw.is_quiet()


def test_callbacks_are_called_before_workers_end(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(Session, "_call_back", lambda _: told.append("client"))
    with serving(offering()) as server, connect(server) as raw:
        assert raw.is_quiet()
        engine = server._running()
        assert engine.workers is not None
        stop = engine.workers.stop

        def ending(ended: Callable[[], object]) -> None:
            told.append("end")
            stop(ended)

        monkeypatch.setattr(engine.workers, "stop", ending)
    assert told[0] == "client"
