"""Our server answers bad and odd input as libvirt's does: the cases that were replayed against a libvirtd."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from server.kit import fresh_address, plain_socket, settle
from wire_cases import CASES, Case
from wire_replay import replay

from libvirt_rpc.remote_protocol.server import RemoteServer
from libvirt_rpc.remote_protocol.types import RemoteAuthType, RemoteNonnullDomain
from rpcgen.runtime.server import Server


class Daemon(RemoteServer):
    """What the cases call."""

    def auth_list(self, *_: object) -> list[RemoteAuthType | int]:
        return [RemoteAuthType.REMOTE_AUTH_NONE]

    def connect_supports_feature(self, *_: object) -> int:
        return 1

    async def domain_lookup_by_name(self, *_: object) -> RemoteNonnullDomain:
        return RemoteNonnullDomain("", bytes(16), -1)

    def domain_open_graphics(self, *_: object) -> None:
        """Takes descriptors, and so the server does."""


@pytest.fixture(scope="module", params=["unix", "tcp"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where a server listens."""
    listen = fresh_address() if request.param == "unix" else "tcp://127.0.0.1:0"
    with Server([Daemon()], listen=[listen]) as server:
        yield server.addresses[0]
        settle(lambda: server.sessions == [])


@pytest.mark.parametrize("piece", [0, 1], ids=["whole", "bytes"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_our_server_answers(case: Case, piece: int, address: str) -> None:
    with plain_socket(address) as connection:
        replay(connection, case, piece)
