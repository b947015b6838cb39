"""TLS as libvirt has it: files, checks of certificates, handshake and confirmation, the stream inside.

The only place where ``ssl`` and ``cryptography`` are seen. What travels inside is not known here.
"""
