"""What travels as one unit: the header, its kinds, the error payload, and ``RemoteError``.

The structures are generated from ``virnetprotocol.x`` like any other. Nothing here knows in
which order packets come: ``framing`` finds where they begin, ``connection`` what they mean.
"""

from __future__ import annotations

from struct import Struct

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorLevel, VirErrorNumber
from libvirt_rpc.virnetprotocol.constants import VIR_NET_MESSAGE_HEADER_MAX, VIR_NET_MESSAGE_LEN_MAX
from libvirt_rpc.virnetprotocol.decoder import read_vir_net_message_error
from libvirt_rpc.virnetprotocol.encoder import encode_vir_net_message_error
from libvirt_rpc.virnetprotocol.types import (
    VirNetMessageError,
    VirNetMessageHeader,
    VirNetMessageNonnullDomain,
    VirNetMessageNonnullNetwork,
    VirNetMessageStatus,
    VirNetMessageType,
)
from rpcgen.runtime.errors import RpcError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enum import IntEnum
    from typing import Final, TypeVar

    from rpcgen.runtime.xdr import Buffer

    E = TypeVar("E", bound=IntEnum)

CALL: Final = VirNetMessageType.VIR_NET_CALL
REPLY: Final = VirNetMessageType.VIR_NET_REPLY
MESSAGE: Final = VirNetMessageType.VIR_NET_MESSAGE
STREAM: Final = VirNetMessageType.VIR_NET_STREAM
CALL_WITH_FDS: Final = VirNetMessageType.VIR_NET_CALL_WITH_FDS
REPLY_WITH_FDS: Final = VirNetMessageType.VIR_NET_REPLY_WITH_FDS
STREAM_HOLE: Final = VirNetMessageType.VIR_NET_STREAM_HOLE

OK: Final = VirNetMessageStatus.VIR_NET_OK
ERROR: Final = VirNetMessageStatus.VIR_NET_ERROR
CONTINUE: Final = VirNetMessageStatus.VIR_NET_CONTINUE

CALLS: Final = (CALL, CALL_WITH_FDS)
REPLIES: Final = (REPLY, REPLY_WITH_FDS)
STREAMS: Final = (STREAM, STREAM_HOLE)

HEAD_SIZE: Final = VIR_NET_MESSAGE_LEN_MAX + VIR_NET_MESSAGE_HEADER_MAX
"""Bytes of length word and header: the smallest packet."""

EVENT_SERIAL: Final = 1
"""What libvirt's servers put into the header of an event; nobody looks at it."""

_pack_head = Struct(">IIIiiIi").pack
_pack_count = Struct(">I").pack

_UNKNOWN_PROCEDURE: Final = "unknown procedure"
_UNKNOWN_FROM: Final = (VirErrorDomain.VIR_FROM_RPC, VirErrorDomain.VIR_FROM_REMOTE)


class Packet:
    """One packet as it came.

    Attributes:
        header: its header; ``type`` and ``status`` may be any number.
        payload: what is behind the header, without the count of descriptors.
        fds: the descriptors that came with it; whoever takes the packet owns them.
    """

    __slots__ = ("fds", "header", "payload")

    def __init__(self, header: VirNetMessageHeader, payload: bytes, fds: list[int]) -> None:
        self.header = header
        self.payload = payload
        self.fds = fds

    def __repr__(self) -> str:
        return f"Packet({self.header!r}, {len(self.payload)} bytes, fds={self.fds})"


def head(
    size: int, program: int, version: int, procedure: int, kind: int, serial: int, status: int
) -> bytes:
    """Length word and header of a packet with ``size`` bytes of payload."""
    return _pack_head(HEAD_SIZE + size, program, version, procedure, kind, serial, status)


def packet(header: VirNetMessageHeader, payload: bytes = b"") -> bytes:
    """A whole packet."""
    return (
        _pack_head(
            HEAD_SIZE + len(payload),
            header.prog,
            header.vers,
            header.proc,
            header.type,
            header.serial,
            header.status,
        )
        + payload
    )


def count_of_fds(count: int) -> bytes:
    """What stands before the payload of a packet with descriptors."""
    return _pack_count(count)


