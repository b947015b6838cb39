"""What the admin program tells of a client: how it is connected, and who it is."""

from __future__ import annotations

import grp
import pwd
from typing import TYPE_CHECKING

from libvirt_rpc.libvirt_common.types import VirClientTransport
from rpcgen.runtime.daemon.parameters import fact

if TYPE_CHECKING:
    from libvirt_rpc.admin_protocol.types import AdminTypedParam
    from rpcgen.runtime.interfaces import Identity


def transport_of(identity: Identity) -> VirClientTransport:
    """The kind of its connection."""
    if identity.uid is not None:
        return VirClientTransport.VIR_CLIENT_TRANS_UNIX
    if identity.secure:
        return VirClientTransport.VIR_CLIENT_TRANS_TLS
    return VirClientTransport.VIR_CLIENT_TRANS_TCP


def facts_of(identity: Identity) -> list[AdminTypedParam]:
    """Who a client is; asks the system for names, which may take its time."""
    facts: dict[str, bool | int | str] = {"readonly": False, "sock_addr": identity.address}
    if identity.uid is not None:
        facts["unix_user_id"] = identity.uid
        facts["unix_user_name"] = _user(identity.uid)
    if identity.gid is not None:
        facts["unix_group_id"] = identity.gid
        facts["unix_group_name"] = _group(identity.gid)
    if identity.pid is not None:
        facts["unix_process_id"] = identity.pid
    proved = {
        "sasl_user_name": identity.sasl_user_name,
        "tls_x509_dname": identity.distinguished_name,
        "selinux_context": identity.selinux_context,
    }
    facts |= {name: value for name, value in proved.items() if value is not None}
    return [fact(name, value) for name, value in facts.items()]


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
