"""Domains: looking them up, defining them, and taking them through their states."""

from __future__ import annotations

from libvirt_rpc.remote_protocol.types import (
    RemoteConnectListAllDomainsRet,
    RemoteNonnullDomain,
)
from rpcgen.examples.hypervisor.handlers import Handlers, denied, function_of, shown, some
from rpcgen.examples.hypervisor.model.definition import Definition
from rpcgen.examples.hypervisor.model.flags import (
    Define,
    DomainDestroy,
    DomainList,
    DomainReboot,
    DomainStart,
    DomainUndefine,
    DomainXml,
    ManagedSave,
)
from rpcgen.examples.hypervisor.model.lifecycle import Action
from rpcgen.examples.hypervisor.wire import domain_in, domain_out
from rpcgen.runtime import Call


class DomainHandlers(Handlers):
    """The lives of domains."""

    # Looking up

    def domain_lookup_by_name(self, call: Call, name: str) -> RemoteNonnullDomain:
        return domain_out(self.host(call).domains.by_name(name))

    def domain_lookup_by_uuid(self, call: Call, uuid: bytes) -> RemoteNonnullDomain:
        return domain_out(self.host(call).domains.by_uuid(uuid))

    def domain_lookup_by_id(
        self,
        call: Call,
        id: int,  # noqa: A002  (a field of the protocol)
    ) -> RemoteNonnullDomain:
        return domain_out(self.host(call).domains.by_id(id))

    def connect_list_all_domains(
        self, call: Call, need_results: int, flags: int
    ) -> RemoteConnectListAllDomainsRet:
        found = self._domains(call, self.flags(call, DomainList, flags))
        return RemoteConnectListAllDomainsRet(some(found, need_results), len(found))

    def connect_num_of_domains(self, call: Call) -> int:
        return len(self._domains(call, DomainList.ACTIVE))

    def connect_list_domains(self, call: Call, maxids: int) -> list[int]:
        return [domain.id for domain in self._domains(call, DomainList.ACTIVE)][: max(0, maxids)]

    def connect_num_of_defined_domains(self, call: Call) -> int:
        return len(self._domains(call, DomainList.INACTIVE))

    def connect_list_defined_domains(self, call: Call, maxnames: int) -> list[str]:
        found = self._domains(call, DomainList.INACTIVE)
        return [domain.name for domain in found][: max(0, maxnames)]

    def _domains(self, call: Call, flags: DomainList) -> list[RemoteNonnullDomain]:
        found = self.host(call).domains.listed(flags)
        return [domain_out(domain) for domain in shown(call, found)]

    # Definitions

    def domain_define_xml(self, call: Call, xml: str) -> RemoteNonnullDomain:
        return domain_out(self.host(call).domains.define(Definition.parse(xml)))

    def domain_define_xml_flags(self, call: Call, xml: str, flags: int) -> RemoteNonnullDomain:
        host = self.host(call)
        self.flags(call, Define, flags)
        return domain_out(host.domains.define(Definition.parse(xml)))

    def domain_undefine(self, call: Call, dom: RemoteNonnullDomain) -> None:
        self.host(call).domains.undefine(domain_in(dom), DomainUndefine(0))

    def domain_undefine_flags(self, call: Call, dom: RemoteNonnullDomain, flags: int) -> None:
        host = self.host(call)
        host.domains.undefine(domain_in(dom), self.flags(call, DomainUndefine, flags))

    def domain_rename(
        self, call: Call, dom: RemoteNonnullDomain, new_name: str | None, flags: int
    ) -> int:
        host = self.host(call)
        self.no_flags(call, flags)
        host.domains.rename(domain_in(dom), new_name or "")
        return 0

    def domain_get_xml_desc(self, call: Call, dom: RemoteNonnullDomain, flags: int) -> str:
        host = self.host(call)
        wanted = self.flags(call, DomainXml, flags)
        if wanted & (DomainXml.SECURE | DomainXml.MIGRATABLE) and self.client(call).is_readonly:
            raise denied(f"{function_of(call)} with secure flag", call)
        with host.domains.locked(domain_in(dom)) as domain:
            if wanted & DomainXml.INACTIVE:
                return domain.inactive.xml()
            return domain.current.xml(domain.id)

    # States

    def domain_create(self, call: Call, dom: RemoteNonnullDomain) -> None:
        self.host(call).domains.start(domain_in(dom), DomainStart(0))

    def domain_create_with_flags(
        self, call: Call, dom: RemoteNonnullDomain, flags: int
    ) -> RemoteNonnullDomain:
        host = self.host(call)
        wanted = self.flags(call, DomainStart, flags)
        return domain_out(host.domains.start(domain_in(dom), wanted))

    def domain_create_xml(self, call: Call, xml_desc: str, flags: int) -> RemoteNonnullDomain:
        host = self.host(call)
        wanted = self.flags(call, DomainStart, flags)
        return domain_out(host.domains.create(Definition.parse(xml_desc), wanted))

    def domain_suspend(self, call: Call, dom: RemoteNonnullDomain) -> None:
        self.host(call).domains.act(domain_in(dom), Action.SUSPEND)

    def domain_resume(self, call: Call, dom: RemoteNonnullDomain) -> None:
        self.host(call).domains.act(domain_in(dom), Action.RESUME)

    def domain_shutdown(self, call: Call, dom: RemoteNonnullDomain) -> None:
        self.host(call).domains.act(domain_in(dom), Action.SHUTDOWN)

    def domain_shutdown_flags(self, call: Call, dom: RemoteNonnullDomain, flags: int) -> None:
        host = self.host(call)
        self.flags(call, DomainReboot, flags)
        host.domains.act(domain_in(dom), Action.SHUTDOWN)

    def domain_reboot(self, call: Call, dom: RemoteNonnullDomain, flags: int) -> None:
        host = self.host(call)
        self.flags(call, DomainReboot, flags)
        host.domains.act(domain_in(dom), Action.REBOOT)

    def domain_reset(self, call: Call, dom: RemoteNonnullDomain, flags: int) -> None:
        host = self.host(call)
        self.no_flags(call, flags)
        host.domains.act(domain_in(dom), Action.RESET)

    def domain_destroy(self, call: Call, dom: RemoteNonnullDomain) -> None:
        self.host(call).domains.act(domain_in(dom), Action.DESTROY)

    def domain_destroy_flags(self, call: Call, dom: RemoteNonnullDomain, flags: int) -> None:
        host = self.host(call)
        self.flags(call, DomainDestroy, flags)
        host.domains.act(domain_in(dom), Action.DESTROY)

    def domain_managed_save(self, call: Call, dom: RemoteNonnullDomain, flags: int) -> None:
        host = self.host(call)
        self.flags(call, ManagedSave, flags)
        host.domains.save(domain_in(dom))

    def domain_has_managed_save_image(
        self, call: Call, dom: RemoteNonnullDomain, flags: int
    ) -> int:
        host = self.host(call)
        self.no_flags(call, flags)
        with host.domains.locked(domain_in(dom)) as domain:
            return int(domain.is_saved)

    def domain_managed_save_remove(self, call: Call, dom: RemoteNonnullDomain, flags: int) -> None:
        host = self.host(call)
        self.no_flags(call, flags)
        with host.domains.locked(domain_in(dom)) as domain:
            domain.is_saved = False
