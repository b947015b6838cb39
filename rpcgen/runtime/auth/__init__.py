"""Who is on the other end: SASL for both sides, the server's users, and a client's ``auth.conf``.

Everything here is bytes in and bytes out. What carries them, the procedures of libvirt's remote
program and the stream below them, is another matter.
"""
