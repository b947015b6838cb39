"""The keys of one server: what they set, what they stand for where they are absent, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from rpcgen.runtime.daemon.configuration import Configuration, ConfigurationError
from rpcgen.runtime.daemon.keys import SERVER_KEYS, ServerKeys
from rpcgen.runtime.server import Server

VALUES = {
    "min_workers": 1,
    "max_workers": 7,
    "priority_workers": 3,
    "max_clients": 25,
    "max_anonymous_clients": 8,
    "max_client_requests": 2,
    "keepalive_interval": 6,
    "keepalive_count": 4,
}


def settings(server: Server) -> dict[str, Any]:
    """All that is set, by key."""
    interval, count = server.settings.keepalive
    own = {"keepalive_interval": interval, "keepalive_count": count}
    return {key: own.get(key, getattr(server.settings, key, None)) for key in SERVER_KEYS}


def file(**values: int) -> Configuration:
    return Configuration({f"servers.x.{key}": value for key, value in values.items()}, path="f")


def test_every_key_sets_what_it_says_and_absent_ones_the_programs_own() -> None:
    server = Server([])
    before = settings(server)
    keys = ServerKeys("x", server)
    keys.apply(file(**VALUES))
    assert settings(server) == VALUES
    for key in SERVER_KEYS:
        keys.apply(file(**{key: VALUES[key]}))
        assert settings(server) == {**before, key: VALUES[key]}
    keys.apply(file())
    assert settings(server) == before


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"min_workers": 21}, "min_workers"),
        ({"max_workers": 4}, "max_workers"),
        ({"max_workers": 0}, "max_workers"),
        ({"max_clients": 19}, "max_clients"),
        ({"max_anonymous_clients": 5001}, "max_anonymous_clients"),
    ],
)
def test_a_contradiction_is_told_of_a_key_that_is_there(wrong: dict[str, int], key: str) -> None:
    server = Server([])
    before = settings(server)
    with pytest.raises(ConfigurationError) as caught:
        ServerKeys("x", server).check(file(**wrong))
    assert caught.value.key == f"servers.x.{key}"
    assert settings(server) == before


def test_checks_are_below_the_servers_name() -> None:
    checks = ServerKeys("x", Server([])).checks
    assert checks.keys() == {f"servers.x.{key}" for key in SERVER_KEYS}
    assert checks["servers.x.max_clients"](0) == "expected a whole number from 1 to 1000000"
