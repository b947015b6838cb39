"""A daemon with a policy: the rules of its configuration, their errors, and SIGHUP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon.served import PLUS
from daemon.starting import DEADLINE, Started, daemon, process

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from rpcgen.runtime import RemoteError, connect
from rpcgen.runtime.process.daemonize import ExitCode

NAMED = '[servers.served]\naccess_file = "{}"\n'
ALLOW = f'[[rules]]\nallow = "number:*"\nuid = {os.getuid()}\n'
DENY = 'default = "deny"\n'


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "rules.toml"
    file.write_text(ALLOW)
    return file


@pytest.fixture
def started(tmp_path: Path, rules: Path) -> Iterator[Started]:
    """A daemon whose program lets nobody in, and whose configuration does."""
    with daemon(tmp_path, configuration=NAMED.format(rules), access={}) as started:
        yield started


def may(started: Started) -> bool:
    with connect(started.address) as connection:
        try:
            return connection.call(PLUS, 1, DEADLINE) == 2
        except RemoteError as error:
            if error.code != VirErrorNumber.VIR_ERR_ACCESS_DENIED:
                raise
            return False


def test_a_reload_reads_the_rules_again(started: Started, rules: Path) -> None:
    with connect(started.address) as before:
        assert before.call(PLUS, 1, DEADLINE) == 2
        rules.write_text(DENY)
        assert before.call(PLUS, 2, DEADLINE) == 3
        started.reload()
        with pytest.raises(RemoteError, match="access denied"):
            before.call(PLUS, 3, DEADLINE)
    needs = f"access denied: PLUS needs number:plus: uid={os.getuid()}, "
    assert len([line for line in started.log.read_text().splitlines() if needs in line]) == 1
    rules.write_text(ALLOW)
    started.reload()
    assert may(started)


def test_without_the_key_the_programs_policy_counts(started: Started, rules: Path) -> None:
    assert may(started)
    started.reload("")
    assert not may(started)
    started.reload(NAMED.format(rules))
    assert may(started)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ('[[rules]]\nallow = "number"\n', "{rules}: 2: rules[0].allow: expected 'object:perm"),
        ("default = \n", "{rules}: 1: "),
        (None, "{rules}: No such file or directory"),
    ],
)
def test_wrong_rules_change_nothing(
    started: Started, rules: Path, wrong: str | None, reason: str
) -> None:
    rules.unlink() if wrong is None else rules.write_text(wrong)
    started.reload("log_level = 1\n" + NAMED.format(rules))
    place = f"{started.configuration}: 3: servers.served.access_file: "
    assert place + reason.format(rules=rules) in started.log.read_text()
    assert may(started)


@pytest.mark.parametrize(
    ("access", "path", "reason"),
    [
        ({}, "rules.toml", "expected an absolute path, got 'rules.toml'"),
        ({}, "/nonexistent", "/nonexistent: No such file or directory"),
        (
            None,
            "/nonexistent",
            "unknown key: expected one of keepalive_count, keepalive_interval, "
            "max_anonymous_clients, max_client_requests, max_clients, max_workers, min_workers, "
            "priority_workers in servers.served, got 'access_file'",
        ),
    ],
)
def test_a_wrong_key_keeps_it_from_starting(
    tmp_path: Path, access: dict[str, str] | None, path: str, reason: str
) -> None:
    """A server without a policy has no such key: its procedures may not say what they need."""
    file = tmp_path / "c.toml"
    file.write_text(NAMED.format(path))
    with process(tmp_path, configuration=str(file), access=access) as started:
        assert started.ended() == ExitCode.CONFIG
        assert started.process.stderr
        told = started.process.stderr.read()
    assert told == f"ConfigurationError: {file}: 2: servers.served.access_file: {reason}\n"
