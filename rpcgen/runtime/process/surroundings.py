"""What a daemon sets up around itself: file modes, its run folder, descriptors, who it is.

Each function does one thing, checks that it is done, and knows nothing of the others; their
order is the daemon's: descriptors and pidfile before privileges are dropped, folders and files after
the umask is set.
"""

from __future__ import annotations

import grp
import os
import pwd
import resource
import stat
from contextlib import suppress

from rpcgen.runtime.errors import ProcessError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

UMASK: Final = 0o022
"""What libvirt's daemons run with: nobody else writes to what they make."""

RUN: Final = "/run"
"""Where the system's daemons have their sockets and state (``RUNSTATEDIR``)."""

_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def set_umask(mask: int = UMASK) -> int:
    """Take permissions away from all files that this process makes from now on.

    It is the whole process's: threads that make files at the same time have it, too.

    Returns:
        The one before.
    """
    return os.umask(mask)


def run_folder(name: str, *, privileged: bool | None = None, base: str = RUN) -> str:
    """The folder of a daemon's sockets and state, which is made if it is not there.

    Args:
        name: of the daemon, or of what it belongs to (``libvirt``).
        privileged: whether it is the system's: ``base`` and the name, with mode 0755. None for
            whether we are root. Otherwise it is the user's: in ``user_runtime_directory``, with
            mode 0700.
        base: where the system's is.

    Returns:
        Its path.

    Raises:
        ProcessError: the name is none of a folder; or what is there is no folder, another
            user's, or others can write to it, and so could put their sockets in place of ours.
        OSError: it cannot be made.
    """
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ProcessError(f"expected the name of a folder, got {name!r}")
    if privileged is None:
        privileged = os.geteuid() == 0
    if privileged:
        path, mode = os.path.join(base, name), 0o755
    else:
        path, mode = os.path.join(user_runtime_directory(), name), 0o700
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    _make(path, mode)
    _check_folder(path)
    return path


def user_runtime_directory() -> str:
    """``$XDG_RUNTIME_DIR``, or where that is not set ``$XDG_CACHE_HOME``, or ``~/.cache``."""
    for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
        # One that is not absolute is to be ignored (XDG Base Directory Specification).
        if os.path.isabs(value := os.environ.get(name, "")):
            return value
    return os.path.expanduser("~/.cache")


def _make(path: str, mode: int) -> None:
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return
    os.chmod(path, mode)  # whatever the umask is


def _check_folder(path: str) -> None:
    status = os.lstat(path)  # a link leads to where its maker wants
    if not stat.S_ISDIR(status.st_mode):
        raise ProcessError(f"{path}: expected a folder")
    if status.st_uid not in (0, os.geteuid()):
        raise ProcessError(f"{path}: expected to own it, it is user {status.st_uid}'s")
    if status.st_mode & _OTHERS_WRITE:
        mode = stat.S_IMODE(status.st_mode)
        raise ProcessError(f"{path}: others can write to it (mode {mode:#o})")


def raise_descriptor_limit(wanted: int | None = None) -> int:
    """Let this process have more descriptors: one for each client (``RLIMIT_NOFILE``).

    It raises the soft limit only and lowers nothing. Children inherit it: one that uses
    ``select(2)`` cannot have more than 1,024.

    Args:
        wanted: how many; None for as many as the hard limit allows, as libvirt's daemons do.

    Returns:
        How many there are now.

    Raises:
        ProcessError: the hard limit is lower than ``wanted``, or the system has a lower one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = hard if wanted is None else wanted
    if _exceeds(target, hard):
        raise ProcessError(f"expected at least {target} descriptors, the hard limit is {hard}")
    if not _exceeds(target, soft):
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    except (OSError, ValueError) as error:
        raise ProcessError(f"the system does not allow {target} descriptors: {error}") from error
    return target


def _exceeds(a: int, b: int) -> bool:
    if b == resource.RLIM_INFINITY:
        return False
    return a == resource.RLIM_INFINITY or a > b


def forbid_core_dumps() -> None:
    """Have no core of this process written, nor of its children: it would have keys and passwords in it.

    The limit is 1 byte: less than any file of a core, and Linux's sign for none where cores go to a
    program (``|`` in ``core_pattern``), to which a limit of 0 means nothing.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    most = 0 if hard == 0 else 1
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


def drop_privileges(user: str | int, group: str | int | None = None) -> None:
    """Become another user for good: groups first, then the group, then the user.

    All of the real, effective and saved ids change, so root's rights do not come back; that is
    tried out. Call it before there are threads. Open before it what only root may open. ``HOME``
    and ``XDG_RUNTIME_DIR`` stay what they are.

    Args:
        user: by name or uid; its supplementary groups are those of the system's database, none
            where it does not know the uid.
        group: by name or gid; None for the user's own.

    Raises:
        ProcessError: no such user or group, no right to change, or the way back is open. The
            process is in no state to go on with then.
    """
    entry = _user(user)
    uid = entry.pw_uid if entry else int(user)
    gid = _gid(group, entry, user)
    try:
        groups = os.getgrouplist(entry.pw_name, gid) if entry else [gid]
        _change(uid, gid, groups)
    except OSError as error:
        raise ProcessError(
            f"cannot become user {user} ({uid}) and group {gid}: {error.strerror}"
        ) from error
    _check_ids(uid, gid, groups)


def _user(user: str | int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
    except KeyError:
        if isinstance(user, int):
            return None
        raise ProcessError(f"no such user: {user!r}") from None


def _gid(group: str | int | None, entry: pwd.struct_passwd | None, user: str | int) -> int:
    if isinstance(group, int):
        return group
    if group is None:
        if entry:
            return entry.pw_gid
        raise ProcessError(f"user {user} is not known to the system: expected a group, got none")
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ProcessError(f"no such group: {group!r}") from None


def _change(uid: int, gid: int, groups: list[int]) -> None:
    # An ordinary user may set no groups, and need not if it has them: it becomes itself.
    if sorted(os.getgroups()) != sorted(groups):
        os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _check_ids(uid: int, gid: int, groups: list[int]) -> None:
    if os.getresuid() != (uid,) * 3 or os.getresgid() != (gid,) * 3:
        raise ProcessError(
            f"expected to be user {uid} and group {gid}, something is left of before"
        )
    if not {*os.getgroups()} <= {*groups, gid}:
        raise ProcessError(f"expected the groups {groups}, got {os.getgroups()}")
    if uid == 0:
        return
    for change, now in ((os.setuid, uid), (os.setgid, gid)):
        with suppress(PermissionError):
            change(0)
            if now:
                raise ProcessError("privileges were dropped, and could be got back")
