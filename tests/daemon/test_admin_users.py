"""Who may administer a daemon: its own user, in every procedure that there is."""

from __future__ import annotations

import asyncio
import inspect
import os
from typing import Any

import pytest

from libvirt_rpc.admin_protocol.program import ADMIN_PROGRAM
from libvirt_rpc.admin_protocol.server import AdminServer
from libvirt_rpc.libvirt_common.types import VirErrorNumber
from rpcgen.runtime import Identity, RemoteError
from rpcgen.runtime.daemon.admin import AdminService

METHODS = sorted(procedure.method for procedure in ADMIN_PROGRAM.procedures.values())


class FakeSession:
    """A client as far as the service looks at it."""

    def __init__(self, uid: int | None) -> None:
        self.identity = Identity(uid=uid, pid=4)
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


class FakeCall:
    def __init__(self, session: FakeSession) -> None:
        self.session = session


@pytest.mark.parametrize("method", METHODS)
def test_every_procedure_is_offered(method: str) -> None:
    assert getattr(AdminService, method) is not getattr(AdminServer, method)


@pytest.mark.parametrize("uid", [os.geteuid() + 1, None])
@pytest.mark.parametrize("method", METHODS)
def test_another_user_is_refused_and_disconnected(method: str, uid: int | None) -> None:
    session, daemon = FakeSession(uid), object()  # it is not even looked at
    service: Any = AdminService(daemon)  # type: ignore[arg-type]
    handler = getattr(service, method)
    arguments = [None] * (len(inspect.signature(handler).parameters) - 1)

    async def call() -> None:
        result = handler(FakeCall(session), *arguments)
        if inspect.isawaitable(result):
            await result

    with pytest.raises(RemoteError, match=f"Disallowing client 4 with uid {uid}") as caught:
        asyncio.run(call())
    assert caught.value.code is VirErrorNumber.VIR_ERR_OPERATION_DENIED
    assert session.is_closed
