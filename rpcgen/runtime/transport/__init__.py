"""How bytes get to the peer: UNIX sockets, TCP, a pair in memory.

``OSError`` ends here and becomes the runtime's own errors.
"""
