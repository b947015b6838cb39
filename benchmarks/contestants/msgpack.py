"""msgspec's MessagePack, with structs that travel as arrays: its fastest form, and the one most like XDR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from benchmarks.contestants import Codec
from benchmarks.contestants.readers import READERS
from benchmarks.shapes import Plain
from libvirt_rpc.virnetprotocol.types import VirNetMessageStatus, VirNetMessageType

NAME: Final = "msgspec"


class Header(msgspec.Struct, array_like=True):
    """virNetMessageHeader."""

    prog: int
    vers: int
    proc: int
    type: VirNetMessageType
    serial: int
    status: VirNetMessageStatus


class Info(msgspec.Struct, array_like=True):
    """remote_domain_get_info_ret."""

    state: int
    max_mem: int
    memory: int
    nr_virt_cpu: int
    cpu_time: int


class Domain(msgspec.Struct, array_like=True):
    """remote_nonnull_domain."""

    name: str
    uuid: bytes
    id: int


class Domains(msgspec.Struct, array_like=True):
    """remote_connect_list_all_domains_ret."""

    domains: list[Domain]
    ret: int


class Int(msgspec.Struct, array_like=True, tag=1):
    """An arm of remote_typed_param_value; the tag is the discriminant."""

    type: ClassVar[int] = 1
    i: int


class Uint(msgspec.Struct, array_like=True, tag=2):
    """As ``Int``."""

    type: ClassVar[int] = 2
    ui: int


class Llong(msgspec.Struct, array_like=True, tag=3):
    """As ``Int``."""

    type: ClassVar[int] = 3
    l: int  # noqa: E741  (the name in the .x file)


class Ullong(msgspec.Struct, array_like=True, tag=4):
    """As ``Int``."""

    type: ClassVar[int] = 4
    ul: int


class Double(msgspec.Struct, array_like=True, tag=5):
    """As ``Int``."""

    type: ClassVar[int] = 5
    d: float


class Boolean(msgspec.Struct, array_like=True, tag=6):
    """As ``Int``."""

    type: ClassVar[int] = 6
    b: int


class String(msgspec.Struct, array_like=True, tag=7):
    """As ``Int``."""

    type: ClassVar[int] = 7
    s: str


class Param(msgspec.Struct, array_like=True):
    """remote_typed_param."""

    field: str
    value: Int | Uint | Llong | Ullong | Double | Boolean | String


class Params(msgspec.Struct, array_like=True):
    """remote_domain_get_cpu_stats_ret."""

    params: list[Param]
    nparams: int


class Opaque(msgspec.Struct, array_like=True):
    """remote_domain_block_peek_ret."""

    buffer: bytes


_CLASSES = {
    "header": Header,
    "info": Info,
    "domain": Domain,
    "domains": Domains,
    "params": Params,
    "opaque": Opaque,
}


def codecs(shapes: Mapping[str, Plain]) -> dict[str, Codec]:
    """A decoder of its own for each shape, and one encoder for all, as msgspec advises."""
    encoder = msgspec.msgpack.Encoder()
    return {
        shape: Codec(
            _built(cls, shapes[shape]),
            encoder.encode,
            msgspec.msgpack.Decoder(cls).decode,
            READERS[shape],
        )
        for shape, cls in _CLASSES.items()
    }


def _built(cls: Any, plain: Plain) -> Any:
    """An instance from nested tuples; the tag in front of an arm's value is where msgspec wants it."""
    return msgspec.convert(plain, cls)
