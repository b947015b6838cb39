"""What a careful user writes by hand with xdrlib3, into the same classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from xdrlib3 import Packer, Unpacker

from benchmarks.contestants import Codec, Functions
from benchmarks.contestants.generated import build
from benchmarks.contestants.readers import READERS
from benchmarks.shapes import Plain
from libvirt_rpc.remote_protocol.types import (
    RemoteConnectListAllDomainsRet,
    RemoteDomainBlockPeekRet,
    RemoteDomainGetCpuStatsRet,
    RemoteDomainGetInfoRet,
    RemoteNonnullDomain,
    RemoteTypedParam,
    RemoteTypedParamValue,
    RemoteTypedParamValueVirTypedParamBoolean,
    RemoteTypedParamValueVirTypedParamDouble,
    RemoteTypedParamValueVirTypedParamInt,
    RemoteTypedParamValueVirTypedParamLlong,
    RemoteTypedParamValueVirTypedParamString,
    RemoteTypedParamValueVirTypedParamUint,
    RemoteTypedParamValueVirTypedParamUllong,
)
from libvirt_rpc.virnetprotocol.types import (
    VirNetMessageHeader,
    VirNetMessageStatus,
    VirNetMessageType,
)

NAME: Final = "xdrlib3"


def decode_header(data: bytes) -> VirNetMessageHeader:
    """A message header."""
    unpacker = Unpacker(data)
    value = VirNetMessageHeader(
        unpacker.unpack_uint(),
        unpacker.unpack_uint(),
        unpacker.unpack_int(),
        VirNetMessageType(unpacker.unpack_enum()),
        unpacker.unpack_uint(),
        VirNetMessageStatus(unpacker.unpack_enum()),
    )
    unpacker.done()
    return value


def encode_header(value: VirNetMessageHeader) -> bytes:
    """A message header."""
    packer = Packer()
    packer.pack_uint(value.prog)
    packer.pack_uint(value.vers)
    packer.pack_int(value.proc)
    packer.pack_enum(value.type)
    packer.pack_uint(value.serial)
    packer.pack_enum(value.status)
    return packer.get_buffer()


def decode_info(data: bytes) -> RemoteDomainGetInfoRet:
    """The reply of domain-get-info."""
    unpacker = Unpacker(data)
    value = RemoteDomainGetInfoRet(
        unpacker.unpack_uint(),
        unpacker.unpack_uhyper(),
        unpacker.unpack_uhyper(),
        unpacker.unpack_uint(),
        unpacker.unpack_uhyper(),
    )
    unpacker.done()
    return value


def encode_info(value: RemoteDomainGetInfoRet) -> bytes:
    """The reply of domain-get-info."""
    packer = Packer()
    packer.pack_uint(value.state)
    packer.pack_uhyper(value.max_mem)
    packer.pack_uhyper(value.memory)
    packer.pack_uint(value.nr_virt_cpu)
    packer.pack_uhyper(value.cpu_time)
    return packer.get_buffer()


def unpack_text(unpacker: Unpacker) -> str:
    """A string, whatever its bytes are."""
    return unpacker.unpack_string().decode("utf-8", "surrogateescape")


def pack_text(packer: Packer, text: str) -> None:
    """The bytes that a string came from."""
    packer.pack_string(text.encode("utf-8", "surrogateescape"))


def unpack_domain(unpacker: Unpacker) -> RemoteNonnullDomain:
    """A domain, alone or in a list."""
    return RemoteNonnullDomain(
        unpack_text(unpacker), unpacker.unpack_fopaque(16), unpacker.unpack_int()
    )


def pack_domain(packer: Packer, value: RemoteNonnullDomain) -> None:
    """A domain, alone or in a list."""
    pack_text(packer, value.name)
    packer.pack_fopaque(16, value.uuid)
    packer.pack_int(value.id)


def decode_domain(data: bytes) -> RemoteNonnullDomain:
    """One domain."""
    unpacker = Unpacker(data)
    value = unpack_domain(unpacker)
    unpacker.done()
    return value


def encode_domain(value: RemoteNonnullDomain) -> bytes:
    """One domain."""
    packer = Packer()
    pack_domain(packer, value)
    return packer.get_buffer()


def decode_domains(data: bytes) -> RemoteConnectListAllDomainsRet:
    """A list of domains."""
    unpacker = Unpacker(data)
    domains = [unpack_domain(unpacker) for _ in range(unpacker.unpack_uint())]
    value = RemoteConnectListAllDomainsRet(domains, unpacker.unpack_uint())
    unpacker.done()
    return value


def encode_domains(value: RemoteConnectListAllDomainsRet) -> bytes:
    """A list of domains."""
    packer = Packer()
    packer.pack_uint(len(value.domains))
    for one in value.domains:
        pack_domain(packer, one)
    packer.pack_uint(value.ret)
    return packer.get_buffer()


def unpack_value(unpacker: Unpacker) -> RemoteTypedParamValue:
    """The union of a typed parameter."""
    match unpacker.unpack_int():
        case 1:
            return RemoteTypedParamValueVirTypedParamInt(unpacker.unpack_int())
        case 2:
            return RemoteTypedParamValueVirTypedParamUint(unpacker.unpack_uint())
        case 3:
            return RemoteTypedParamValueVirTypedParamLlong(unpacker.unpack_hyper())
        case 4:
            return RemoteTypedParamValueVirTypedParamUllong(unpacker.unpack_uhyper())
        case 5:
            return RemoteTypedParamValueVirTypedParamDouble(unpacker.unpack_double())
        case 6:
            return RemoteTypedParamValueVirTypedParamBoolean(unpacker.unpack_int())
        case 7:
            return RemoteTypedParamValueVirTypedParamString(unpack_text(unpacker))
        case kind:
            raise ValueError(f"expected a kind from 1 to 7, got {kind}")


def pack_value(packer: Packer, value: Any) -> None:
    """The union of a typed parameter, told by its number: quicker than asking for its class."""
    packer.pack_int(value.type)
    match value.type:
        case 1:
            packer.pack_int(value.i)
        case 2:
            packer.pack_uint(value.ui)
        case 3:
            packer.pack_hyper(value.l)
        case 4:
            packer.pack_uhyper(value.ul)
        case 5:
            packer.pack_double(value.d)
        case 6:
            packer.pack_int(value.b)
        case 7:
            pack_text(packer, value.s)


def decode_params(data: bytes) -> RemoteDomainGetCpuStatsRet:
    """A list of typed parameters."""
    unpacker = Unpacker(data)
    params = [
        RemoteTypedParam(unpack_text(unpacker), unpack_value(unpacker))
        for _ in range(unpacker.unpack_uint())
    ]
    value = RemoteDomainGetCpuStatsRet(params, unpacker.unpack_int())
    unpacker.done()
    return value


def encode_params(value: RemoteDomainGetCpuStatsRet) -> bytes:
    """A list of typed parameters."""
    packer = Packer()
    packer.pack_uint(len(value.params))
    for one in value.params:
        pack_text(packer, one.field)
        pack_value(packer, one.value)
    packer.pack_int(value.nparams)
    return packer.get_buffer()


def decode_opaque(data: bytes) -> RemoteDomainBlockPeekRet:
    """A block of bytes."""
    unpacker = Unpacker(data)
    value = RemoteDomainBlockPeekRet(unpacker.unpack_opaque())
    unpacker.done()
    return value


def encode_opaque(value: RemoteDomainBlockPeekRet) -> bytes:
    """A block of bytes."""
    packer = Packer()
    packer.pack_opaque(value.buffer)
    return packer.get_buffer()


_CODECS: Mapping[str, Functions] = {
    "header": (encode_header, decode_header),
    "info": (encode_info, decode_info),
    "domain": (encode_domain, decode_domain),
    "domains": (encode_domains, decode_domains),
    "params": (encode_params, decode_params),
    "opaque": (encode_opaque, decode_opaque),
}


def codecs(shapes: Mapping[str, Plain]) -> dict[str, Codec]:
    """The codec of each shape, for the same values as ours."""
    values = build(shapes)
    return {
        shape: Codec(values[shape], *functions, READERS[shape])
        for shape, functions in _CODECS.items()
    }
