"""The byte examples of docs/protocol.md are true: each is decoded, compared and encoded again."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from libvirt_rpc.virnetprotocol.constants import VIR_NET_MESSAGE_HEADER_MAX, VIR_NET_MESSAGE_LEN_MAX
from libvirt_rpc.virnetprotocol.decoder import decode_vir_net_message_header
from libvirt_rpc.virnetprotocol.encoder import encode_vir_net_message_header
from libvirt_rpc.virnetprotocol.types import VirNetMessageStatus, VirNetMessageType
from rpcgen.emit.names import value_name

PAGE = (Path(__file__).parents[1] / "docs/protocol.md").read_text()
HEAD = VIR_NET_MESSAGE_LEN_MAX + VIR_NET_MESSAGE_HEADER_MAX
LINE = re.compile(r"([CS ]) ((?:[0-9a-f]{2,8} ?)+)(.*)")


def frames() -> list[tuple[bytes, str]]:
    """Each frame of the page: its bytes, and what is claimed beside them."""
    found: list[tuple[bytes, str]] = []
    for block in re.findall(r"```wire\n(.*?)```", PAGE, re.DOTALL):
        for line in block.splitlines():
            match = LINE.fullmatch(line)
            assert match, line
            sender, words, claim = match.groups()
            if sender == " ":
                data, claims = found.pop()
                found.append((data + bytes.fromhex(words), f"{claims}, {claim.strip()}"))
            else:
                found.append((bytes.fromhex(words), claim.strip()))
    return found


@pytest.mark.parametrize(("frame", "claim"), frames())
def test_a_frame_is_what_is_said_of_it(frame: bytes, claim: str) -> None:
    assert int.from_bytes(frame[:VIR_NET_MESSAGE_LEN_MAX]) == len(frame)
    header = decode_vir_net_message_header(frame[VIR_NET_MESSAGE_LEN_MAX:HEAD])
    type_, status, serial = re.match(r"(\w+) (\w+) serial (\d+)", claim).groups()  # type: ignore[union-attr]
    assert header.type is VirNetMessageType[type_]
    assert header.status is VirNetMessageStatus[status]
    assert header.serial == int(serial)
    assert encode_vir_net_message_header(header) == frame[VIR_NET_MESSAGE_LEN_MAX:HEAD]
    check_payload(frame[HEAD:], claim)


def check_payload(payload: bytes, claim: str) -> None:
    named = re.search(r", (\w+): (.*)", claim)
    if not named:
        assert payload == b""
        return
    name, fields = named.groups()
    if name == "raw":
        assert payload == eval(fields)  # noqa: S307  (a literal of our own page)
        return
    package = "virnetprotocol" if name.startswith("virNet") else "remote_protocol"
    value = codec(package, "decoder", f"decode_{value_name(name)}")(payload)
    for field, expected in re.findall(r"(\w+) = ('[^']*'|\[\w+\]|[\w-]+)", fields):
        assert shown(getattr(value, field)) == expected
    assert codec(package, "encoder", f"encode_{value_name(name)}")(value) == payload


def codec(package: str, module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"libvirt_rpc.{package}.{module}"), name)


def shown(value: Any) -> str:
    """A value as the page writes it."""
    return f"[{value[0].name}]" if isinstance(value, list) else repr(value)
