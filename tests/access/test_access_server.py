"""A server with a policy: no handler runs, wherever it would, for those who may not call it."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from raw import ERROR, OK, Packet, Raw
from server.kit import KitServer, connect, offering, serving
from wire_cases import Failure
from wire_replay import fails

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from libvirt_rpc.remote_protocol.encoder import encode_remote_domain_get_xml_desc_args
from libvirt_rpc.remote_protocol.program import REMOTE_PROC_DOMAIN_GET_XML_DESC, REMOTE_PROGRAM
from libvirt_rpc.remote_protocol.server import RemoteServer
from libvirt_rpc.remote_protocol.types import RemoteDomainGetXmlDescArgs, RemoteNonnullDomain
from rpcgen.runtime.access import Rules
from rpcgen.runtime.interfaces import Identity
from rpcgen.runtime.program import VOID, DispatchTable, Procedure, Program
from rpcgen.runtime.stubs import Call

THINGS = Program("THINGS", 0x20F0_0003, 1)


class ThingsServer:
    """What the generator would write for ``THINGS``."""

    DISPATCH: DispatchTable


def thing(name: str, **options: Any) -> Procedure[Any, Any]:
    options.setdefault("acl", ("thing:use",))
    number = len(THINGS.procedures) + 1
    setattr(ThingsServer, name, lambda *_: None)
    return Procedure(THINGS, number, name.upper(), name, VOID, VOID, **options)


FREE = thing("free", acl=("none",))
ON_WORKER = thing("on_worker")
ON_LOOP = thing("on_loop")
READING = thing("reading", stream="read")
WRITING = thing("writing", stream="write")
NESTED = thing("nested", acl=("thing:use", "thing:more"))
ThingsServer.DISPATCH = DispatchTable(THINGS, ThingsServer)

DENIED = Failure(
    "access denied: 'THINGS' denied access$",
    VirErrorNumber.VIR_ERR_ACCESS_DENIED,
    VirErrorDomain.VIR_FROM_ACCESS,
)

ME = {"uid": os.getuid()}
USE = {"allow": "thing:use", **ME}


class Handlers:
    """Handlers of every kind, which note that they ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def server(self) -> Any:
        return offering(
            ThingsServer,
            free=self._plain("free"),
            on_worker=self._plain("on_worker"),
            nested=self._plain("nested"),
            on_loop=self._on_loop,
            reading=self._reading,
            writing=self._plain("writing"),
        )

    def _plain(self, name: str) -> Callable[..., None]:
        return lambda _: self.ran.append(name)

    async def _on_loop(self, _: object) -> None:
        self.ran.append("on_loop")

    async def _reading(self, _: object) -> AsyncIterator[bytes]:
        self.ran.append("reading")
        yield b"data"


def answer(raw: Raw, procedure: Procedure[Any, Any]) -> Packet:
    return raw.call(procedure.number)


@pytest.mark.parametrize("procedure", [ON_WORKER, ON_LOOP, READING, WRITING], ids=str)
@pytest.mark.parametrize("max_workers", [20, 0], ids=["workers", "no workers"])
def test_who_may_and_who_may_not(procedure: Procedure[Any, Any], max_workers: int) -> None:
    handlers = Handlers()
    settings = {"min_workers": 0, "max_workers": max_workers, "access": Rules({"rules": [USE]})}
    with serving(handlers.server(), **settings) as server, connect(server, program=THINGS) as raw:
        assert answer(raw, procedure).status == OK
    assert handlers.ran == [procedure.method]
    settings["access"] = Rules({"rules": [{**USE, "uid": os.getuid() + 1}]})
    with serving(handlers.server(), **settings) as server, connect(server, program=THINGS) as raw:
        fails(answer(raw, procedure).payload, DENIED)
        assert answer(raw, FREE).status == OK
    assert handlers.ran == [procedure.method, "free"]


