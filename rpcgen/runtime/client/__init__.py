"""The client's end of connections: ``sync`` for threads, ``aio`` for asyncio.

Both do I/O and leave the protocol to ``client_connection``. Transports are not known here, but for
the shape of a ``ByteStream``.
"""
