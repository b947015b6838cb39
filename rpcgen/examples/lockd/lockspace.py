"""A lock space: resources by name, and who has leases on them.

It is used by one thread. What clients may do, and their errors about lock spaces that are not
there, are decided elsewhere.
"""

from __future__ import annotations

import errno
import os
from enum import IntFlag
from pathlib import Path
from typing import Final

from libvirt_rpc.libvirt_common.types import VirErrorDomain
from rpcgen.examples.lockd import errors
from rpcgen.examples.lockd.leasefile import MODE, LeaseFile
from rpcgen.examples.lockd.saved import SavedLease, SavedLockspace
from rpcgen.runtime.process import LockBusy, ProcessError

DIRECTORY_MODE: Final = 0o700
"""Permissions of a directory that is made for a lock space."""


class Acquire(IntFlag):
    """How a lease is acquired (virLockSpaceAcquireFlags)."""

    SHARED = 1
    AUTOCREATE = 2


class Lease:
    """A resource that is locked.

    Attributes:
        flags: of the first acquisition.
        owners: pids; one that has acquired it twice is there twice.
    """

    __slots__ = ("file", "flags", "owners")

    def __init__(self, file: LeaseFile, flags: int, owners: list[int]) -> None:
        self.file = file
        self.flags = flags
        self.owners = owners

    def close(self) -> None:
        """Let others have it."""
        self.file.close(remove=bool(self.flags & Acquire.AUTOCREATE))


class Lockspace:
    """A directory of resources, or none: then names are full paths.

    Attributes:
        directory: its path, made if it is not there.

    Raises:
        RemoteError: the directory cannot be made, or is none.
    """

    def __init__(self, directory: str | None = None) -> None:
        self.directory = directory
        self._leases: dict[str, Lease] = {}
        if directory is not None:
            _make_directory(directory)

    def create(self, name: str) -> None:
        """Make the file of a resource, unless it is there.

        Raises:
            RemoteError: somebody has a lease on it, or the file cannot be made.
        """
        self._refuse_locked(name)
        path = self._path(name)
        try:
            _touch(path)
        except OSError as error:
            what, domain = f"cannot create file '{path}'", VirErrorDomain.VIR_FROM_NONE
            raise errors.system_error(error, what, domain) from None

    def delete(self, name: str) -> None:
        """Remove the file of a resource, if there is one.

        Raises:
            RemoteError: somebody has a lease on it, or the file cannot be removed.
        """
        self._refuse_locked(name)
        path = self._path(name)
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            what = f"Unable to delete lockspace resource {path}"
            raise errors.system_error(error, what) from None

    def acquire(self, name: str, owner: int, flags: int) -> None:
        """Take a lease, at once or not at all.

        Args:
            owner: a pid.
            flags: of ``Acquire``.

        Raises:
            RemoteError: others have one, here or in another daemon, and both are not shared; or
                the file cannot be opened.
        """
        lease = self._leases.get(name)
        if lease is None:
            file = self._open(name, flags)
            self._leases[name] = Lease(file, flags, [owner])
        elif lease.flags & flags & Acquire.SHARED:
            lease.owners.append(owner)
        else:
            raise errors.is_locked(name)

    def release(self, name: str, owner: int) -> None:
        """Give a lease back; the file is unlocked with the last one.

        Raises:
            RemoteError: nobody has one, or others do.
        """
        lease = self._leases.get(name)
        if lease is None:
            raise errors.is_not_locked(name)
        if owner not in lease.owners:
            raise errors.not_owner(owner)
        lease.owners.remove(owner)
        self._close_unowned(name)

    def forget(self, owner: int) -> int:
        """Give back all leases of an owner; how many it had."""
        found = [name for name, lease in self._leases.items() if owner in lease.owners]
        for name in found:
            lease = self._leases[name]
            lease.owners = [pid for pid in lease.owners if pid != owner]
            self._close_unowned(name)
        return len(found)

    def save(self) -> SavedLockspace:
        """Itself, for another program that this process is going to execute."""
        leases = [
            SavedLease(
                name, lease.file.path, lease.file.fd, True, int(lease.flags), list(lease.owners)
            )
            for name, lease in self._leases.items()
        ]
        return SavedLockspace(self.directory, leases)

    def descriptors(self) -> list[int]:
        """Those of all leases."""
        return [lease.file.fd for lease in self._leases.values()]

    @classmethod
    def restore(cls, saved: SavedLockspace) -> Lockspace:
        """Go on where another program stopped.

        Raises:
            LockBusy, OSError: as with ``LeaseFile.adopt``.
        """
        space = cls()
        space.directory = saved.directory  # which may be gone, as a lock does not need it
        for one in saved.leases:
            shared = bool(one.flags & Acquire.SHARED)
            file = LeaseFile.adopt(one.path, one.fd, shared=shared)
            space._leases[one.name] = Lease(file, one.flags, list(one.owners))
        return space

    def _path(self, name: str) -> str:
        return name if self.directory is None else f"{self.directory}/{name}"

    def _refuse_locked(self, name: str) -> None:
        if name in self._leases:
            raise errors.is_locked(name)

    def _open(self, name: str, flags: int) -> LeaseFile:
        path, create = self._path(name), bool(flags & Acquire.AUTOCREATE)
        try:
            return LeaseFile.open(path, shared=bool(flags & Acquire.SHARED), create=create)
        except LockBusy:
            raise errors.is_locked(name) from None
        except (OSError, ProcessError) as error:
            verb = "open/create" if create else "open"
            raise errors.not_opened(error, f"Unable to {verb} resource {path}") from None

    def _close_unowned(self, name: str) -> None:
        if not self._leases[name].owners:
            self._leases.pop(name).close()


def _make_directory(path: str) -> None:
    if os.path.exists(path):
        if not os.path.isdir(path):
            raise errors.not_a_directory(path)
        return
    try:
        for one in (*reversed(Path(path).parents), Path(path)):
            if not one.exists():
                one.mkdir(DIRECTORY_MODE)
    except OSError as error:
        raise errors.system_error(error, f"Unable to create lockspace {path}") from None


def _touch(path: str) -> None:
    """Make a file, and open none that is there: to close it would unlock it."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE))
    except FileExistsError:
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
        os.stat(path)  # a link to nowhere