class RemoteError(RpcError):
    """What the server says of a call or stream that failed (virNetMessageError).

    Raised by clients where it arrives, and by handlers to answer with it.

    Attributes:
        code: a ``VirErrorNumber`` where the number is known, or another program's own.
        domain: a ``VirErrorDomain`` where the number is known: the part of the server.
        message: for people, in the server's language.
        level: 2 for an error (VIR_ERR_ERROR).
        dom, net: the domain or network concerned; no server of libvirt sends them.
        str1, str2, str3, int1, int2: details; libvirt puts its template into ``str1``, what
            fills it into ``str2``, and an errno, or -1, into ``int1``.
    """

    def __init__(
        self,
        code: int,
        message: str | None = None,
        *,
        domain: int = VirErrorDomain.VIR_FROM_NONE,
        level: int = VirErrorLevel.VIR_ERR_ERROR,
        dom: VirNetMessageNonnullDomain | None = None,
        str1: str | None = None,
        str2: str | None = None,
        str3: str | None = None,
        int1: int = -1,
        int2: int = -1,
        net: VirNetMessageNonnullNetwork | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code: VirErrorNumber | int = _known(VirErrorNumber, code)
        self.domain: VirErrorDomain | int = _known(VirErrorDomain, domain)
        self.level: VirErrorLevel | int = _known(VirErrorLevel, level)
        self.message = message
        self.dom = dom
        self.str1 = str1
        self.str2 = str2
        self.str3 = str3
        self.int1 = int1
        self.int2 = int2
        self.net = net

    def __str__(self) -> str:
        code = self.code.name if isinstance(self.code, VirErrorNumber) else f"code {self.code}"
        return f"{self.message or 'unknown error'} ({code})"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (int(self.code), self.message), self.__dict__

    @classmethod
    def from_payload(cls, payload: Buffer) -> RemoteError:
        """The error in a packet.

        A server that does not know a procedure says so in words; as libvirt's client does, that
        becomes VIR_ERR_NO_SUPPORT, so that callers can try an older procedure.

        Raises:
            XdrDecodeError: the payload is not an error.
        """
        wire, _ = read_vir_net_message_error(payload, 0)
        error = cls(
            wire.code,
            wire.message,
            domain=wire.domain,
            level=wire.level,
            dom=wire.dom,
            str1=wire.str1,
            str2=wire.str2,
            str3=wire.str3,
            int1=wire.int1,
            int2=wire.int2,
            net=wire.net,
        )
        if error._says_unknown_procedure():
            error.code = VirErrorNumber.VIR_ERR_NO_SUPPORT
        return error

    def payload(self) -> bytes:
        """The error as it travels.

        Raises:
            XdrEncodeError: a text or number is out of bounds.
        """
        return encode_vir_net_message_error(
            VirNetMessageError(
                int(self.code),
                int(self.domain),
                self.message,
                int(self.level),
                self.dom,
                self.str1,
                self.str2,
                self.str3,
                self.int1,
                self.int2,
                self.net,
            )
        )

    def _says_unknown_procedure(self) -> bool:
        return (
            self.code == VirErrorNumber.VIR_ERR_RPC
            and self.domain in _UNKNOWN_FROM
            and self.level == VirErrorLevel.VIR_ERR_ERROR
            and (self.message or "").startswith(_UNKNOWN_PROCEDURE)
        )


def _known(kind: type[E], number: int) -> E | int:
    return kind(number) if number in kind._value2member_map_ else number


def rpc_error(message: str, code: int = VirErrorNumber.VIR_ERR_RPC) -> RemoteError:
    """An error of the RPC layer itself, filled in as libvirt's servers do."""
    return RemoteError(code, message, domain=VirErrorDomain.VIR_FROM_RPC, str1="%s", str2=message)


def worded(
    code: VirErrorNumber | int, template: str, detail: str, domain: VirErrorDomain
) -> RemoteError:
    """An error in libvirt's words: with the template (``access denied: %s``), and what is in its place."""
    text = template.replace("%s", detail)
    return RemoteError(code, text, domain=domain, str1=template, str2=detail)


def unsupported_flags(flags: int, function: str, domain: VirErrorDomain) -> RemoteError:
    """A call has flags that its function does not know (VIR_ERR_INVALID_ARG)."""
    return RemoteError(
        VirErrorNumber.VIR_ERR_INVALID_ARG,
        f"unsupported flags (0x{flags:x}) in function {function}",
        domain=domain,
        str1=function,
        str2="flags",
        int1=0,
        int2=0,
    )


def unknown_procedure(number: int) -> RemoteError:
    """The answer to a procedure that is not offered; clients test how its text begins."""
    return rpc_error(f"{_UNKNOWN_PROCEDURE}: {number}")
