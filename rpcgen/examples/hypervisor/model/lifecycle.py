"""The states of a domain as a table: what may be asked of it in each, and where that leads.

What is not in the table is refused in the words of ``_REFUSALS``.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final, NamedTuple

from libvirt_rpc.libvirt_common.types import (
    VirDomainEventType,
    VirDomainState,
    VirErrorDomain,
    VirErrorNumber,
)
from rpcgen.examples.hypervisor.model.errors import LibvirtError
from rpcgen.examples.hypervisor.model.events import RESUMED_UNPAUSED, Started, Stopped, Suspended

RUNNING: Final = VirDomainState.VIR_DOMAIN_RUNNING
PAUSED: Final = VirDomainState.VIR_DOMAIN_PAUSED
SHUTOFF: Final = VirDomainState.VIR_DOMAIN_SHUTOFF


class RunningReason(IntEnum):
    """Why a domain runs (virDomainRunningReason)."""

    UNKNOWN = 0
    BOOTED = 1
    FROM_SNAPSHOT = 4
    UNPAUSED = 5


class PausedReason(IntEnum):
    """Why a domain is paused (virDomainPausedReason)."""

    USER = 1
    FROM_SNAPSHOT = 7


class ShutoffReason(IntEnum):
    """Why a domain is off (virDomainShutoffReason)."""

    UNKNOWN = 0
    SHUTDOWN = 1
    DESTROYED = 2
    SAVED = 5
    FROM_SNAPSHOT = 7


class Action(Enum):
    """What can be asked of a domain."""

    START = "start"
    SUSPEND = "suspend"
    RESUME = "resume"
    REBOOT = "reboot"
    RESET = "reset"
    SHUTDOWN = "shutdown"
    DESTROY = "destroy"
    SAVE = "save"
    REVERT_RUNNING = "revert to a running snapshot"
    REVERT_PAUSED = "revert to a paused snapshot"
    REVERT_OFF = "revert to an inactive snapshot"


class Step(NamedTuple):
    """Where an action leads: the new state with its reason, and the event that tells of it."""

    state: VirDomainState
    reason: IntEnum
    event: VirDomainEventType | None = None
    detail: int = 0


_EVENT = VirDomainEventType
_BOOT = Step(RUNNING, RunningReason.BOOTED, _EVENT.VIR_DOMAIN_EVENT_STARTED, Started.BOOTED)
_PAUSE = Step(PAUSED, PausedReason.USER, _EVENT.VIR_DOMAIN_EVENT_SUSPENDED, Suspended.PAUSED)
_RESUME = Step(RUNNING, RunningReason.UNPAUSED, _EVENT.VIR_DOMAIN_EVENT_RESUMED, RESUMED_UNPAUSED)
_SHUTDOWN = Step(SHUTOFF, ShutoffReason.SHUTDOWN, _EVENT.VIR_DOMAIN_EVENT_STOPPED, Stopped.SHUTDOWN)
_DESTROY = Step(
    SHUTOFF, ShutoffReason.DESTROYED, _EVENT.VIR_DOMAIN_EVENT_STOPPED, Stopped.DESTROYED
)
_SAVE = Step(SHUTOFF, ShutoffReason.SAVED, _EVENT.VIR_DOMAIN_EVENT_STOPPED, Stopped.SAVED)
_STOP = Step(
    SHUTOFF, ShutoffReason.FROM_SNAPSHOT, _EVENT.VIR_DOMAIN_EVENT_STOPPED, Stopped.FROM_SNAPSHOT
)
_RUN = Step(
    RUNNING, RunningReason.FROM_SNAPSHOT, _EVENT.VIR_DOMAIN_EVENT_STARTED, Started.FROM_SNAPSHOT
)
_HOLD = Step(
    PAUSED,
    PausedReason.FROM_SNAPSHOT,
    _EVENT.VIR_DOMAIN_EVENT_SUSPENDED,
    Suspended.FROM_SNAPSHOT,
)
_REBOOT = (Step(RUNNING, RunningReason.BOOTED),)
_ACTIVE: Final = {
    Action.REBOOT: _REBOOT,
    Action.SHUTDOWN: (_SHUTDOWN,),
    Action.DESTROY: (_DESTROY,),
    Action.SAVE: (_SAVE,),
    Action.REVERT_RUNNING: (_STOP, _RUN),
    Action.REVERT_PAUSED: (_STOP, _RUN, _HOLD),
    Action.REVERT_OFF: (_STOP,),
}

STEPS: Final[dict[VirDomainState, dict[Action, tuple[Step, ...]]]] = {
    RUNNING: _ACTIVE | {Action.SUSPEND: (_PAUSE,), Action.RESET: ()},
    PAUSED: _ACTIVE | {Action.RESUME: (_RESUME,), Action.RESET: ()},
    SHUTOFF: {
        Action.START: (_BOOT,),
        Action.REVERT_RUNNING: (_RUN,),
        Action.REVERT_PAUSED: (_RUN, _HOLD),
        Action.REVERT_OFF: (Step(SHUTOFF, ShutoffReason.FROM_SNAPSHOT),),
    },
}
"""By state and action: the steps that are taken."""

_INVALID = VirErrorNumber.VIR_ERR_OPERATION_INVALID, VirErrorDomain.VIR_FROM_DOMAIN
_INTERNAL = VirErrorNumber.VIR_ERR_INTERNAL_ERROR, VirErrorDomain.VIR_FROM_TEST
_REFUSALS: Final = {
    Action.START: (_INTERNAL, "Domain '{}' is already running"),
    Action.SUSPEND: (_INTERNAL, "domain '{}' not running"),
    Action.RESUME: (_INTERNAL, "domain '{}' not paused"),
    Action.SHUTDOWN: (_INTERNAL, "domain '{}' not running"),
}
_REFUSAL: Final = (_INVALID, "domain is not running")


def steps(state: VirDomainState, action: Action, name: str) -> tuple[Step, ...]:
    """What an action takes a domain through.

    Raises:
        LibvirtError: the state does not allow it.
    """
    found = STEPS[state].get(action)
    if found is None:
        (code, domain), text = _REFUSALS.get(action, _REFUSAL)
        raise LibvirtError(code, text.format(name), domain)
    return found
