"""The tables: complete, closed, and obeyed by streams and connections for every state and input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from core.pairs import client, taken
from hypothesis import given
from hypothesis import strategies as st

from rpcgen.examples.filer.bindings.filer import program as filer
from rpcgen.runtime.errors import LocalProtocolError, RemoteProtocolError
from rpcgen.runtime.limits import Limits
from rpcgen.runtime.outbox import Outbox
from rpcgen.runtime.state import (
    CLIENT_STREAM,
    CONNECTION,
    OVER,
    SERVER_STREAM,
    ConnectionInput,
    ConnectionState,
    StreamInput,
    StreamState,
    StreamTable,
)
from rpcgen.runtime.streams import Stream

I, S = StreamInput, StreamState  # noqa: E741


def stream(*, is_client: bool) -> Stream:
    one = Stream(filer.FILER_V1_UPLOAD, 3, Outbox(), Limits(), is_client=is_client)
    one.sparse = True
    return one


@pytest.mark.parametrize("table", [CLIENT_STREAM, SERVER_STREAM])
def test_a_table_leads_only_to_states_that_it_has(table: StreamTable) -> None:
    assert {state for row in table.values() for state in row.values()} <= set(table)
    for state in OVER:
        assert set(table[state].values()) <= {state}


@pytest.mark.parametrize("table", [CLIENT_STREAM, SERVER_STREAM])
def test_every_state_can_be_reached_and_left(table: StreamTable) -> None:
    reached, todo = set(), [StreamState.OPENING]
    while todo:
        state = todo.pop()
        if state not in reached:
            reached.add(state)
            todo += table[state].values()
    assert reached == set(table)
    for state in set(table) - OVER:
        assert set(table[state].values()) - {state}


@pytest.mark.parametrize("what", StreamInput)
@pytest.mark.parametrize(
    ("state", "is_client"),
    [(state, True) for state in CLIENT_STREAM] + [(state, False) for state in SERVER_STREAM],
)
def test_what_is_not_in_the_table_is_somebodys_error(
    state: StreamState, what: StreamInput, is_client: bool
) -> None:
    one = stream(is_client=is_client)
    one.state = state
    table = CLIENT_STREAM if is_client else SERVER_STREAM
    kind = RemoteProtocolError if what.name.startswith("RECEIVE") else LocalProtocolError
    if what in table[state]:
        one.move(what)
        assert one.state is table[state][what]
    else:
        with pytest.raises(kind, match=state.value):
            one.move(what)
        assert one.state is state


ACTIONS: dict[StreamInput, Callable[[Stream], Any]] = {
    I.ACCEPT: lambda one: one.answered(accepted=True),
    I.REFUSE: lambda one: one.answered(accepted=False),
    I.FORGET: lambda one: one.move(I.FORGET),
    I.SEND: lambda one: one.send(b"data"),
    I.SEND_END: lambda one: one.send_end(),
    I.SEND_OK: lambda one: one.send_ok(),
    I.SEND_ERROR: lambda one: one.send_error(),
}


@given(st.lists(st.sampled_from(list(ACTIONS)), max_size=12), st.booleans())
def test_no_order_of_actions_does_anything_else_than_the_table(
    actions: list[StreamInput], is_client: bool
) -> None:
    one = stream(is_client=is_client)
    table = CLIENT_STREAM if is_client else SERVER_STREAM
    for what in actions:
        expected = table[one.state].get(what)
        before = one.state
        if expected is None:
            with pytest.raises(LocalProtocolError):
                ACTIONS[what](one)
            assert one.state is before
        else:
            ACTIONS[what](one)
            assert one.state is expected


@pytest.mark.parametrize("what", ConnectionInput)
@pytest.mark.parametrize("state", ConnectionState)
def test_a_connection_goes_where_its_table_says(
    state: ConnectionState, what: ConnectionInput
) -> None:
    core = client()
    core.state = state
    if what in CONNECTION[state]:
        core.move(what)
        assert core.state is CONNECTION[state][what]
    else:
        with pytest.raises(LocalProtocolError, match="the connection is closed"):
            core.move(what)
    assert taken(core) == b""
