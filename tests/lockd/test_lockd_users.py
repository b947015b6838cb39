"""Clients of another user, who can come only where the socket's permissions let them."""

from __future__ import annotations

import os
from typing import Any

import pytest

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from rpcgen.examples.lockd.service import LockService
from rpcgen.runtime import Identity, RemoteError


class FakeSession:
    """A client as far as the service looks at it."""

    def __init__(self, uid: int | None) -> None:
        self.identity = Identity(uid=uid, pid=4)
        self.data: dict[str, Any] = {}
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


class FakeCall:
    def __init__(self, session: FakeSession) -> None:
        self.session = session


@pytest.mark.parametrize("uid", [os.geteuid() + 1, None])
def test_another_user_is_refused_and_disconnected(uid: int | None) -> None:
    session = FakeSession(uid)
    call: Any = FakeCall(session)
    with pytest.raises(RemoteError, match=f"Disallowing client 4 with uid {uid}") as caught:
        LockService().create_lockspace(call, "")
    assert caught.value.code is VirErrorNumber.VIR_ERR_OPERATION_DENIED
    assert session.is_closed
    assert session.data == {}
