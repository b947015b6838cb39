"""Snapshots of domains: states to go back to, records that are put back, and what undefining does to them."""

from __future__ import annotations

from typing import Final

import pytest
from hypervisor.hosts import Watched, definition, persistent, refusal, running

from libvirt_rpc.libvirt_common.types import VirDomainEventType
from rpcgen.examples.hypervisor.model import capture, snapshot
from rpcgen.examples.hypervisor.model.definition import Definition
from rpcgen.examples.hypervisor.model.events import (
    DomainRef,
    Lifecycle,
    Started,
    Stopped,
    Suspended,
)
from rpcgen.examples.hypervisor.model.flags import (
    DomainList,
    DomainStart,
    DomainUndefine,
    SnapshotCreate,
    SnapshotDelete,
    SnapshotRevert,
)
from rpcgen.examples.hypervisor.model.lifecycle import PAUSED, RUNNING, SHUTOFF, Action
from rpcgen.runtime import RemoteError

E = VirDomainEventType
MACHINE: Final = definition()


def take(host: Watched, ref: DomainRef, name: str, flags: int = 0) -> str:
    xml = f"<domainsnapshot><name>{name}</name></domainsnapshot>"
    return capture.take(host.domains, ref, xml, SnapshotCreate(flags))


def xml_of(host: Watched, ref: DomainRef, name: str) -> str:
    with host.domains.locked(ref) as domain:
        return domain.snapshots.get(name).xml()


def state(host: Watched, ref: DomainRef) -> int:
    with host.domains.locked(ref) as domain:
        return domain.state


@pytest.mark.parametrize(
    ("taken", "at", "flags", "end"),
    [
        (RUNNING, RUNNING, 0, RUNNING),
        (RUNNING, SHUTOFF, 0, RUNNING),
        (PAUSED, RUNNING, 0, PAUSED),
        (PAUSED, SHUTOFF, SnapshotRevert.RUNNING, RUNNING),
        (SHUTOFF, RUNNING, 0, SHUTOFF),
        (SHUTOFF, SHUTOFF, 0, SHUTOFF),
        (SHUTOFF, PAUSED, SnapshotRevert.PAUSED | SnapshotRevert.FORCE, PAUSED),
    ],
)
def test_going_back(taken: int, at: int, flags: int, end: int) -> None:
    host = Watched()
    ref = host.domains.define(definition())
    reach: dict[int, list[Action]] = {
        RUNNING: [Action.START],
        PAUSED: [Action.START, Action.SUSPEND],
        SHUTOFF: [],
    }
    for action in reach[taken]:
        host.domains.act(ref, action)
    take(host, ref, "one")
    host.domains.define(definition(extra="<title>changed</title>"))
    if taken != SHUTOFF:
        host.domains.act(ref, Action.DESTROY)
    for action in reach[at]:
        host.domains.act(ref, action)
    capture.revert(host.domains, ref, "one", SnapshotRevert(flags))
    assert state(host, ref) == end
    with host.domains.locked(ref) as domain:
        assert domain.current.text("title") is None
        assert domain.inactive.text("title") is None
        assert domain.snapshots.current == "one"


def test_going_back_keeps_the_name_that_a_domain_has_by_now() -> None:
    host = Watched()
    ref = host.domains.define(definition())
    take(host, ref, "one")
    xml = xml_of(host, ref, "one").replace("<name>web</name>", "<name>site</name>")
    with host.domains.locked(ref) as domain:
        domain.snapshots.delete("one", SnapshotDelete.METADATA_ONLY)
    host.domains.rename(ref, "site")
    capture.take(host.domains, ref, xml, SnapshotCreate.REDEFINE)
    host.domains.define(definition(uuid="11111111-2222-3333-4444-666666666666"))
    capture.revert(host.domains, ref, "one", SnapshotRevert.RUNNING)
    with host.domains.locked(ref) as domain:
        assert [domain.name, domain.current.name, domain.inactive.name] == ["site"] * 3


