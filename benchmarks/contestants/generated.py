"""Our generated codecs, as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.contestants import Codec, Functions
from benchmarks.contestants.readers import READERS
from benchmarks.shapes import Plain
from libvirt_rpc.remote_protocol import decoder, encoder, types
from libvirt_rpc.virnetprotocol import decoder as header_decoder
from libvirt_rpc.virnetprotocol import encoder as header_encoder
from libvirt_rpc.virnetprotocol import types as header_types

NAME: Final = "rpcgen"

ARMS: Final = {
    1: types.RemoteTypedParamValueVirTypedParamInt,
    2: types.RemoteTypedParamValueVirTypedParamUint,
    3: types.RemoteTypedParamValueVirTypedParamLlong,
    4: types.RemoteTypedParamValueVirTypedParamUllong,
    5: types.RemoteTypedParamValueVirTypedParamDouble,
    6: types.RemoteTypedParamValueVirTypedParamBoolean,
    7: types.RemoteTypedParamValueVirTypedParamString,
}
"""Discriminant of ``remote_typed_param_value`` to the class of its arm."""

_CODECS: Mapping[str, Functions] = {
    "header": (
        header_encoder.encode_vir_net_message_header,
        header_decoder.decode_vir_net_message_header,
    ),
    "info": (
        encoder.encode_remote_domain_get_info_ret,
        decoder.decode_remote_domain_get_info_ret,
    ),
    "domain": (
        encoder.encode_remote_nonnull_domain,
        decoder.decode_remote_nonnull_domain,
    ),
    "domains": (
        encoder.encode_remote_connect_list_all_domains_ret,
        decoder.decode_remote_connect_list_all_domains_ret,
    ),
    "params": (
        encoder.encode_remote_domain_get_cpu_stats_ret,
        decoder.decode_remote_domain_get_cpu_stats_ret,
    ),
    "opaque": (
        encoder.encode_remote_domain_block_peek_ret,
        decoder.decode_remote_domain_block_peek_ret,
    ),
}


def codecs(shapes: Mapping[str, Plain]) -> dict[str, Codec]:
    """The generated codec of each shape."""
    values = build(shapes)
    return {
        shape: Codec(values[shape], *functions, READERS[shape])
        for shape, functions in _CODECS.items()
    }


def build(shapes: Mapping[str, Plain]) -> dict[str, Any]:
    """Each shape as an instance of its generated class."""
    prog, vers, proc, kind, serial, status = shapes["header"]
    domains, ret = shapes["domains"]
    params, nparams = shapes["params"]
    return {
        "header": header_types.VirNetMessageHeader(
            prog,
            vers,
            proc,
            header_types.VirNetMessageType(kind),
            serial,
            header_types.VirNetMessageStatus(status),
        ),
        "info": types.RemoteDomainGetInfoRet(*shapes["info"]),
        "domain": types.RemoteNonnullDomain(*shapes["domain"]),
        "domains": types.RemoteConnectListAllDomainsRet(
            [types.RemoteNonnullDomain(*one) for one in domains], ret
        ),
        "params": types.RemoteDomainGetCpuStatsRet([_param(*one) for one in params], nparams),
        "opaque": types.RemoteDomainBlockPeekRet(*shapes["opaque"]),
    }


def _param(field: str, value: tuple[int, Any]) -> types.RemoteTypedParam:
    kind, held = value
    return types.RemoteTypedParam(field, ARMS[kind](held))
