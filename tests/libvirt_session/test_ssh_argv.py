"""What is run for SSH, word for word, as virsh 9.0.0 was recorded to run it.

The cases are those of libvirt's own socket test that can be told from the command alone.
"""

from __future__ import annotations

import pytest

from rpcgen.libvirt.ssh import ssh_argv
from rpcgen.libvirt.uri import UriError, parse

PLAIN = ["ssh", "-T", "-e", "none", "--", "far"]

CASES = [
    pytest.param(
        "test+ssh://far/default?proxy=netcat",
        False,
        PLAIN,
        "sh -c 'if 'nc' -q 2>&1 | grep \"requires an argument\" >/dev/null 2>&1; then "
        "ARG=-q0;else ARG=;fi;'nc' $ARG -U /run/x/s'",
        id="1 plain host",
    ),
    pytest.param(
        "test+ssh://ann@far:2200/default?proxy=netcat&no_tty=1&no_verify=0",
        False,
        ["ssh", "-p", "2200", "-l", "ann", "-T", "-e", "none", "-o", "BatchMode=yes", "--", "far"],
        "sh -c 'if 'nc' -q 2>&1 | grep \"requires an argument\" >/dev/null 2>&1; then "
        "ARG=-q0;else ARG=;fi;'nc' $ARG -U /run/x/s'",
        id="2 port, user, no terminal",
    ),
    pytest.param(
        "test+ssh://ann@far:2200/default?netcat=netcat&no_tty=0&no_verify=1",
        False,
        [
            *("ssh", "-p", "2200", "-l", "ann", "-T", "-e", "none"),
            *("-o", "StrictHostKeyChecking=no", "--", "far"),
        ],
        "sh -c 'if 'netcat' -q 2>&1 | grep \"requires an argument\" >/dev/null 2>&1; then "
        "ARG=-q0;else ARG=;fi;'netcat' $ARG -U /run/x/s'",
        id="3 no check of the host's key",
    ),
    pytest.param(
        "test+ssh://ann@far/default?proxy=netcat&keyfile=/home/ann/my%20key&no_verify=1",
        False,
        [
            *("ssh", "-l", "ann", "-i", "/home/ann/my key", "-T", "-e", "none"),
            *("-o", "StrictHostKeyChecking=no", "--", "far"),
        ],
        "sh -c 'if 'nc' -q 2>&1 | grep \"requires an argument\" >/dev/null 2>&1; then "
        "ARG=-q0;else ARG=;fi;'nc' $ARG -U /run/x/s'",
        id="6 key file",
    ),
    pytest.param(
        "test+ssh://far/default?netcat=nc%20-4",
        False,
        PLAIN,
        "sh -c 'if '''\\''nc -4'\\'''' -q 2>&1 | grep \"requires an argument\" >/dev/null 2>&1; "
        "then ARG=-q0;else ARG=;fi;'''\\''nc -4'\\'''' $ARG -U /run/x/s'",
        id="7 netcat with a space",
    ),
    pytest.param(
        "test+ssh://far/default?netcat=nc'",
        False,
        PLAIN,
        "sh -c 'if '''\\''nc'\\''\\'\\'''\\'''\\'''' -q 2>&1 | grep \"requires an argument\" "
        ">/dev/null 2>&1; then ARG=-q0;else ARG=;fi;"
        "'''\\''nc'\\''\\'\\'''\\'''\\'''' $ARG -U /run/x/s'",
        id="8 netcat with a single quote",
    ),
    pytest.param(
        "test+ssh://far/default?netcat=nc%22",
        False,
        PLAIN,
        "sh -c 'if '''\\''nc\"'\\'''' -q 2>&1 | grep \"requires an argument\" >/dev/null 2>&1; "
        "then ARG=-q0;else ARG=;fi;'''\\''nc\"'\\'''' $ARG -U /run/x/s'",
        id="9 netcat with a double quote",
    ),
    pytest.param(
        "qemu+ssh://far/system?proxy=auto",
        True,
        PLAIN,
        "sh -c 'which virt-ssh-helper 1>/dev/null 2>&1; if test $? = 0; then"
        "     virt-ssh-helper -r 'qemu:///system'; else    "
        "if 'nc' -q 2>&1 | grep \"requires an argument\" >/dev/null 2>&1; then "
        "ARG=-q0;else ARG=;fi;'nc' $ARG -U /run/x/s; fi'",
        id="10 auto proxy, read-only",
    ),
    pytest.param(
        "qemu+ssh://far/system?proxy=native",
        False,
        PLAIN,
        "sh -c 'virt-ssh-helper 'qemu:///system''",
        id="11 native proxy",
    ),
    pytest.param(
        "qemu+ssh://far/system?socket=/run/x/s",
        False,
        PLAIN,
        "sh -c 'if 'nc' -q 2>&1 | grep \"requires an argument\" >/dev/null 2>&1; then "
        "ARG=-q0;else ARG=;fi;'nc' $ARG -U /run/x/s'",
        id="a socket, of which the helper would not hear",
    ),
    pytest.param(
        "qemu+ssh://far/system?socket=/run/x/s&proxy=auto",
        False,
        PLAIN,
        "sh -c 'which virt-ssh-helper 1>/dev/null 2>&1; if test $? = 0; then"
        "     virt-ssh-helper 'qemu:///system'; else    "
        "if 'nc' -q 2>&1 | grep \"requires an argument\" >/dev/null 2>&1; then "
        "ARG=-q0;else ARG=;fi;'nc' $ARG -U /run/x/s; fi'",
        id="a socket, and the helper all the same",
    ),
    pytest.param(
        "qemu+ssh://far/system?netcat=",
        False,
        PLAIN,
        "sh -c 'if '''\\'''\\'''' -q 2>&1 | grep \"requires an argument\" >/dev/null 2>&1; then "
        "ARG=-q0;else ARG=;fi;'''\\'''\\'''' $ARG -U /run/x/s'",
        id="netcat without a name",
    ),
]


@pytest.mark.parametrize(("uri", "readonly", "words", "script"), CASES)
def test_ssh_is_run_with_these_words(
    uri: str, readonly: bool, words: list[str], script: str
) -> None:
    assert ssh_argv(parse(uri), "/run/x/s", readonly=readonly) == [*words, script]


@pytest.mark.parametrize("netcat", ["nc", ""])
def test_the_native_proxy_takes_no_netcat(netcat: str) -> None:
    with pytest.raises(UriError, match="the native proxy needs none"):
        ssh_argv(parse(f"qemu+ssh://far/system?proxy=native&netcat={netcat}"), "/run/x/s")
