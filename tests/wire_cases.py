"""What a server answers to calls that are wrong or odd: bytes, the reply, and what becomes of the connection.

The table does not know who answers. ``CASES`` take any server of the remote program, version 1, without
authentication, that has AUTH_LIST, CONNECT_SUPPORTS_FEATURE and DOMAIN_LOOKUP_BY_NAME; ``SESSION_CASES`` also open
``test:///default``. They are what our clients and servers are measured by, so neither is used here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from libvirt_rpc.libvirt_common.types import VirDrvFeature, VirErrorDomain, VirErrorNumber
from libvirt_rpc.remote_protocol.constants import (
    REMOTE_PROGRAM,
    REMOTE_PROTOCOL_VERSION,
    REMOTE_STRING_MAX,
)
from libvirt_rpc.remote_protocol.encoder import (
    encode_remote_auth_list_ret,
    encode_remote_connect_open_args,
    encode_remote_connect_supports_feature_args,
    encode_remote_connect_supports_feature_ret,
)
from libvirt_rpc.remote_protocol.types import (
    RemoteAuthListRet,
    RemoteAuthType,
    RemoteConnectOpenArgs,
    RemoteConnectSupportsFeatureArgs,
    RemoteConnectSupportsFeatureRet,
    RemoteProcedure,
)
from libvirt_rpc.virkeepaliveprotocol.constants import KEEPALIVE_PROGRAM, KEEPALIVE_PROTOCOL_VERSION
from libvirt_rpc.virkeepaliveprotocol.types import KeepaliveProcedure
from libvirt_rpc.virnetprotocol.constants import (
    VIR_NET_MESSAGE_HEADER_MAX,
    VIR_NET_MESSAGE_LEN_MAX,
    VIR_NET_MESSAGE_MAX,
    VIR_NET_MESSAGE_NUM_FDS_MAX,
)
from libvirt_rpc.virnetprotocol.decoder import decode_vir_net_message_header
from libvirt_rpc.virnetprotocol.encoder import encode_vir_net_message_header
from libvirt_rpc.virnetprotocol.types import (
    VirNetMessageHeader,
    VirNetMessageStatus,
    VirNetMessageType,
)

PAYLOAD = VIR_NET_MESSAGE_LEN_MAX + VIR_NET_MESSAGE_HEADER_MAX
"""Where the payload of a packet starts."""

OPEN = RemoteProcedure.REMOTE_PROC_CONNECT_OPEN
CLOSE = RemoteProcedure.REMOTE_PROC_CONNECT_CLOSE
HOSTNAME = RemoteProcedure.REMOTE_PROC_CONNECT_GET_HOSTNAME
FEATURE = RemoteProcedure.REMOTE_PROC_CONNECT_SUPPORTS_FEATURE
LOOKUP = RemoteProcedure.REMOTE_PROC_DOMAIN_LOOKUP_BY_NAME
EVENT = int(RemoteProcedure.REMOTE_PROC_DOMAIN_EVENT_LIFECYCLE)

REPLY = VirNetMessageType.VIR_NET_REPLY
MESSAGE = VirNetMessageType.VIR_NET_MESSAGE
STREAM = VirNetMessageType.VIR_NET_STREAM
CALL_WITH_FDS = VirNetMessageType.VIR_NET_CALL_WITH_FDS

OK = VirNetMessageStatus.VIR_NET_OK
ERROR = VirNetMessageStatus.VIR_NET_ERROR


@dataclass(frozen=True)
class Failure:
    """A ``virNetMessageError``, as far as clients may rely on it.

    Attributes:
        message: a pattern for the start of the message. Servers choose the words, except for
            "unknown procedure", by which clients know that error.
    """

    message: str = "."
    code: VirErrorNumber = VirErrorNumber.VIR_ERR_RPC
    domain: VirErrorDomain = VirErrorDomain.VIR_FROM_RPC


@dataclass(frozen=True)
class Reply:
    """One packet of a server: its header, and its payload or the error that is in it."""

    header: VirNetMessageHeader
    payload: bytes | Failure = b""


@dataclass(frozen=True)
class Case:
    """What comes of some bytes on a fresh connection.

    Attributes:
        name: what is wrong or odd about the bytes.
        reply: None: nothing is sent back.
        closes: the server closes the connection; if not, the next call is answered.
        before: calls that are made first, one by one, and that return nothing.
    """

    name: str
    sent: bytes
    reply: Reply | None = None
    closes: bool = False
    before: tuple[bytes, ...] = ()

    def __str__(self) -> str:
        return self.name


# Packets


def packet(payload: bytes = b"", **fields: int) -> bytes:
    """A packet with its length word: a correct call of AUTH_LIST, but for these fields of the header."""
    usual = {
        "prog": REMOTE_PROGRAM,
        "vers": REMOTE_PROTOCOL_VERSION,
        "proc": RemoteProcedure.REMOTE_PROC_AUTH_LIST,
        "type": VirNetMessageType.VIR_NET_CALL,
        "serial": 7,
        "status": OK,
    }
    header = encode_vir_net_message_header(VirNetMessageHeader(**usual | fields))
    return struct.pack(">I", PAYLOAD + len(payload)) + header + payload


def keepalive(proc: int, payload: bytes = b"", **fields: int) -> bytes:
    """A packet of the keepalive program."""
    usual = {
        "prog": KEEPALIVE_PROGRAM,
        "vers": KEEPALIVE_PROTOCOL_VERSION,
        "proc": proc,
        "type": MESSAGE,
        "serial": 0,
    }
    return packet(payload, **usual | fields)


def header_of(data: bytes) -> VirNetMessageHeader:
    """The header of a packet."""
    return decode_vir_net_message_header(data[VIR_NET_MESSAGE_LEN_MAX:PAYLOAD])


def answer(sent: bytes, payload: bytes | Failure) -> Reply:
    """The reply to a call: it has the call's numbers, whatever they are."""
    call = header_of(sent)
    status = ERROR if isinstance(payload, Failure) else OK
    return Reply(
        VirNetMessageHeader(call.prog, call.vers, call.proc, REPLY, call.serial, status), payload
    )


