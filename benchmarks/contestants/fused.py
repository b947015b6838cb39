"""The limit of pure Python: ``struct`` calls fused by hand, into tuples, with nothing checked.

No classes, no bounds, no padding, no trailing bytes, no enums: what a codec could reach that did
nothing but convert. Strings below 256 bytes have a layout for each length, compiled beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct, pack, unpack_from
from typing import Any, Final, TypeAlias

from benchmarks.contestants import Codec, Functions
from benchmarks.shapes import Plain

NAME: Final = "struct, by hand"

SHORT: Final = 256

Unpackers: TypeAlias = list[tuple[Callable[[bytes, int], tuple[Any, ...]], int]]
Packers: TypeAlias = list[Callable[..., bytes]]


def unpackers(after: str) -> Unpackers:
    """By the last byte of a length: what unpacks length, string and ``after``, and how many bytes."""
    layouts = [Struct(f">I{length}s{-length % 4}x{after}") for length in range(SHORT)]
    return [(layout.unpack_from, layout.size) for layout in layouts]


def unpack_long(data: bytes, offset: int, after: str) -> tuple[int, tuple[Any, ...]]:
    """How many bytes a string of any length takes with ``after``, and all values but the length."""
    (length,) = unpack_from(">I", data, offset)
    layout = Struct(f">4x{length}s{-length % 4}x{after}")
    return layout.size, layout.unpack_from(data, offset)


def packers(after: str) -> Packers:
    """By length: what packs a string, its length, and ``after``."""
    lengths = range(SHORT)
    return [Struct(f">3x{length + 1}p{-length % 4}x{after}").pack for length in lengths]


def pack_long(raw: bytes, after: str, *values: Any) -> bytes:
    """A string of any length, and ``after``."""
    return pack(f">I{len(raw)}s{-len(raw) % 4}x{after}", len(raw), raw, *values)


_HEADER = Struct(">2I2iIi")
_INFO = Struct(">I2QIQ")
_WORD = Struct(">I")
_INT = Struct(">i")
_ARMS = (None, *(Struct(f">{code}") for code in "iIqQdi"))

_pack_header = _HEADER.pack
_pack_info = _INFO.pack
_unpack_word = _WORD.unpack_from
_unpack_int = _INT.unpack_from
_domain_unpackers = unpackers("16si")
_domain_packers = packers("16si")
_name_unpackers = unpackers("i")
_name_packers = packers("3xB")
_text_unpackers = unpackers("")
_text_packers = packers("")
_arm_unpackers = [(arm.unpack_from, arm.size) if arm else (_unpack_word, 4) for arm in _ARMS]
_param_packers = [packers(f"3xB{arm.format[1:]}") if arm else [] for arm in _ARMS]


def encode_header(value: Plain) -> bytes:
    """A message header."""
    prog, vers, proc, kind, serial, status = value
    return _pack_header(prog, vers, proc, kind, serial, status)


def encode_info(value: Plain) -> bytes:
    """The reply of domain-get-info."""
    state, max_mem, memory, nr_virt_cpu, cpu_time = value
    return _pack_info(state, max_mem, memory, nr_virt_cpu, cpu_time)


def decode_domain(data: bytes) -> Plain:
    """One domain."""
    low = data[3]
    unpack, _ = _domain_unpackers[low]
    length, name, uuid, number = unpack(data, 0)
    if length != low:
        _, (name, uuid, number) = unpack_long(data, 0, "16si")
    return name.decode(), uuid, number


def encode_domain(value: Plain) -> bytes:
    """One domain."""
    name, uuid, number = value
    raw = name.encode()
    length = len(raw)
    if length < SHORT:
        return _domain_packers[length](raw, uuid, number)
    return pack_long(raw, "16si", uuid, number)


def decode_domains(data: bytes) -> Plain:
    """A list of domains."""
    (count,) = _unpack_word(data)
    offset = 4
    domains = []
    for _ in range(count):
        low = data[offset + 3]
        unpack, size = _domain_unpackers[low]
        length, name, uuid, number = unpack(data, offset)
        if length != low:
            size, (name, uuid, number) = unpack_long(data, offset, "16si")
        offset += size
        domains.append((name.decode(), uuid, number))
    (ret,) = _unpack_word(data, offset)
    return domains, ret


def encode_domains(value: Plain) -> bytes:
    """A list of domains."""
    domains, ret = value
    parts = [_WORD.pack(len(domains))]
    for name, uuid, number in domains:
        raw = name.encode()
        length = len(raw)
        if length < SHORT:
            parts.append(_domain_packers[length](raw, uuid, number))
        else:
            parts.append(pack_long(raw, "16si", uuid, number))
    parts.append(_WORD.pack(ret))
    return b"".join(parts)


def decode_params(data: bytes) -> Plain:
    """A list of typed parameters."""
    (count,) = _unpack_word(data)
    offset = 4
    params = []
    for _ in range(count):
        low = data[offset + 3]
        unpack, size = _name_unpackers[low]
        length, name, kind = unpack(data, offset)
        if length != low:
            size, (name, kind) = unpack_long(data, offset, "i")
        offset += size
        if kind == 7:
            low = data[offset + 3]
            unpack, size = _text_unpackers[low]
            length, raw = unpack(data, offset)
            if length != low:
                size, (raw,) = unpack_long(data, offset, "")
            params.append((name.decode(), (7, raw.decode())))
        else:
            unpack, size = _arm_unpackers[kind]
            (held,) = unpack(data, offset)
            params.append((name.decode(), (kind, held)))
        offset += size
    (nparams,) = _unpack_int(data, offset)
    return params, nparams


def encode_params(value: Plain) -> bytes:
    """A list of typed parameters."""
    params, nparams = value
    parts = [_WORD.pack(len(params))]
    for field, (kind, held) in params:
        raw = field.encode()
        length = len(raw)
        if kind == 7:
            text = held.encode()
            parts.append(
                _name_packers[length](raw, 7) if length < SHORT else pack_long(raw, "i", 7)
            )
            length = len(text)
            parts.append(_text_packers[length](text) if length < SHORT else pack_long(text, ""))
        elif length < SHORT:
            parts.append(_param_packers[kind][length](raw, kind, held))
        else:
            parts.append(pack_long(raw, f"3xB{_ARMS[kind].format[1:]}", kind, held))
    parts.append(_INT.pack(nparams))
    return b"".join(parts)


def decode_opaque(data: bytes) -> Plain:
    """A block of bytes."""
    (length,) = _unpack_word(data)
    return (data[4 : 4 + length],)


def encode_opaque(value: Plain) -> bytes:
    """A block of bytes."""
    buffer: bytes = value[0]
    length = len(buffer)
    return _WORD.pack(length) + buffer + bytes(-length % 4)


_CODECS: Mapping[str, Functions] = {
    "header": (encode_header, _HEADER.unpack),
    "info": (encode_info, _INFO.unpack),
    "domain": (encode_domain, decode_domain),
    "domains": (encode_domains, decode_domains),
    "params": (encode_params, decode_params),
    "opaque": (encode_opaque, decode_opaque),
}


def codecs(shapes: Mapping[str, Plain]) -> dict[str, Codec]:
    """Tuples in, tuples out: reading one is nothing but having it."""
    return {shape: Codec(shapes[shape], *functions, tuple) for shape, functions in _CODECS.items()}
