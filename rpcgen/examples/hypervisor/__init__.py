"""A hypervisor without virtual machines: libvirt's remote program, answered from memory.

What can be tried against ``libvirtd`` can be tried against this one, with no libvirt installed:
domains, snapshots, networks, storage with contents, a screen, a console and events, all of it
simulated and forgotten at the end. ``python -m rpcgen.examples.hypervisor`` runs it; the class
is ``hypervisor.Hypervisor``.
"""
