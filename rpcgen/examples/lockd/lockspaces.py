"""All lock spaces of a daemon: the default one, and those that clients have made, by path."""

from __future__ import annotations

from rpcgen.examples.lockd import errors
from rpcgen.examples.lockd.lockspace import Lockspace
from rpcgen.examples.lockd.saved import SavedLockspaces


class Lockspaces:
    """Lock spaces by path; the empty path is the default one, in which names are full paths.

    Paths are compared as clients spell them.
    """

    def __init__(self) -> None:
        self._spaces = {"": Lockspace()}

    def at(self, path: str) -> Lockspace:
        """The lock space at a path.

        Raises:
            RemoteError: there is none.
        """
        if path not in self._spaces:
            raise errors.no_lockspace(path)
        return self._spaces[path]

    def add(self, path: str) -> None:
        """Make a lock space.

        Raises:
            RemoteError: there is one, or its directory cannot be made.
        """
        if not path:
            raise errors.default_lockspace_exists()
        if path in self._spaces:
            raise errors.lockspace_exists(path)
        self._spaces[path] = Lockspace(path)

    def ensure(self, path: str) -> None:
        """Make a lock space unless there is one; errors as with ``add``."""
        if path not in self._spaces:
            self.add(path)

    def forget(self, owner: int) -> int:
        """Give back all leases of an owner, a pid; how many it had."""
        return sum(space.forget(owner) for space in self._spaces.values())

    def save(self) -> SavedLockspaces:
        """All of them, for another program that this process is going to execute."""
        default, *others = (space.save() for space in self._spaces.values())
        return SavedLockspaces(default, others)

    def descriptors(self) -> list[int]:
        """Those of all leases: a lock lasts in such a program while they are open."""
        return [fd for space in self._spaces.values() for fd in space.descriptors()]

    @classmethod
    def restore(cls, saved: SavedLockspaces) -> Lockspaces:
        """Go on where another program stopped; errors as with ``Lockspace.restore``."""
        spaces = cls()
        for path, one in [("", saved.default)] + [(str(o.directory), o) for o in saved.others]:
            spaces._spaces[path] = Lockspace.restore(one)
        return spaces
