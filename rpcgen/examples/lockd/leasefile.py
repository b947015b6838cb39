"""The file that stands for a resource, open and locked for as long as there is a lease on it.

A lock on byte 0 keeps other daemons out, ours and virtlockd. Who the owners are, and which of them
agree with each other, is not known here.
"""

from __future__ import annotations

import logging
import os
from typing import Final

from rpcgen.runtime.process import LockBusy, RangeLock, lock_file, lock_range

_logger = logging.getLogger(__name__)

LENGTH: Final = 1
"""Bytes that are locked, from 0 on, as virtlockd does it."""

MODE: Final = 0o600
"""Permissions of a file that is made for a lease: what is in a lock space is the daemon's."""


class LeaseFile:
    """A locked file.

    Attributes:
        path: its path.
        fd: the descriptor that has the lock.
    """

    __slots__ = ("_is_adopted", "_lock", "path")

    def __init__(self, path: str, lock: RangeLock, *, is_adopted: bool = False) -> None:
        self.path = path
        self._lock = lock
        self._is_adopted = is_adopted

    @classmethod
    def open(cls, path: str, *, shared: bool, create: bool) -> LeaseFile:
        """Lock a file, at once or not at all.

        Whoever had it before may have removed it meanwhile: then it is the file that is there now.

        Raises:
            LockBusy: another daemon has it, or this one under another name.
            ProcessError: no regular file.
            OSError: the file cannot be opened.
        """
        # Writable even if it is to be shared: the last owner may want to have it alone.
        lock = lock_file(
            path,
            shared=shared,
            wait=False,
            length=LENGTH,
            create=create,
            mode=MODE,
            flags=os.O_RDWR,
        )
        return cls(path, lock)

    @classmethod
    def adopt(cls, path: str, fd: int, *, shared: bool) -> LeaseFile:
        """Go on with a descriptor that was locked before this process executed a new program.

        Raises:
            LockBusy: it was not, and another process has the lock; or it is the second descriptor
                on one file, and closing it would cost the first its lock.
            OSError: it is no such descriptor.
        """
        os.set_inheritable(fd, False)
        lock = lock_range(fd, shared=shared, wait=False, length=LENGTH)
        return cls(path, lock, is_adopted=True)

    @property
    def fd(self) -> int:
        return self._lock.fd

    def close(self, *, remove: bool) -> None:
        """Unlock the file.

        Args:
            remove: delete it before that, unless other daemons share it.
        """
        try:
            if remove and self._is_ours_alone() and self._is_current():
                os.unlink(self.path)
        except OSError as error:
            _logger.warning("%s: cannot be removed: %s", self.path, error.strerror)
        finally:
            self._lock.release()
            if self._is_adopted:
                os.close(self._lock.fd)

    def _is_ours_alone(self) -> bool:
        if self._lock.is_shared:
            try:
                self._lock.change(shared=False, wait=False)
            except LockBusy:
                return False
        return True

    def _is_current(self) -> bool:
        """Whether the path still leads to the file that is locked."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self.fd))
        except FileNotFoundError:
            return False
