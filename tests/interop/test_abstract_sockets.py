"""Names in Linux's abstract space, which libvirt pads to their full length: virsh finds ours."""

from __future__ import annotations

import os

from interop.daemons import virsh

from rpcgen.examples.hypervisor.hypervisor import Hypervisor
from rpcgen.runtime import Server


def test_virsh_finds_a_server_at_an_abstract_name() -> None:
    name = f"@rpcgen-abstract-{os.getpid()}"
    with Server([Hypervisor()], listen=[f"unix://{name}"]):
        done = virsh(f"test+unix:///default?socket={name}", "list", "--name")
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["test"], "")