def test_all_permissions_are_needed(caplog: pytest.LogCaptureFixture) -> None:
    handlers = Handlers()
    access = Rules({"rules": [USE]})
    with (
        serving(handlers.server(), access=access) as server,
        connect(server, program=THINGS) as raw,
    ):
        fails(answer(raw, NESTED).payload, DENIED)
        server.set_access(Rules({"rules": [USE, {"allow": "thing:more"}]}))
        assert answer(raw, NESTED).status == OK
        server.set_access(Rules({}))
        fails(answer(raw, NESTED).payload, DENIED)
    assert handlers.ran == ["nested"]
    lines = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    begins = [f"access denied: NESTED needs thing:{name}: uid=" for name in ("more", "use")]
    assert [line[: len(begin)] for line, begin in zip(lines, begins, strict=True)] == begins


def test_a_policy_that_fails_lets_nobody_through(caplog: pytest.LogCaptureFixture) -> None:
    class Failing:
        def is_allowed(self, identity: Identity, permission: object) -> bool:
            raise OSError(f"{permission!r} of {identity!r}: secret")

    handlers = Handlers()
    with (
        serving(handlers.server(), access=Failing()) as server,
        connect(server, program=THINGS) as raw,
    ):
        for procedure in (ON_WORKER, ON_LOOP, READING):
            internal = Failure("internal error$", VirErrorNumber.VIR_ERR_INTERNAL_ERROR)
            fails(answer(raw, procedure).payload, internal)
    assert handlers.ran == []
    assert len(caplog.records) == 3


def test_a_program_without_annotations_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"^PLAIN: expected '@acl"):
        serving(offering(KitServer, plain=lambda _, value: value), access=Rules({}))


def test_a_server_that_began_without_a_policy_gets_none() -> None:
    with pytest.raises(ValueError, match=r"^access: "):
        serving(Handlers().server()).set_access(Rules({}))


@pytest.mark.parametrize("max_workers", [20, 0], ids=["workers", "no workers"])
def test_a_handler_may_ask(max_workers: int, caplog: pytest.LogCaptureFixture) -> None:
    answers: list[bool] = []

    def ask(call: Call) -> None:
        answers.append(call.may("thing:more"))

    handler = offering(ThingsServer, free=ask, on_worker=ask)
    settings: dict[str, Any] = {"min_workers": 0, "max_workers": max_workers}
    with serving(handler, **settings) as server, connect(server, program=THINGS) as raw:
        assert answer(raw, FREE).status == OK
    settings["access"] = Rules({"rules": [USE]})
    with serving(handler, **settings) as server, connect(server, program=THINGS) as raw:
        assert answer(raw, FREE).status == answer(raw, ON_WORKER).status == OK
        server.set_access(Rules({"rules": [{**USE, "allow": "thing:more"}]}))
        assert answer(raw, FREE).status == OK
    assert answers == [True, False, False, True]
    assert caplog.records == []


def test_a_policy_is_shown() -> None:
    first, second = Rules({}), Rules({})
    server = serving(Handlers().server(), access=first)
    assert server.access is first
    server.set_access(second)
    assert server.access is second
    assert serving(Handlers().server()).access is None


def test_flags_of_libvirts_program() -> None:
    """VIR_DOMAIN_XML_SECURE asks for passwords, which takes more than the description does."""
    procedure = REMOTE_PROC_DOMAIN_GET_XML_DESC
    handler = offering(RemoteServer, domain_get_xml_desc=lambda *_: "<domain/>")
    access = Rules({"rules": [{"allow": "domain:read", **ME}]})
    domain = RemoteNonnullDomain("d", bytes(16), 1)
    with (
        serving(handler, access=access) as server,
        connect(server, program=REMOTE_PROGRAM) as raw,
    ):
        for flags, status in ((0, OK), (1, ERROR), (2, OK), (8, ERROR)):
            payload = encode_remote_domain_get_xml_desc_args(
                RemoteDomainGetXmlDescArgs(domain, flags)
            )
            assert raw.call(procedure.number, payload).status == status, flags
