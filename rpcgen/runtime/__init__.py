"""What generated code links to, and the names that its users import from here.

A name is imported when it is first asked for, so that a generated module, which needs little,
does not pay for clients and servers.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rpcgen.runtime.connecting import connect, connect_async
    from rpcgen.runtime.errors import (
        AuthError,
        CallTimeout,
        ConnectError,
        ConnectionClosed,
        EventsLost,
        LocalProtocolError,
        ProtocolError,
        RemoteProtocolError,
        RpcError,
        TlsError,
        TransportError,
        UnknownProcedure,
        XdrDecodeError,
        XdrEncodeError,
        XdrError,
    )
    from rpcgen.runtime.interfaces import ByteStream, Identity
    from rpcgen.runtime.limits import Limits
    from rpcgen.runtime.message import RemoteError
    from rpcgen.runtime.program import Procedure, Program
    from rpcgen.runtime.server import Server
    from rpcgen.runtime.streams import Hole
    from rpcgen.runtime.stubs import (
        AsyncCaller,
        AsyncClientStream,
        AsyncSubscription,
        Call,
        Caller,
        ClientStream,
        EventTarget,
        ServerStream,
        Session,
        StreamCall,
        StreamData,
        Subscription,
    )
    from rpcgen.runtime.tls.context import ClientTls, ServerTls
    from rpcgen.runtime.tls.credentials import Credentials
    from rpcgen.runtime.values import XdrStruct, link, links, replace
else:
    from rpcgen.runtime.exports import lazy

    __getattr__, __dir__ = lazy(
        globals(),
        {
            "rpcgen.runtime.connecting": "connect connect_async",
            "rpcgen.runtime.errors": "AuthError CallTimeout ConnectError ConnectionClosed"
            " EventsLost LocalProtocolError ProtocolError RemoteProtocolError RpcError TlsError"
            " TransportError UnknownProcedure XdrDecodeError XdrEncodeError XdrError",
            "rpcgen.runtime.interfaces": "ByteStream Identity",
            "rpcgen.runtime.limits": "Limits",
            "rpcgen.runtime.message": "RemoteError",
            "rpcgen.runtime.program": "Procedure Program",
            "rpcgen.runtime.server": "Server",
            "rpcgen.runtime.streams": "Hole",
            "rpcgen.runtime.stubs": "AsyncCaller AsyncClientStream AsyncSubscription Call Caller"
            " ClientStream EventTarget ServerStream Session StreamCall StreamData Subscription",
            "rpcgen.runtime.tls.context": "ClientTls ServerTls",
            "rpcgen.runtime.tls.credentials": "Credentials",
            "rpcgen.runtime.values": "XdrStruct link links replace",
        },
    )


__all__ = [
    "AsyncCaller",
    "AsyncClientStream",
    "AsyncSubscription",
    "AuthError",
    "ByteStream",
    "Call",
    "CallTimeout",
    "Caller",
    "ClientStream",
    "ClientTls",
    "ConnectError",
    "ConnectionClosed",
    "Credentials",
    "EventTarget",
    "EventsLost",
    "Hole",
    "Identity",
    "Limits",
    "LocalProtocolError",
    "Procedure",
    "Program",
    "ProtocolError",
    "RemoteError",
    "RemoteProtocolError",
    "RpcError",
    "Server",
    "ServerStream",
    "ServerTls",
    "Session",
    "StreamCall",
    "StreamData",
    "Subscription",
    "TlsError",
    "TransportError",
    "UnknownProcedure",
    "XdrDecodeError",
    "XdrEncodeError",
    "XdrError",
    "XdrStruct",
    "connect",
    "connect_async",
    "link",
    "links",
    "replace",
]
