"""A lock daemon with the protocol of libvirt's virtlockd: ``python -m rpcgen.examples.lockd --listen unix:///...``."""
