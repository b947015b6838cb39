"""Reading every field of a value whose attributes have our names: ours, and those like them."""

from __future__ import annotations

from typing import Any

from benchmarks.shapes import Plain

ARMS = {1: "i", 2: "ui", 3: "l", 4: "ul", 5: "d", 6: "b", 7: "s"}
"""Discriminant of ``remote_typed_param_value`` to the name of what the arm holds."""


def header(value: Any) -> Plain:
    """Every field of a message header."""
    return value.prog, value.vers, value.proc, value.type, value.serial, value.status


def info(value: Any) -> Plain:
    """Every field of the reply of domain-get-info."""
    return value.state, value.max_mem, value.memory, value.nr_virt_cpu, value.cpu_time


def domain(value: Any) -> Plain:
    """Every field of a domain."""
    return value.name, value.uuid, value.id


def domains(value: Any) -> Plain:
    """Every field of every domain of a list."""
    return [(one.name, one.uuid, one.id) for one in value.domains], value.ret


def params(value: Any) -> Plain:
    """Every typed parameter, its kind, and what its arm holds."""
    found = []
    for one in value.params:
        arm = one.value
        kind = arm.type
        found.append((one.field, (kind, getattr(arm, ARMS[kind]))))
    return found, value.nparams


def opaque(value: Any) -> Plain:
    """The bytes."""
    return (value.buffer,)


READERS = {
    "header": header,
    "info": info,
    "domain": domain,
    "domains": domains,
    "params": params,
    "opaque": opaque,
}
