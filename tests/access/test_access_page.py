"""docs/access.md, done as it says: a server whose rules decide, are reloaded, and are refused if wrong."""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from rpcgen.runtime import Identity, RemoteError, connect
from rpcgen.runtime.access import Permission, Rules, RulesError
from rpcgen.runtime.program import VOID, Procedure, Program

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/access.md").read_text()
FILES = dict(re.findall(r"```\w+ (\S+)\n(.*?)```", PAGE, re.DOTALL))
"""What the page has the reader write."""

RULES = PAGE.partition("| Key of a rule |")[2].partition("\n\n")[0]
"""The table of keys."""

DENIED = VirErrorNumber.VIR_ERR_ACCESS_DENIED
NAME = pwd.getpwuid(os.getuid()).pw_name

DEADLINE = 30.0
"""Seconds for what takes a moment."""


def test_the_files_that_it_names() -> None:
    assert FILES.keys() == {"heating.x", "heatingd.py", "access.toml"}


def test_its_rules_decide_and_are_reloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    generate = [sys.executable, "-W", "error", "-m", "rpcgen", "generate", "heating.x"]
    subprocess.run(generate, cwd=tmp_path, check=True, capture_output=True, timeout=DEADLINE)
    monkeypatch.syspath_prepend(tmp_path)
    client_of = import_module("heating.client").HeatingV1Client
    text, me = FILES["access.toml"], f"uid = {os.getuid()}"
    open_to_me = text.replace('user = "root"', me)
    with serving(tmp_path) as server, connect(f"unix://{tmp_path}/s") as connection:
        client = client_of(connection)
        for rules, told, seen in (
            (open_to_me, "reloaded", [None, None, [21, 12]]),
            (open_to_me.replace('sasl = "trainee@*"', me), "reloaded", [None, DENIED, [20, 12]]),
            (
                open_to_me.replace(me, f"uid = {os.getuid() + 1}"),
                "reloaded",
                [DENIED, DENIED, [20, 12]],
            ),
            (
                text.replace('"trainee@*"', "7"),
                shown(r"access\.toml: "),
                [DENIED, DENIED, [20, 12]],
            ),
            ('[[rules]]\nallow = "heating:*"\n', "reloaded", [DENIED, DENIED, []]),
        ):
            (tmp_path / "access.toml").write_text(rules)
            server.send_signal(signal.SIGHUP)
            assert next_line(server) == told
            assert use(client) == seen
        with pytest.raises(RemoteError, match=shown("access denied: '")):
            client.set("hall", 0, 0, timeout=DEADLINE)
        server.send_signal(signal.SIGTERM)
        assert server.wait(DEADLINE) == 0
        assert server.stderr
        lines = server.stderr.read().splitlines()
    needs = [line.partition(": uid=")[0].rpartition(" ")[2] for line in lines]
    assert needs == ["room:save", *["room:write"] * 7]
    assert re.sub("=[0-9]+", "=N", lines[1]) == re.sub(
        "=[0-9]+", "=N", shown("access denied: SET ")
    )


def use(client: Any) -> list[object]:
    """What comes of setting a room, of setting it for long, and of looking."""
    answers: list[object] = []
    for flags in (0, 1):
        try:
            answers.append(client.set("hall", 20 + flags, flags, timeout=DEADLINE))
        except RemoteError as error:
            answers.append(error.code)
    return [*answers, [room.degrees for room in client.list_rooms(timeout=DEADLINE)]]


def test_its_keys_are_all_there_are() -> None:
    """A key that the page does not have is unknown."""
    keys = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", RULES, re.MULTILINE))))
    assert keys == {"allow", "deny", "uid", "gid", "user", "certificate", "sasl"}
    whole = {"uid": 0, "gid": 0, "user": NAME}
    for key in keys - {"allow", "deny"}:
        Rules({"rules": [{"allow": "a:b", key: whole.get(key, "*")}]})
    with pytest.raises(RulesError, match=r"rules\[0\]\.group: unknown key"):
        Rules({"rules": [{"allow": "a:b", "group": 0}]})


def test_its_own_policy() -> None:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102  (the page's)
    procedure: Procedure[Any, Any] = Procedure(Program("P", 1, 1), 1, "P", "p", VOID, VOID)
    for uid, name, allowed in ((1000, "write", True), (7, "write", False), (7, "read", True)):
        permission = Permission("room", name, procedure)
        assert names["OwnUser"]().is_allowed(Identity(uid=uid), permission) is allowed


def test_its_key_of_a_daemon() -> None:
    (source,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert tomllib.loads(source)["servers"]["heatingd"].keys() == {"access_file"}


def shown(begin: str) -> str:
    """The line of the page that begins so."""
    (line,) = re.findall(f"^{begin}.*$", PAGE, re.MULTILINE)
    return str(line)


def next_line(process: subprocess.Popen[str]) -> str:
    """The next line that a program writes; empty if it has ended."""
    assert process.stdout
    return process.stdout.readline().rstrip("\n")


@contextmanager
def serving(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The page's program, once it serves."""
    arguments = ["-W", "error", "heatingd.py", f"unix://{folder}/s", "access.toml"]
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert next_line(process) == "ready"
            yield process
        finally:
            process.kill()
