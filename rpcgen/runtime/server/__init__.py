"""The server: an event loop that owns all sockets, and threads for handlers that take their time."""

from __future__ import annotations

from rpcgen.runtime.server.server import Server

__all__ = ["Server"]
