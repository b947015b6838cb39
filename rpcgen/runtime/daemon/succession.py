"""From one program to the next in a daemon's process: what is taken, and what is left.

Servers, their clients and the pidfile go along by themselves; what a program has beside them is its
``Heritage``. When that happens is the daemon's to say.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from rpcgen.runtime.errors import ProcessError
from rpcgen.runtime.process.reexec import execute, load_state, own_command, save_state
from rpcgen.runtime.server.saved import servers_from_json, servers_to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rpcgen.runtime.server.saved import SavedServer
    from rpcgen.runtime.server.session import Session

Json: TypeAlias = Any


class Heritage:
    """What a program leaves to the next one beside its servers: nothing, unless that is overridden."""

    def save(self) -> Mapping[str, Json]:
        """Members for the state, beside ``daemon``, ``pidfile`` and ``magic``."""
        return {}

    def descriptors(self) -> Iterable[int]:
        """What is to stay open in the next program."""
        return ()

    def restore(self, state: Mapping[str, Json]) -> None:
        """Take what the program before has saved, before there are clients.

        Raises:
            ValueError: that is not what it saves.
        """

    def save_client(self, session: Session) -> Json:
        """What is to be known of a client; on the event loop."""
        del session

    def restore_client(self, session: Session, data: Json) -> None:
        """Know it again, before it is heard; on the event loop."""


@dataclass(slots=True)
class Left:
    """What the program before has left.

    Attributes:
        servers: by name.
        pidfile: the descriptor of the pidfile that is held; None if none is.
    """

    servers: dict[str, SavedServer]
    pidfile: int | None


class Succession:
    """The state file of a daemon.

    Args:
        path: of the file.
        heritage: what the program adds.
        names: of the daemon's servers, for forms of the state that have none.
    """

    def __init__(self, path: str, heritage: Heritage, names: Sequence[str]) -> None:
        self.heritage = heritage
        self._path = path
        self._names = names

    def take(self) -> Left | None:
        """What the program before has left in this process; None if none has.

        Raises:
            ProcessError: the file is not to be believed, or says what cannot be.
            OSError: it cannot be read.
        """
        state = load_state(self._path)
        if state is None:
            return None
        try:
            servers = servers_from_json(state.get("daemon"), self._names)
            pidfile = state.get("pidfile")
            if pidfile is not None and type(pidfile) is not int:
                raise ValueError(f"state.pidfile: expected an integer, got {pidfile!r:.40}")
            self.heritage.restore(state)
        except ValueError as error:
            raise ProcessError(f"{self._path}: {error}") from None
        return Left(servers, pidfile)

    def leave(self, left: Left, unless: Callable[[], bool]) -> None:
        """Become the same command anew.

        Args:
            unless: as ``execute`` takes it.

        Raises:
            ProcessError, OSError: the state cannot be written, or the command not be executed;
                nothing has changed then.
            Exception: what the heritage raises, or ``json`` of what it has saved; the same.
        """
        state = {"daemon": servers_to_json(left.servers), **self.heritage.save()}
        if left.pidfile is not None:
            state["pidfile"] = left.pidfile
        sockets = [one.fd for server in left.servers.values() for one in server.sockets]
        own = [] if left.pidfile is None else [left.pidfile]
        save_state(self._path, state)
        try:
            execute(own_command(), [*sockets, *own, *self.heritage.descriptors()], unless)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(self._path)
