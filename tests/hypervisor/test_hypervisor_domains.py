"""The lives of domains: every action in every state, definitions that come and go, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import pytest
from hypervisor.hosts import (
    UUID,
    Watched,
    definition,
    persistent,
    refusal,
    running,
    stale,
    transient,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from libvirt_rpc.libvirt_common.types import VirDomainEventType
from rpcgen.examples.hypervisor.model.errors import LibvirtError
from rpcgen.examples.hypervisor.model.events import (
    Defined,
    DomainRef,
    Lifecycle,
    Rebooted,
    Started,
    Stopped,
    Suspended,
    Undefined,
)
from rpcgen.examples.hypervisor.model.flags import (
    DomainList,
    DomainStart,
    DomainUndefine,
)
from rpcgen.examples.hypervisor.model.identity import parse_uuid
from rpcgen.examples.hypervisor.model.lifecycle import (
    PAUSED,
    RUNNING,
    SHUTOFF,
    STEPS,
    Action,
    steps,
)

E = VirDomainEventType
ID: Final = parse_uuid(UUID) or b""
GONE: Final = f"Domain not found: no domain with matching uuid '{UUID}' (web)"


# States


def test_steps_lead_only_to_states_that_have_steps() -> None:
    for actions in STEPS.values():
        assert {step.state for taken in actions.values() for step in taken} <= set(STEPS)
        assert {Action.REVERT_RUNNING, Action.REVERT_PAUSED, Action.REVERT_OFF} <= set(actions)


@pytest.mark.parametrize(
    ("state", "action", "code", "message"),
    [
        (RUNNING, Action.START, 1, "internal error: Domain 'web' is already running"),
        (PAUSED, Action.START, 1, "internal error: Domain 'web' is already running"),
        (RUNNING, Action.RESUME, 1, "internal error: domain 'web' not paused"),
        (SHUTOFF, Action.RESUME, 1, "internal error: domain 'web' not paused"),
        (PAUSED, Action.SUSPEND, 1, "internal error: domain 'web' not running"),
        (SHUTOFF, Action.SUSPEND, 1, "internal error: domain 'web' not running"),
        (SHUTOFF, Action.SHUTDOWN, 1, "internal error: domain 'web' not running"),
        (SHUTOFF, Action.DESTROY, 55, "Requested operation is not valid: domain is not running"),
        (SHUTOFF, Action.REBOOT, 55, "Requested operation is not valid: domain is not running"),
        (SHUTOFF, Action.RESET, 55, "Requested operation is not valid: domain is not running"),
        (SHUTOFF, Action.SAVE, 55, "Requested operation is not valid: domain is not running"),
    ],
)
def test_what_a_state_does_not_allow(state: int, action: Action, code: int, message: str) -> None:
    found = next(one for one in STEPS if one == state)
    assert refusal(code, steps, found, action, "web") == message


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(Action), max_size=12), st.booleans())
def test_a_domain_stays_whole_whatever_is_asked_of_it(actions: list[Action], is_kept: bool) -> None:
    host = Watched()
    ref = running(host) if is_kept else transient(host)
    for action in actions:
        with suppress(LibvirtError):
            host.domains.act(ref, action)
        events = [one for one in host.happened() if isinstance(one, Lifecycle)]
        for listed in host.domains.listed(DomainList(0)):
            with host.domains.locked(listed) as domain:
                assert domain.is_active == (domain.state is not SHUTOFF)
                assert domain.config is not None or domain.is_active
                assert not events or events[-1].domain == domain.ref


def test_each_start_has_a_new_id() -> None:
    host = Watched()
    ref = running(host)
    assert ref.id == 1
    assert host.domains.by_id(1) == ref
    host.domains.act(ref, Action.DESTROY)
    assert host.domains.by_uuid(ID).id == -1
    assert refusal(42, host.domains.by_id, 1) == "Domain not found"
    assert host.domains.start(ref, DomainStart(0)).id == 2


def test_events_follow_the_states() -> None:
    host = Watched()
    ref = persistent(host)
    up, down = ref._replace(id=1), ref
    host.domains.start(ref, DomainStart.PAUSED)
    host.domains.act(ref, Action.RESUME)
    host.domains.act(ref, Action.REBOOT)
    host.domains.act(ref, Action.SHUTDOWN)
    assert host.happened() == [
        Lifecycle(up, E.VIR_DOMAIN_EVENT_STARTED, Started.BOOTED),
        Lifecycle(up, E.VIR_DOMAIN_EVENT_SUSPENDED, Suspended.PAUSED),
        Lifecycle(up, E.VIR_DOMAIN_EVENT_RESUMED, 0),
        Rebooted(up),
        Lifecycle(down, E.VIR_DOMAIN_EVENT_STOPPED, Stopped.SHUTDOWN),
    ]


def test_a_transient_domain_ends_with_its_run() -> None:
    host = Watched()
    ref = transient(host)
    host.domains.act(ref, Action.DESTROY)
    assert host.domains.listed(DomainList(0)) == []
    stopped = Lifecycle(ref._replace(id=-1), E.VIR_DOMAIN_EVENT_STOPPED, Stopped.DESTROYED)
    assert host.happened() == [stopped]


def test_a_saved_domain_is_restored_by_its_start() -> None:
    host = Watched()
    ref = running(host)
    host.domains.save(ref)
    assert host.domains.listed(DomainList.MANAGEDSAVE) == [ref._replace(id=-1)]
    host.domains.start(ref, DomainStart(0))
    assert host.domains.listed(DomainList.MANAGEDSAVE) == []


def test_a_transient_domain_cannot_be_saved() -> None:
    host = Watched()
    ref = transient(host)
    assert "transient" in refusal(55, host.domains.save, ref)
    assert host.domains.by_id(ref.id) == ref


# Definitions


def test_a_definition_is_for_the_next_start() -> None:
    host = Watched()
    ref = running(host)
    host.domains.define(definition(extra="<title>new</title>"))
    updated = Lifecycle(ref, E.VIR_DOMAIN_EVENT_DEFINED, Defined.UPDATED)
    assert host.happened() == [updated]
    with host.domains.locked(ref) as domain:
        assert domain.current.text("title") is None
        assert domain.inactive.text("title") == "new"
    host.domains.act(ref, Action.DESTROY)
    host.domains.start(ref, DomainStart(0))
    with host.domains.locked(ref) as domain:
        assert domain.current.text("title") == "new"


def test_a_transient_domain_can_be_made_persistent() -> None:
    host = Watched()
    ref = transient(host)
    assert host.domains.define(definition()) == ref
    assert host.happened() == [Lifecycle(ref, E.VIR_DOMAIN_EVENT_DEFINED, Defined.ADDED)]
    host.domains.act(ref, Action.DESTROY)
    assert host.domains.by_name("web").id == -1


def test_names_and_uuids_are_unique() -> None:
    host = Watched()
    persistent(host)
    other = "11111111-2222-3333-4444-666666666666"
    for make in (host.domains.define, lambda one: host.domains.create(one, DomainStart(0))):
        assert refusal(9, make, definition("web", other)) == (
            f"operation failed: domain 'web' already exists with uuid {UUID}"
        )
        assert refusal(9, make, definition("site")) == (
            f"operation failed: domain 'web' is already defined with uuid {UUID}"
        )
    assert host.happened() == []


def test_what_runs_cannot_be_created() -> None:
    host = Watched()
    running(host)
    message = refusal(55, lambda: host.domains.create(definition(), DomainStart(0)))
    assert message == "Requested operation is not valid: domain 'web' is already active"


def test_creating_what_is_defined_starts_it_differently_once() -> None:
    host = Watched()
    persistent(host)
    ref = host.domains.create(definition(extra="<title>once</title>"), DomainStart(0))
    host.domains.act(ref, Action.DESTROY)
    with host.domains.locked(ref) as domain:
        assert domain.current.text("title") is None


def test_renaming() -> None:
    host = Watched()
    ref = persistent(host)
    host.domains.rename(ref, "site")
    named = ref._replace(name="site")
    assert host.domains.by_name("site") == named
    assert host.happened() == [
        Lifecycle(ref, E.VIR_DOMAIN_EVENT_UNDEFINED, Undefined.RENAMED),
        Lifecycle(named, E.VIR_DOMAIN_EVENT_DEFINED, Defined.RENAMED),
    ]
    assert refusal(42, host.domains.by_name, "web") == "Domain not found"


@pytest.mark.parametrize(
    ("make", "name", "code", "message"),
    [
        (running, "site", 55, "cannot rename active domain"),
        (persistent, "web", 55, "Can't rename domain to itself"),
        (persistent, "taken", 55, "domain with name 'taken' already exists"),
        (persistent, "a/b", 27, "cannot contain '/'"),
        (persistent, "", 21, "missing name information"),
    ],
)
def test_a_name_that_cannot_be_had(
    make: Callable[[Watched], DomainRef], name: str, code: int, message: str
) -> None:
    host = Watched()
    host.domains.define(definition("taken", "11111111-2222-3333-4444-666666666666"))
    ref = make(host)
    assert message in refusal(code, host.domains.rename, ref, name)
    assert host.domains.by_name("web") == ref


# Undefining


@pytest.mark.parametrize("look", ["name", "uuid", "id", "stale"])
def test_undefining_what_runs_leaves_it_running(look: str) -> None:
    host = Watched()
    ref = running(host)
    found = {
        "name": lambda: host.domains.by_name("web"),
        "uuid": lambda: host.domains.by_uuid(ID),
        "id": lambda: host.domains.by_id(ref.id),
        "stale": lambda: stale(ref),
    }[look]()
    host.domains.undefine(found, DomainUndefine(0))
    assert host.domains.listed(DomainList.TRANSIENT | DomainList.ACTIVE) == [ref]
    assert host.happened() == [Lifecycle(ref, E.VIR_DOMAIN_EVENT_UNDEFINED, Undefined.REMOVED)]
    host.domains.act(ref, Action.DESTROY)
    assert host.domains.listed(DomainList(0)) == []


def test_a_transient_domain_has_no_definition_to_remove() -> None:
    host = Watched()
    ref = transient(host)
    for flags in (DomainUndefine(0), DomainUndefine.SNAPSHOTS_METADATA):
        message = refusal(55, host.domains.undefine, ref, flags)
        assert message == "Requested operation is not valid: cannot undefine transient domain"
    assert host.domains.by_id(ref.id) == ref


@pytest.mark.parametrize("make", [persistent, running, transient])
def test_a_domain_that_is_gone_says_so_first(make: Callable[[Watched], DomainRef]) -> None:
    host = Watched()
    ref = make(host)
    if make is not persistent:
        host.domains.act(ref, Action.DESTROY)
    if make is not transient:
        host.domains.undefine(ref, DomainUndefine(0))
    host.happened()
    actions: list[Callable[[], object]] = [
        lambda: host.domains.undefine(ref, DomainUndefine(0)),
        lambda: host.domains.start(ref, DomainStart(0)),
        lambda: host.domains.act(ref, Action.DESTROY),
        lambda: host.domains.rename(ref, "web"),
        lambda: host.domains.save(ref),
    ]
    assert [refusal(42, action) for action in actions] == [GONE] * len(actions)
    assert host.happened() == []


def test_a_saved_domain_needs_a_flag_to_be_undefined() -> None:
    host = Watched()
    ref = running(host)
    host.domains.save(ref)
    message = refusal(55, lambda: host.domains.undefine(ref, DomainUndefine(0)))
    assert "Refusing to undefine while domain managed save image exists" in message
    host.domains.undefine(ref, DomainUndefine.MANAGED_SAVE)
    assert host.domains.listed(DomainList(0)) == []


# Lists


def test_filters() -> None:
    host = Watched()
    uuids = [f"11111111-2222-3333-4444-{number:012}" for number in range(4)]
    names = ("off", "up", "paused", "short")
    off, up, paused = (
        host.domains.define(definition(name, uuid))
        for name, uuid in zip(names[:3], uuids[:3], strict=True)
    )
    host.domains.start(up, DomainStart(0))
    host.domains.start(paused, DomainStart.PAUSED)
    host.domains.create(definition(names[3], uuids[3]), DomainStart(0))
    with host.domains.locked(off) as domain:
        domain.autostart = True

    def listed(flags: int) -> set[str]:
        return {ref.name for ref in host.domains.listed(DomainList(flags))}

    assert listed(0) == listed(DomainList.ACTIVE | DomainList.INACTIVE) == set(names)
    assert listed(DomainList.ACTIVE) == {"up", "paused", "short"}
    assert (
        listed(DomainList.INACTIVE)
        == listed(DomainList.SHUTOFF)
        == listed(DomainList.AUTOSTART)
        == {"off"}
    )
    assert listed(DomainList.TRANSIENT) == {"short"}
    assert listed(DomainList.PERSISTENT | DomainList.ACTIVE) == {"up", "paused"}
    assert listed(DomainList.RUNNING) == {"up", "short"}
    assert listed(DomainList.PAUSED | DomainList.SHUTOFF) == {"off", "paused"}
    assert listed(DomainList.NO_AUTOSTART | DomainList.RUNNING) == {"up", "short"}
    assert (
        listed(DomainList.OTHER)
        == listed(DomainList.HAS_CHECKPOINT)
        == listed(DomainList.HAS_SNAPSHOT)
        == set()
    )
    assert listed(
        DomainList.NO_SNAPSHOT | DomainList.NO_CHECKPOINT | DomainList.NO_MANAGEDSAVE
    ) == set(names)
