"""TLS by libvirt's rules: where credentials lie, what is checked of certificates, and contexts.

The bytes of a connection are another matter: nothing here that makes credentials opens a socket.
"""