def test_events_of_going_back() -> None:
    host = Watched()
    ref = running(host)
    take(host, ref, "one")
    host.happened()
    capture.revert(host.domains, ref, "one", SnapshotRevert.PAUSED)
    again = ref._replace(id=2)
    assert host.happened() == [
        Lifecycle(ref._replace(id=-1), E.VIR_DOMAIN_EVENT_STOPPED, Stopped.FROM_SNAPSHOT),
        Lifecycle(again, E.VIR_DOMAIN_EVENT_STARTED, Started.FROM_SNAPSHOT),
        Lifecycle(again, E.VIR_DOMAIN_EVENT_SUSPENDED, Suspended.FROM_SNAPSHOT),
    ]


def test_a_snapshot_can_end_what_runs() -> None:
    host = Watched()
    ref = running(host)
    take(host, ref, "one", SnapshotCreate.HALT)
    assert state(host, ref) == SHUTOFF
    capture.revert(host.domains, ref, "one", SnapshotRevert(0))
    assert state(host, ref) == RUNNING


def test_a_transient_domain_cannot_be_off() -> None:
    host = Watched()
    ref = running(host)
    host.domains.act(ref, Action.DESTROY)
    take(host, ref, "off")
    host.domains.start(ref, DomainStart(0))
    host.domains.undefine(ref, DomainUndefine(0))
    message = refusal(55, take, host, ref, "two", SnapshotCreate.HALT)
    assert "cannot halt after transient domain snapshot" in message
    message = refusal(55, lambda: capture.revert(host.domains, ref, "off", SnapshotRevert(0)))
    assert "transient domain needs to request run or pause" in message
    capture.revert(host.domains, ref, "off", SnapshotRevert.PAUSED)
    assert state(host, ref) == PAUSED
    with host.domains.locked(ref) as domain:
        assert (list(domain.snapshots.records), domain.config) == (["off"], None)


def test_flags_that_contradict_each_other() -> None:
    host = Watched()
    ref = running(host)
    take(host, ref, "one")
    both = SnapshotRevert.RUNNING | SnapshotRevert.PAUSED
    with pytest.raises(RemoteError, match="mutually exclusive") as caught:
        capture.revert(host.domains, ref, "one", both)
    assert caught.value.code == 8


def test_undefining_does_not_strand_records() -> None:
    host = Watched()
    ref = running(host)
    take(host, ref, "one")
    take(host, ref, "two")
    host.domains.act(ref, Action.DESTROY)
    message = refusal(55, host.domains.undefine, ref, DomainUndefine.MANAGED_SAVE)
    assert message == (
        "Requested operation is not valid: cannot delete inactive domain with 2 snapshots"
    )
    assert host.domains.listed(DomainList.HAS_SNAPSHOT) == [ref._replace(id=-1)]
    host.domains.undefine(ref, DomainUndefine.SNAPSHOTS_METADATA)
    assert host.domains.listed(DomainList(0)) == []


def test_undefining_what_runs_keeps_its_records_while_it_runs() -> None:
    host = Watched()
    ref = running(host)
    take(host, ref, "one")
    host.domains.undefine(ref, DomainUndefine(0))
    assert host.domains.listed(DomainList.HAS_SNAPSHOT | DomainList.TRANSIENT) == [ref]


def test_a_domain_with_snapshots_keeps_its_name() -> None:
    host = Watched()
    ref = host.domains.define(definition())
    take(host, ref, "one")
    assert "with snapshots" in refusal(55, host.domains.rename, ref, "site")


def test_a_record_is_put_back() -> None:
    host = Watched()
    ref = running(host)
    take(host, ref, "one")
    take(host, ref, "two")
    xml = xml_of(host, ref, "two")
    with host.domains.locked(ref) as domain:
        domain.snapshots.delete("two", SnapshotDelete.METADATA_ONLY)
    assert capture.take(host.domains, ref, xml, SnapshotCreate.REDEFINE) == "two"
    assert xml_of(host, ref, "two") == xml
    with host.domains.locked(ref) as domain:
        assert domain.snapshots.current == "one"
    capture.take(host.domains, ref, xml, SnapshotCreate.REDEFINE | SnapshotCreate.CURRENT)
    with host.domains.locked(ref) as domain:
        assert domain.snapshots.current == "two"
    capture.revert(host.domains, ref, "two", SnapshotRevert(0))


