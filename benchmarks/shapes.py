"""The six messages that are measured, as plain tuples from which each contestant builds its own values.

No codec is here. Numbers and names are of the sizes that a host with many domains answers with.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final, TypeAlias

Plain: TypeAlias = tuple[Any, ...]
"""Fields in wire order; a struct within is a tuple, a list a list, a union (discriminant, value)."""

FIXED: Final = ("header", "info")
"""The shapes whose size on the wire never changes."""

_SEED = 4506


def shapes() -> dict[str, Plain]:
    """Each shape's value, the same in every run."""
    random = Random(_SEED)  # noqa: S311  (values to encode, no secrets)
    return {
        "header": (0x20008086, 1, 16, 1, 4711, 0),
        "info": (1, 8 << 20, 4 << 20, 16, 1_234_567_890_123),
        "domain": _domain(random, 7),
        "domains": ([_domain(random, number) for number in range(1000)], 1000),
        "params": ([_param(random, number) for number in range(1000)], 0),
        "opaque": (random.randbytes(256 << 10),),
    }


def _domain(random: Random, number: int) -> Plain:
    site = random.choice(("web", "database", "build-farm", "staging-web"))
    return f"{site}-{number:03}", random.randbytes(16), number


def _param(random: Random, number: int) -> Plain:
    name = random.choice(("cpu.time", "net.0.rx.bytes", "block.12.allocation", "vcpu.current"))
    kind = number % 7 + 1
    return f"{name}.{number}", (kind, _value(random, kind))


def _value(random: Random, kind: int) -> int | float | str:
    """A value for an arm of ``remote_typed_param_value``."""
    match kind:
        case 1:
            return random.randint(-(2**31), 2**31 - 1)
        case 2:
            return random.getrandbits(32)
        case 3:
            return random.randint(-(2**63), 2**63 - 1)
        case 4:
            return random.getrandbits(64)
        case 5:
            return random.random()
        case 6:
            return random.getrandbits(1)
        case _:
            return f"/var/lib/images/{random.getrandbits(32)}.qcow2"