def opening(flags: int) -> bytes:
    """A call of CONNECT_OPEN."""
    arguments = RemoteConnectOpenArgs("test:///default", flags)
    return packet(encode_remote_connect_open_args(arguments), proc=OPEN)


def asking(feature: int, behind: bytes = b"") -> bytes:
    """A call of CONNECT_SUPPORTS_FEATURE, with bytes behind its arguments."""
    arguments = encode_remote_connect_supports_feature_args(
        RemoteConnectSupportsFeatureArgs(feature)
    )
    return packet(arguments + behind, proc=FEATURE)


def cut(length: int) -> bytes:
    """A packet that is shorter than its header, and says so."""
    return struct.pack(">I", length) + packet()[VIR_NET_MESSAGE_LEN_MAX:length]


NO, YES = (
    encode_remote_connect_supports_feature_ret(RemoteConnectSupportsFeatureRet(supported))
    for supported in (0, 1)
)
"""What CONNECT_SUPPORTS_FEATURE returns."""

METHODS = encode_remote_auth_list_ret(RemoteAuthListRet([RemoteAuthType.REMOTE_AUTH_NONE]))
"""What AUTH_LIST returns where there is no authentication."""

PING = keepalive(KeepaliveProcedure.KEEPALIVE_PROC_PING)
PONG = keepalive(KeepaliveProcedure.KEEPALIVE_PROC_PONG)


# Rows


def refused(name: str, sent: bytes, message: str = ".") -> Case:
    """The call fails in the RPC layer."""
    return Case(name, sent, answer(sent, Failure(message)))


def returns(name: str, sent: bytes, payload: bytes = METHODS, *before: bytes) -> Case:
    """The call succeeds."""
    return Case(name, sent, answer(sent, payload), before=before)


def ignored(name: str, sent: bytes) -> Case:
    """Nobody says anything."""
    return Case(name, sent)


def fatal(name: str, sent: bytes) -> Case:
    """Where the next packet starts is lost, and the connection with that."""
    return Case(name, sent, closes=True)


NOBODY = REMOTE_PROGRAM + 0x1000
"""No program."""

NO_PROGRAM = rf".*\b{NOBODY}\b.*\b{REMOTE_PROTOCOL_VERSION}\b"
NO_VERSION = rf".*\b{REMOTE_PROGRAM}\b.*\b2\b"

OF_PROGRAM = [
    refused("program", packet(prog=NOBODY), NO_PROGRAM),
    refused("program-with-fds", packet(bytes(4), prog=NOBODY, type=CALL_WITH_FDS), NO_PROGRAM),
    refused("version", packet(vers=2), NO_VERSION),
    refused("version-before-status", packet(vers=2, status=ERROR), NO_VERSION),
    *(
        ignored(f"program-of-type-{type_}", packet(prog=NOBODY, type=type_))
        for type_ in (1, 2, 3, 5, 6, 7, -1)
    ),
]

OF_HEADER = [
    *(ignored(f"type-{type_}", packet(type=type_)) for type_ in (1, 2, 5, 6, 7, 2**31 - 1, -1)),
    *(
        ignored(f"data-of-no-stream-{status}", packet(b"data", type=STREAM, status=status))
        for status in (0, 1, 2)
    ),
    ignored("type-before-procedure", packet(proc=100_000, type=REPLY)),
    *(
        refused(f"status-{status}", packet(status=status), rf".*\b{status}\b")
        for status in (1, 2, 77)
    ),
    refused("status--1", packet(status=-1)),  # libvirt says 4294967295
    refused("status-before-procedure", packet(proc=100_000, status=77), r".*\b77\b"),
    *(returns(f"serial-{serial}", packet(serial=serial)) for serial in (0, 1, 2**31, 2**32 - 1)),
]

