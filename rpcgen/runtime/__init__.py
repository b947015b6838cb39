"""What generated code links to, and the names that its users import from here.

A name is imported when it is first asked for, so that a generated module, which needs little,
does not pay for clients and servers.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rpcgen.runtime.errors import (
        RpcError,
        UnknownProcedure,
        XdrDecodeError,
        XdrEncodeError,
        XdrError,
    )
    from rpcgen.runtime.program import Procedure, Program
    from rpcgen.runtime.stubs import (
        AsyncCaller,
        AsyncClientStream,
        AsyncSubscription,
        Call,
        Caller,
        ClientStream,
        EventTarget,
        StreamCall,
        StreamData,
        Subscription,
    )
    from rpcgen.runtime.values import XdrStruct, link, links, replace
else:
    _HOMES = {
        "errors": ("RpcError", "UnknownProcedure", "XdrDecodeError", "XdrEncodeError", "XdrError"),
        "program": ("Procedure", "Program"),
        "stubs": (
            *("AsyncCaller", "AsyncClientStream", "AsyncSubscription", "Call", "Caller"),
            *("ClientStream", "EventTarget", "StreamCall", "StreamData", "Subscription"),
        ),
        "values": ("XdrStruct", "link", "links", "replace"),
    }

    def __getattr__(name):
        for home, names in _HOMES.items():
            if name in names:
                from importlib import import_module

                value = getattr(import_module(f"{__name__}.{home}"), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})


__all__ = [
    "AsyncCaller",
    "AsyncClientStream",
    "AsyncSubscription",
    "Call",
    "Caller",
    "ClientStream",
    "EventTarget",
    "Procedure",
    "Program",
    "RpcError",
    "StreamCall",
    "StreamData",
    "Subscription",
    "UnknownProcedure",
    "XdrDecodeError",
    "XdrEncodeError",
    "XdrError",
    "XdrStruct",
    "link",
    "links",
    "replace",
]