def test_a_record_alone_is_no_way_back() -> None:
    host = Watched()
    ref = running(host)
    take(host, ref, "one")
    xml = xml_of(host, ref, "one").replace("<name>one</name>", "<name>two</name>")
    capture.take(host.domains, ref, xml, SnapshotCreate.REDEFINE)
    message = refusal(9, lambda: capture.revert(host.domains, ref, "two", SnapshotRevert(0)))
    assert message == "operation failed: the disks hold no snapshot 'two'"
    assert state(host, ref) == RUNNING


def test_a_record_without_a_definition_keeps_that_of_the_one_that_it_replaces() -> None:
    host = Watched()
    ref = running(host)
    take(host, ref, "one")
    before = xml_of(host, ref, "one")
    host.domains.define(definition(extra="<title>changed</title>"))
    xml = f"<domainsnapshot>{WHOLE}</domainsnapshot>".replace("<name>x<", "<name>one<")
    assert capture.take(host.domains, ref, xml, SnapshotCreate.REDEFINE) == "one"
    after = xml_of(host, ref, "one")
    assert after.partition("<domain ")[2] == before.partition("<domain ")[2]
    assert "<creationTime>1</creationTime>" in after


@pytest.mark.parametrize(("taken", "said"), [(RUNNING, "shutoff"), (SHUTOFF, "paused")])
def test_a_record_cannot_change_whether_the_domain_ran(taken: int, said: str) -> None:
    host = Watched()
    ref = running(host) if taken == RUNNING else persistent(host)
    take(host, ref, "one")
    before = xml_of(host, ref, "one")
    word = "running" if taken == RUNNING else "shutoff"
    xml = before.replace(f"<state>{word}</state>", f"<state>{said}</state>")
    message = refusal(8, lambda: capture.take(host.domains, ref, xml, SnapshotCreate.REDEFINE))
    assert message == (
        "invalid argument: cannot change between online and offline snapshot state in snapshot one"
    )
    assert xml_of(host, ref, "one") == before


OTHER: Final = Definition.parse(definition(uuid="11111111-2222-3333-4444-666666666666").xml())
WHOLE: Final = "<name>x</name><creationTime>1</creationTime><state>running</state>"


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ("", 27, "a redefined snapshot must have a name"),
        ("<name>x</name>", 1, "missing creationTime from existing snapshot"),
        ("<name>x</name><creationTime>1</creationTime>", 27, "missing state from existing"),
        (f"{WHOLE}", 1, "missing domain in snapshot"),
        (f"{WHOLE}{OTHER.xml()}", 8, "definition for snapshot x must use uuid"),
        (f"{WHOLE}<parent><name>y</name></parent>{MACHINE.xml()}", 8, "parent y for moment x not"),
        (f"{WHOLE}<parent><name>x</name></parent>{MACHINE.xml()}", 8, "x as its own parent"),
        ("<state>odd</state>", 67, "Invalid state 'odd' in domain snapshot XML"),
        ("<memory snapshot='external'/>", 67, "external snapshots are not available"),
        ("<disks><disk snapshot='external'/></disks>", 67, "external snapshots are not available"),
    ],
)
def test_a_record_is_refused(content: str, code: int, message: str) -> None:
    host = Watched()
    ref = running(host)
    xml = f"<domainsnapshot>{content}</domainsnapshot>"
    assert message in refusal(
        code, lambda: capture.take(host.domains, ref, xml, SnapshotCreate.REDEFINE)
    )
    with host.domains.locked(ref) as domain:
        assert not domain.snapshots


def test_the_description() -> None:
    machine = definition(
        extra="<devices><disk><source file='/a'/><target dev='vda'/></disk>"
        "<disk><target dev='hdc'/></disk></devices>"
    )
    record = snapshot.Snapshot("two", "d", "one", 7, SHUTOFF, machine)
    head, _, rest = record.xml().partition("  <domain ")
    assert head == """\
<domainsnapshot>
  <name>two</name>
  <description>d</description>
  <state>shutoff</state>
  <parent>
    <name>one</name>
  </parent>
  <creationTime>7</creationTime>
  <memory snapshot='no'/>
  <disks>
    <disk name='vda' snapshot='internal'/>
    <disk name='hdc' snapshot='no'/>
  </disks>
"""
    assert rest.startswith("type='test'>\n    <name>web</name>")
    assert snapshot.parse(record.xml()).definition is not None