OF_PROCEDURE = [
    *(
        refused(f"procedure-{proc}", packet(proc=proc), f"unknown procedure: {proc}$")
        for proc in (0, 100_000, 2**31 - 1, -1, -(2**31))
    ),
    refused("procedure-is-an-event", packet(proc=EVENT), f"unknown procedure: {EVENT}$"),
    refused("procedure-before-arguments", packet(b"odd", proc=0), "unknown procedure: 0$"),
    refused(
        "procedure-with-fds", packet(bytes(4), proc=0, type=CALL_WITH_FDS), "unknown procedure: 0$"
    ),
]

OF_ARGUMENTS = [
    *(
        refused(f"{length}-bytes-of-4", packet(bytes(length), proc=FEATURE))
        for length in (0, 1, 2, 3)
    ),
    refused("text-too-long", packet(struct.pack(">I", REMOTE_STRING_MAX + 1), proc=LOOKUP)),
    refused("text-cut", packet(struct.pack(">I", 8) + b"four", proc=LOOKUP)),
    refused("text-without-padding", packet(struct.pack(">I", 5) + b"five.", proc=LOOKUP)),
    *(returns(f"{length}-bytes-behind-void", packet(bytes(length))) for length in (1, 4, 300)),
    returns(
        "bytes-behind-arguments",
        asking(VirDrvFeature.VIR_DRV_FEATURE_PROGRAM_KEEPALIVE, b"newer"),
        YES,
    ),
]

OF_DESCRIPTORS = [
    returns("no-fds", packet(bytes(4), type=CALL_WITH_FDS)),
    fatal("no-count-of-fds", packet(type=CALL_WITH_FDS)),
    fatal(
        "too-many-fds",
        packet(struct.pack(">I", VIR_NET_MESSAGE_NUM_FDS_MAX + 1), type=CALL_WITH_FDS),
    ),
    fatal("fd-is-a-plain-byte", packet(struct.pack(">I", 1), type=CALL_WITH_FDS) + b"\0"),
]

OF_LENGTH = [
    *(
        fatal(f"length-{length}", struct.pack(">I", length))
        for length in (
            *(0, 1, 2, 3, 4),
            *(VIR_NET_MESSAGE_LEN_MAX + VIR_NET_MESSAGE_MAX + 1, 2**31, 2**32 - 1),
        )
    ),
    *(fatal(f"length-{length}", cut(length)) for length in (5, 8, 27)),
]

OF_KEEPALIVE = [
    Case("ping", PING, Reply(header_of(PONG))),
    Case("ping-with-more", keepalive(1, b"more", serial=9, status=ERROR), Reply(header_of(PONG))),
    ignored("pong", PONG),
    ignored("ping-of-version-2", keepalive(1, vers=2)),
    *(ignored(f"keepalive-{proc}", keepalive(proc)) for proc in (0, 3, -1)),
    refused("ping-is-a-call", keepalive(1, type=0), rf".*\b{KEEPALIVE_PROGRAM}\b"),
]

CASES = [
    *OF_PROGRAM,
    *OF_HEADER,
    *OF_PROCEDURE,
    *OF_ARGUMENTS,
    *OF_DESCRIPTORS,
    *OF_LENGTH,
    *OF_KEEPALIVE,
]
"""Answers of the RPC layer."""

NOT_OPEN = Failure(code=VirErrorNumber.VIR_ERR_INTERNAL_ERROR)
"""Also what a second CONNECT_OPEN gets: libvirt has no code for either."""

ALWAYS = (
    VirDrvFeature.VIR_DRV_FEATURE_FD_PASSING,
    VirDrvFeature.VIR_DRV_FEATURE_PROGRAM_KEEPALIVE,
    VirDrvFeature.VIR_DRV_FEATURE_REMOTE_EVENT_CALLBACK,
    VirDrvFeature.VIR_DRV_FEATURE_REMOTE_CLOSE_CALLBACK,
)
"""What the server itself offers, not its driver."""

SESSION_CASES = [
    returns("keepalive-before-open", asking(VirDrvFeature.VIR_DRV_FEATURE_PROGRAM_KEEPALIVE), YES),
    *(
        Case(name, sent, answer(sent, NOT_OPEN))
        for name, sent in (
            ("feature-before-open", asking(VirDrvFeature.VIR_DRV_FEATURE_FD_PASSING)),
            ("call-before-open", packet(proc=HOSTNAME)),
        )
    ),
    *(returns(f"feature-{feature}", asking(feature), YES, opening(0)) for feature in ALWAYS),
    *(returns(f"feature-{feature}", asking(feature), NO, opening(0)) for feature in (99, -1)),
    returns("open-with-unknown-flags", opening(0xFFFFFFFE), b""),
    Case("open-twice", opening(0), answer(opening(0), NOT_OPEN), before=(opening(0),)),
    Case("close-before-open", packet(proc=CLOSE), answer(packet(proc=CLOSE), b""), closes=True),
    Case("close", packet(proc=CLOSE), answer(packet(proc=CLOSE), b""), True, before=(opening(0),)),
]
"""Answers of the remote program about its session."""
