"""A small file server on a protocol of its own, ``filer.x``: handlers, a server, a demonstration."""
