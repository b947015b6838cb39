"""What a daemon sets up around itself, seen from outside: in children, for it cannot be taken back."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
from process.kit import run

from rpcgen.runtime.errors import ProcessError
from rpcgen.runtime.process.surroundings import (
    drop_privileges,
    raise_descriptor_limit,
    run_folder,
    set_umask,
    user_runtime_directory,
)

HEAD = """
import os, resource, sys
from rpcgen.runtime.process.surroundings import *
from rpcgen.runtime.errors import ProcessError
def attempt(call, *arguments):
    try:
        return call(*arguments)
    except (OSError, ProcessError) as error:
        return f"{type(error).__name__}: {error}"
"""

NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to drop")


# File modes


def test_the_umask_is_for_what_is_made_later(tmp_path: Path) -> None:
    source = """
os.umask(0o077)
print(oct(set_umask()))
open(sys.argv[1], "w").close()
os.umask(0)
print(oct(set_umask(0o027)))
open(sys.argv[2], "w").close()
"""
    assert run(HEAD + source, tmp_path / "a", tmp_path / "b") == "0o77\n0o0\n"
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "ab"] == [0o644, 0o640]


# Folders


def test_the_systems_folder_is_open_for_reading(tmp_path: Path) -> None:
    before = set_umask(0o077)
    try:
        path = run_folder("x", privileged=True, base=str(tmp_path))
    finally:
        set_umask(before)
    assert path == str(tmp_path / "x")
    assert (tmp_path / "x").stat().st_mode & 0o7777 == 0o755
    assert run_folder("x", privileged=True, base=str(tmp_path)) == path


def test_a_users_folder_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    path = run_folder("x", privileged=False)
    assert path == str(tmp_path / "run/x")
    assert [one.stat().st_mode & 0o7777 for one in (tmp_path / "run", Path(path))] == [0o700] * 2


def test_who_is_privileged_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "user"))
    expected = tmp_path / ("x" if os.geteuid() == 0 else "user/x")
    assert run_folder("x", base=str(tmp_path)) == str(expected)


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"XDG_RUNTIME_DIR": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_RUNTIME_DIR": "relative", "XDG_CACHE_HOME": "/b"}, "/b"),
        ({"XDG_RUNTIME_DIR": "", "HOME": "/c"}, "/c/.cache"),
    ],
)
def test_where_a_users_folder_is(
    environ: dict[str, str], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert user_runtime_directory() == path


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0"])
def test_a_name_is_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="expected the name of a folder"):
        run_folder(name, privileged=True, base=str(tmp_path))


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o1777])
def test_a_folder_that_others_write_to_is_refused(mode: int, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x").chmod(mode)
    with pytest.raises(ProcessError, match=rf"x: others can write to it \(mode {mode:#o}\)"):
        run_folder("x", privileged=True, base=str(tmp_path))


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "x").symlink_to(tmp_path / "target")
    with pytest.raises(ProcessError, match="x: expected a folder"):
        run_folder("x", privileged=True, base=str(tmp_path))


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(ProcessError, match="x: expected a folder"):
        run_folder("x", privileged=True, base=str(tmp_path))


def test_another_users_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").mkdir()
    owner = os.geteuid()
    if owner == 0:
        owner = NOBODY
        os.chown(tmp_path / "x", NOBODY, NOBODY)
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    with pytest.raises(ProcessError, match=f"x: expected to own it, it is user {owner}'s"):
        run_folder("x", privileged=True, base=str(tmp_path))


def test_a_folder_that_cannot_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_folder("x", privileged=True, base=str(tmp_path / "nowhere"))


# Descriptors


def limits(soft: int, hard: int) -> str:
    return f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"


@pytest.mark.parametrize(
    ("wanted", "answer", "after"),
    [
        ("None", "300", "(300, 300)"),
        ("200", "200", "(200, 300)"),
        ("100", "100", "(100, 300)"),
        ("50", "100", "(100, 300)"),
        ("301", "ProcessError: expected at least 301 desc.*, the hard limit is 300", "(100, 300)"),
        ("-1", "ProcessError: expected at least -1 desc.*, the hard limit is 300", "(100, 300)"),
    ],
)
def test_the_limit_is_raised_and_never_lowered(wanted: str, answer: str, after: str) -> None:
    source = f"""
print(attempt(raise_descriptor_limit, {wanted}))
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    said = run(HEAD + limits(100, 300) + source).splitlines()
    assert said[1] == after
    assert said[0] == answer or said[0].startswith(answer.partition(" desc")[0])


