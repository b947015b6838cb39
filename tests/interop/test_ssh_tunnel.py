"""SSH: what is run, beside what virsh runs, and a session through a real sshd on loopback."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest
from interop.daemons import DEADLINE, Libvirtd, virsh
from interop.sshd import Sshd

from rpcgen import libvirt
from rpcgen.examples.hypervisor.hypervisor import Hypervisor
from rpcgen.libvirt.sockets import address
from rpcgen.libvirt.uri import UriError, parse
from rpcgen.runtime import Call, ConnectionClosed, Server

URIS = [
    "test+ssh://host/default?proxy=netcat",
    "test+ssh://fred@host:2222/default?no_tty=1&keyfile=/k%20y&socket=/s&proxy=netcat",
    "test+ssh://host/default?no_verify=1&no_tty=0&proxy=netcat",
    "qemu+ssh://host/system?x=1",
    "qemu+ssh://host/system?proxy=native",
    "qemu+ssh://host/system?proxy=native&no_sanity=1&foo=a%27b",
    "qemu+ssh://host/system?netcat=/opt/my%20nc",
    "qemu+ssh://host/system?netcat=/opt/m'nc",
    "qemu+ssh://host/system?netcat=/opt/m%22nc",
    "qemu+ssh://host/system?proxy=auto&netcat=nc2",
    "qemu+ssh://host/system?netcat=",
    "qemu+ssh://host/system?proxy=auto&netcat=",
    "qemu+ssh://host/system?socket=/s",
    "qemu+ssh://host/system?socket=/s&netcat=nc2",
    "qemu+ssh://host/system?proxy=auto&socket=/s",
    "qemu+ssh://host/system?proxy=auto&socket=/s&netcat=nc2",
    "qemu+ssh://host/system?proxy=native&socket=/s",
    "qemu+ssh://[::1]:22/system",
    "remote+ssh:///?proxy=native",
    "test+ssh://host/a%20b;c?proxy=native",
]

_RECORDER = """#!{python}
import json, sys
open({path!r}, "w").write(json.dumps(sys.argv[1:]))
"""


@pytest.mark.parametrize("options", [[], ["--readonly"]], ids=["", "readonly"])
@pytest.mark.parametrize("uri", URIS)
def test_ssh_is_run_word_for_word_as_virsh_runs_it(
    uri: str, options: list[str], tmp_path: Path
) -> None:
    record, recorder = tmp_path / "record", tmp_path / "recorder"
    recorder.write_text(_RECORDER.format(python=sys.executable, path=str(record)))
    recorder.chmod(0o700)
    with_recorder = f"{uri}{'&' if '?' in uri else '?'}command={quote(str(recorder))}"
    virsh(with_recorder, *options, "list")
    ours = address(parse(with_recorder), readonly=bool(options), uid=0)
    program, *words = shlex.split(ours.removeprefix("command:"))
    assert program == str(recorder)
    assert words == json.loads(record.read_text())


@pytest.mark.parametrize("netcat", ["nc", ""])
def test_a_netcat_for_the_native_proxy_is_refused_as_by_virsh(netcat: str) -> None:
    uri = f"qemu+ssh://host/system?proxy=native&command=/bin/false&netcat={netcat}"
    assert "netcat path not valid with native proxy mode" in virsh(uri, "list").stderr
    with pytest.raises(UriError, match="parameter netcat"):
        address(parse(uri))


def test_a_socket_with_a_space_reaches_the_far_side_whole() -> None:
    # libvirt does not quote it: there the script is given two words.
    uri = parse("qemu+ssh://host/system?proxy=netcat&netcat=echo&socket=/a%20'b")
    script = shlex.split(address(uri).removeprefix("command:"))[-1]
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "-U /a 'b"


def test_a_session_through_sshd(libvirtd: Libvirtd, sshd: Sshd) -> None:
    uri = f"{sshd.uri}/default?{sshd.parameters}&socket={libvirtd.socket}"
    with libvirt.open(uri, timeout=DEADLINE) as session:
        assert session.remote.domain_lookup_by_name("test").name == "test"


class Qemu(Hypervisor):
    """The embedded hypervisor, under the name of the usual one."""

    def connect_open(self, call: Call, name: str | None, flags: int) -> None:
        super().connect_open(call, None if name == "qemu:///system" else name, flags)


@pytest.mark.parametrize("proxy", ["netcat", "native", "auto"])
def test_virsh_and_our_session_through_sshd_to_our_server(
    proxy: str, sshd: Sshd, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "rpcgen").mkdir()
    helper = tmp_path / "bin/virt-ssh-helper"
    helper.write_text(f"""#!/bin/sh
touch {tmp_path}/called
PYTHONPATH={":".join(sys.path)} exec {sys.executable} -m rpcgen.libvirt.sshhelper "$@"
""")
    helper.chmod(0o700)
    with (
        TemporaryDirectory(prefix="rpc") as folder,
        Server([Qemu()], listen=[f"unix://{folder}/s"]),
    ):
        (tmp_path / "rpcgen/ssh-helper.toml").write_text(f'socket = "{folder}/s"\n')
        place = f"&socket={folder}/s" if proxy == "netcat" else ""
        parameters = sshd.parameters.replace("proxy=netcat", f"proxy={proxy}")
        uri = f"{sshd.uri.replace('test+', 'qemu+')}/system?{parameters}{place}"
        done = virsh(uri, "list", "--name")
        with libvirt.open(uri, timeout=DEADLINE) as session:
            (domain,) = session.remote.connect_list_all_domains(1, 0).domains
            assert domain.name == "test"
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["test"], "")
    assert (tmp_path / "called").exists() is (proxy != "netcat")


def test_an_unknown_host_is_refused_in_the_words_of_ssh(sshd: Sshd) -> None:
    sshd.known_hosts.write_text("")
    with pytest.raises(ConnectionClosed, match="Host key verification failed"):
        libvirt.open(f"{sshd.uri}/default?{sshd.parameters}&socket=/s", timeout=DEADLINE)
