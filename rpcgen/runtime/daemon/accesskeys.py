"""What a daemon's configuration file may say of access to a server: the file with its rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpcgen.runtime.access.rules import Rules, RulesError
from rpcgen.runtime.daemon.configuration import absolute

if TYPE_CHECKING:
    from rpcgen.runtime.access.policy import AccessPolicy
    from rpcgen.runtime.daemon.configuration import Check, Configuration
    from rpcgen.runtime.server import Server


class AccessKeys:
    """The key ``access_file`` of one server, which has a policy.

    Without it, the policy is the program's. The rules are read again with every reload.

    Args:
        prefix: what stands before the key.
        server: as the program has set it.
        policy: which the program has given it.
    """

    def __init__(self, prefix: str, server: Server, policy: AccessPolicy) -> None:
        self._key = f"{prefix}access_file"
        self._server = server
        self._own = policy
        self._next = policy

    @property
    def checks(self) -> dict[str, Check]:
        """The key with its prefix."""
        return {self._key: absolute}

    def check(self, file: Configuration) -> None:
        """Read the rules.

        Raises:
            ConfigurationError: they are refused; it says where, in both files.
        """
        try:
            self._next = Rules.load(file[self._key]) if self._key in file else self._own
        except RulesError as error:
            raise file.error(self._key, str(error)) from error

    def apply(self) -> None:
        """Put into force what has been checked."""
        self._server.set_access(self._next)
