"""docs/daemon.md, done as it says: from an empty folder to a daemon that serves, reloads and ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

from daemon.starting import DEADLINE, Notified

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/daemon.md").read_text()
FILES = dict(re.findall(r"```\w+ (\S+)\n(.*?)```", PAGE, re.DOTALL))
"""What the page has the reader write."""

CLIENT = """
import sys
from greeter.client import GreeterV1Client
from rpcgen.runtime import connect

with connect(f"unix://{sys.argv[1]}") as connection:
    print(GreeterV1Client(connection).greet("Ada", timeout=10))
"""


def test_the_files_that_it_names() -> None:
    greeter, hyperd = {"greeter.x", "greeterd.py", "greeterd.toml"}, {"hyperd.py", "hyperd.toml"}
    assert FILES.keys() == greeter | hyperd


def test_it_serves_reloads_and_ends(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    run(tmp_path, "-m", "rpcgen", "generate", "greeter.x")
    notified = Notified(tmp_path / "n")
    command = [sys.executable, "-W", "error", "-c", program(tmp_path), "-f", "greeterd.toml"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.PIPE, text=True
    ) as daemon:
        try:
            assert notified.next() == "READY"
            folder = tmp_path / "greeterd"
            assert greet(tmp_path) == "Good day, Ada!\n"
            (tmp_path / "greeterd.toml").write_text("")
            daemon.send_signal(signal.SIGHUP)
            assert notified.next().startswith("RELOADING")
            assert notified.next() == "READY"
            assert greet(tmp_path) == "Hello, Ada!\n"
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(DEADLINE) == 0
            assert list(folder.iterdir()) == []
        finally:
            daemon.kill()
            notified.close()


def test_its_keys_are_all_there_are() -> None:
    from rpcgen.runtime.daemon.keys import DAEMON_KEYS, SERVER_KEYS

    shown = tomllib.loads(FILES["greeterd.toml"])
    assert shown["servers"]["greeterd"].keys() == SERVER_KEYS.keys()
    assert shown.keys() - {"servers", "greeting"} == DAEMON_KEYS.keys()


def test_its_keys_for_logins_are_all_there_are() -> None:
    from rpcgen.runtime.daemon.loginkeys import LOGIN_KEYS

    shown = re.sub("^# ", "", FILES["hyperd.toml"], flags=re.MULTILINE)
    assert tomllib.loads(shown)["servers"]["hyperd"].keys() == LOGIN_KEYS.keys()


def program(folder: Path) -> str:
    """The page's program for a user, not for the system, whoever we are."""
    source = (folder / "greeterd.py").read_text()
    return source.replace('run_folder("greeterd")', 'run_folder("greeterd", privileged=False)')


def greet(folder: Path) -> str:
    return run(folder, "-c", CLIENT, f"{folder}/greeterd/sock")


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "XDG_RUNTIME_DIR": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "NOTIFY_SOCKET": str(folder / "n"),
        "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
    }
