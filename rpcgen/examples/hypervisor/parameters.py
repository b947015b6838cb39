"""Typed parameters of domains, their statistics, and what is known of them beside the machine."""

from __future__ import annotations

from typing import Final

from libvirt_rpc.libvirt_common.constants import VIR_TYPED_PARAM_STRING_OKAY
from libvirt_rpc.remote_protocol.types import (
    RemoteDomainGetSchedulerTypeRet,
    RemoteDomainStatsRecord,
    RemoteNonnullDomain,
    RemoteTypedParam,
    RemoteTypedParamValueVirTypedParamInt,
    RemoteTypedParamValueVirTypedParamUint,
)
from rpcgen.examples.hypervisor.handlers import Handlers, function_of, shown
from rpcgen.examples.hypervisor.model import facts, tuning
from rpcgen.examples.hypervisor.model.domain import Domain
from rpcgen.examples.hypervisor.model.errors import invalid_argument
from rpcgen.examples.hypervisor.model.events import MetadataChanged
from rpcgen.examples.hypervisor.model.flags import Affect, DomainList, DomainStats
from rpcgen.examples.hypervisor.wire import domain_in, domain_out
from rpcgen.runtime import Call

_WEIGHT: Final = "weight"
_STATS_STATE: Final = 1
"""VIR_DOMAIN_STATS_STATE."""


class ParameterHandlers(Handlers):
    """Scheduling, statistics, titles and metadata."""

    def domain_get_scheduler_type(
        self, call: Call, dom: RemoteNonnullDomain
    ) -> RemoteDomainGetSchedulerTypeRet:
        with self.host(call).domains.locked(domain_in(dom)):
            return RemoteDomainGetSchedulerTypeRet(facts.SCHEDULER, 1)

    def domain_get_scheduler_parameters(
        self, call: Call, dom: RemoteNonnullDomain, nparams: int
    ) -> list[RemoteTypedParam]:
        return self._scheduler(call, dom, nparams, 0)

    def domain_get_scheduler_parameters_flags(
        self, call: Call, dom: RemoteNonnullDomain, nparams: int, flags: int
    ) -> list[RemoteTypedParam]:
        return self._scheduler(call, dom, nparams, flags)

    def domain_set_scheduler_parameters(
        self, call: Call, dom: RemoteNonnullDomain, params: list[RemoteTypedParam]
    ) -> None:
        self._set_scheduler(call, dom, params, 0)

    def domain_set_scheduler_parameters_flags(
        self, call: Call, dom: RemoteNonnullDomain, params: list[RemoteTypedParam], flags: int
    ) -> None:
        self._set_scheduler(call, dom, params, flags)

    def _scheduler(
        self, call: Call, dom: RemoteNonnullDomain, nparams: int, flags: int
    ) -> list[RemoteTypedParam]:
        host = self.host(call)
        wanted = self.flags(call, Affect, flags & ~VIR_TYPED_PARAM_STRING_OKAY)
        with host.domains.locked(domain_in(dom)) as domain:
            domain.shown(wanted, function_of(call))
            value = RemoteTypedParamValueVirTypedParamUint(domain.weight)
            return [RemoteTypedParam(_WEIGHT, value)][: max(0, nparams)]

    def _set_scheduler(
        self, call: Call, dom: RemoteNonnullDomain, params: list[RemoteTypedParam], flags: int
    ) -> None:
        host = self.host(call)
        wanted = self.flags(call, Affect, flags & ~VIR_TYPED_PARAM_STRING_OKAY)
        with host.domains.locked(domain_in(dom)) as domain:
            domain.affected(wanted)
            weights = [_weight(param) for param in params]
            domain.weight = weights[-1] if weights else domain.weight

    def connect_get_all_domain_stats(
        self, call: Call, doms: list[RemoteNonnullDomain], stats: int, flags: int
    ) -> list[RemoteDomainStatsRecord]:
        host = self.host(call)
        wanted = self.flags(call, DomainStats, flags)
        filters = DomainList(wanted & 0xFF)
        refs = [domain_in(dom) for dom in doms] or host.domains.listed(filters)
        records = []
        for ref in shown(call, refs):
            with host.domains.locked(ref) as domain:
                params = _state(domain) if not stats or stats & _STATS_STATE else []
                records.append(RemoteDomainStatsRecord(domain_out(domain.ref), params))
        return records

    def domain_get_metadata(
        self,
        call: Call,
        dom: RemoteNonnullDomain,
        type: int,  # noqa: A002  (a field of the protocol)
        uri: str | None,
        flags: int,
    ) -> str:
        host = self.host(call)
        wanted = self.flags(call, Affect, flags)
        with host.domains.locked(domain_in(dom)) as domain:
            return tuning.get_metadata(domain.shown(wanted, function_of(call)), type, uri)

    def domain_set_metadata(
        self,
        call: Call,
        dom: RemoteNonnullDomain,
        type: int,  # noqa: A002  (a field of the protocol)
        metadata: str | None,
        key: str | None,
        uri: str | None,
        flags: int,
    ) -> None:
        host = self.host(call)
        wanted = self.flags(call, Affect, flags)
        with host.domains.locked(domain_in(dom)) as domain:
            tuning.set_metadata(domain, type, metadata, key, uri, wanted)
            host.domains.publish(MetadataChanged(domain.ref, type, uri))


def _state(domain: Domain) -> list[RemoteTypedParam]:
    values = {"state.state": domain.state, "state.reason": domain.reason}
    return [
        RemoteTypedParam(name, RemoteTypedParamValueVirTypedParamInt(value))
        for name, value in values.items()
    ]


def _weight(param: RemoteTypedParam) -> int:
    if param.field != _WEIGHT:
        raise invalid_argument(f"parameter '{param.field}' not supported")
    if not isinstance(param.value, RemoteTypedParamValueVirTypedParamUint):
        raise invalid_argument(f"parameter '{_WEIGHT}' is not an unsigned int")
    return param.value.ui