def test_what_the_system_refuses_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr("resource.getrlimit", lambda _: (10, resource.RLIM_INFINITY))
    monkeypatch.setattr("resource.setrlimit", refuse)
    with pytest.raises(ProcessError, match="does not allow 20 descriptors: not allowed to raise"):
        raise_descriptor_limit(20)


# Privileges


@as_root
def test_privileges_are_gone_for_good() -> None:
    source = f"""
drop_privileges({NOBODY}, {NOBODY})
print(os.getresuid(), os.getresgid(), os.getgroups())
for call in (os.setuid, os.seteuid, os.setgid, os.setegid):
    print(attempt(call, 0))
print(attempt(os.setgroups, [0]))
"""
    said = run(HEAD + "os.setgroups([0, 1, 2])\n" + source).splitlines()
    assert said[0] == f"({NOBODY}, {NOBODY}, {NOBODY}) ({NOBODY}, {NOBODY}, {NOBODY}) [{NOBODY}]"
    assert said[1:] == ["PermissionError: [Errno 1] Operation not permitted"] * 5


@as_root
def test_names_are_looked_up() -> None:
    source = """
import grp, pwd
drop_privileges("nobody", "daemon")
user, group = pwd.getpwnam("nobody"), grp.getgrnam("daemon")
print(os.getuid() == user.pw_uid, os.getgid() == group.gr_gid, 0 in os.getgroups())
"""
    assert run(HEAD + source) == "True True False\n"


@as_root
def test_a_user_without_a_name_needs_a_group() -> None:
    source = """
print(attempt(drop_privileges, 4000123))
drop_privileges(4000123, 4000124)
print(os.getresuid(), os.getresgid(), os.getgroups())
"""
    first, second = run(HEAD + source).splitlines()
    assert first == (
        "ProcessError: user 4000123 is not known to the system: expected a group, got none"
    )
    assert second == "(4000123, 4000123, 4000123) (4000124, 4000124, 4000124) [4000124]"


@as_root
def test_root_in_the_group_of_root_is_no_way_back() -> None:
    assert run(HEAD + f"drop_privileges({NOBODY}, 0)\nprint(os.getresgid())") == "(0, 0, 0)\n"


@as_root
def test_a_way_back_is_found() -> None:
    source = f"""
os.setresuid = lambda *_: None
print(attempt(drop_privileges, {NOBODY}, {NOBODY}))
from rpcgen.runtime.process import surroundings
os.getresuid = lambda: ({NOBODY},) * 3
print(attempt(drop_privileges, {NOBODY}, {NOBODY}))
"""
    assert run(HEAD + source).splitlines() == [
        f"ProcessError: expected to be user {NOBODY} and group {NOBODY}, something is left of before",
        "ProcessError: privileges were dropped, and could be got back",
    ]


@as_root
def test_groups_that_stay_are_found() -> None:
    source = f"""
os.setgroups([0, 5])
os.setgroups = lambda _: None
print(attempt(drop_privileges, {NOBODY}, {NOBODY}))
"""
    assert "expected the groups [65534], got [0, 5]" in run(HEAD + source)


@as_root
@pytest.mark.parametrize("user", [-1, 2**32 - 1])
def test_no_number_means_stay_as_you_are(user: int) -> None:
    """C's functions take -1 for that."""
    said = run(HEAD + f"print(attempt(drop_privileges, {user}, {NOBODY}))")
    assert said.startswith("ProcessError: ")


@pytest.mark.parametrize(
    ("user", "group", "words"),
    [
        ("no such", None, "no such user: 'no such'"),
        (0, "no such", "no such group: 'no such'"),
    ],
)
def test_an_unknown_name_is_said(user: str | int, group: str | None, words: str) -> None:
    with pytest.raises(ProcessError, match=words):
        drop_privileges(user, group)


def test_an_ordinary_user_becomes_nobody_else() -> None:
    source = """
if os.geteuid() == 0:
    drop_privileges(65534, 65534)
uid, gid = os.getuid(), os.getgid()
print(attempt(drop_privileges, uid + 1, gid).removeprefix(f"ProcessError: cannot become user {uid + 1} "))
print(os.getuid() == uid)
"""
    first, second = run(HEAD + source).splitlines()
    assert first.endswith(": Operation not permitted")
    assert second == "True"
