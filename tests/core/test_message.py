"""The error that travels, and how clients read it."""

from __future__ import annotations

import pickle

import pytest

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from libvirt_rpc.virnetprotocol import constants
from libvirt_rpc.virnetprotocol.types import (
    VirNetMessageNonnullDomain,
    VirNetMessageNonnullNetwork,
)
from rpcgen.runtime import limits
from rpcgen.runtime.errors import ConnectionClosed, XdrDecodeError, XdrEncodeError, again
from rpcgen.runtime.message import RemoteError, rpc_error, unknown_procedure

# code 42, domain 10, "no", level 2, no domain, "%s", "no", no str3, -1, -1, no network
NO_DOMAIN = bytes.fromhex(
    "0000002a 0000000a 00000001 00000002 6e6f0000 00000002 00000000"
    "00000001 00000002 25730000 00000001 00000002 6e6f0000 00000000 ffffffff ffffffff 00000000"
)


def test_an_error_is_what_libvirt_sends() -> None:
    error = RemoteError(42, "no", domain=10, str1="%s", str2="no")
    assert error.payload() == NO_DOMAIN
    read = RemoteError.from_payload(NO_DOMAIN + b"newer")
    assert read.code is VirErrorNumber.VIR_ERR_NO_DOMAIN
    assert read.domain is VirErrorDomain.VIR_FROM_QEMU
    assert (read.message, read.str1, read.str2, read.str3) == ("no", "%s", "no", None)
    assert (read.level, read.int1, read.int2, read.dom, read.net) == (2, -1, -1, None, None)
    assert str(read) == "no (VIR_ERR_NO_DOMAIN)"


def test_every_field_survives() -> None:
    fields = {
        "domain": 999,
        "level": 7,
        "dom": VirNetMessageNonnullDomain("d", bytes(16), 3),
        "str1": "1",
        "str2": "2",
        "str3": "3",
        "int1": 4,
        "int2": 5,
        "net": VirNetMessageNonnullNetwork("n", bytes(16)),
    }
    read = RemoteError.from_payload(RemoteError(1000, None, **fields).payload())  # type: ignore[arg-type]
    assert {name: getattr(read, name) for name in fields} == fields
    assert (read.code, str(read)) == (1000, "unknown error (code 1000)")
    copy = pickle.loads(pickle.dumps(read))  # noqa: S301  (our own)
    assert vars(copy) == vars(read)


@pytest.mark.parametrize("size", range(0, len(NO_DOMAIN), 4))
def test_half_an_error_is_none(size: int) -> None:
    with pytest.raises(XdrDecodeError):
        RemoteError.from_payload(NO_DOMAIN[:size])


def test_a_text_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(XdrEncodeError, match="message"):
        RemoteError(1, "x" * (limits.MESSAGE_MAX // 8 + 1)).payload()


def test_an_unknown_procedure_is_not_supported() -> None:
    answer = unknown_procedure(7)
    assert (answer.code, answer.message) == (39, "unknown procedure: 7")
    assert RemoteError.from_payload(answer.payload()).code is VirErrorNumber.VIR_ERR_NO_SUPPORT
    for other in (rpc_error("procedure 7 is unknown"), RemoteError(39, answer.message, domain=10)):
        assert RemoteError.from_payload(other.payload()).code is VirErrorNumber.VIR_ERR_RPC


def test_limits_are_those_of_the_protocol() -> None:
    assert limits.MESSAGE_MAX == constants.VIR_NET_MESSAGE_MAX
    assert limits.FDS_MAX == constants.VIR_NET_MESSAGE_NUM_FDS_MAX
    assert limits.STREAM_PACKET_MAX == constants.VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX


@pytest.mark.parametrize(
    "wrong", [{"message": 0}, {"fds": -1}, {"message": 2**32}, {"message": 100}, {"outbox": 0}]
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="limit "):
        limits.Limits(**wrong)


def test_each_thread_raises_its_own_copy() -> None:
    cause = ValueError("why")
    error = ConnectionClosed("gone", 1)
    error.__cause__ = cause
    copy = again(error)
    assert copy is not error
    assert isinstance(copy, ConnectionClosed)
    assert (str(copy), copy.reason, copy.__cause__) == ("gone", 1, cause)
