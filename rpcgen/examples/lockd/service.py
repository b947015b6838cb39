"""The lock program: what each client may do, and what becomes of its leases when it goes.

Its handlers never wait, and are meant for the event loop: a server with no workers.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Final

from libvirt_rpc.libvirt_common.types import VirErrorDomain
from libvirt_rpc.lock_protocol.server import VirLockSpaceProtocolServer
from rpcgen.examples.lockd import errors
from rpcgen.examples.lockd.lockspace import Acquire
from rpcgen.examples.lockd.lockspaces import Lockspaces
from rpcgen.examples.lockd.owner import OwnerProcess, end_owner
from rpcgen.examples.lockd.saved import SavedClient
from rpcgen.runtime.message import unsupported_flags

if TYPE_CHECKING:
    from collections.abc import Callable

    from libvirt_rpc.lock_protocol.types import VirLockSpaceProtocolOwner
    from rpcgen.examples.lockd.saved import Json
    from rpcgen.runtime import Call, Session

_CLIENT: Final = "lockd"
"""Under which a session keeps what is known of its client: the same that is saved of it."""

_FLAGS: Final = {"acquire_resource": int(Acquire.SHARED | Acquire.AUTOCREATE)}
"""By method: the flags that it understands. The others understand none."""


class LockService(VirLockSpaceProtocolServer):
    """Lock spaces for the clients of the daemon's own user, as virtlockd offers them.

    Args:
        lockspaces: those to begin with; only the default one if not given.
        owner_left: called, on the event loop, with the process that disconnected while it had
            leases for itself; they are given back already.
    """

    def __init__(
        self,
        lockspaces: Lockspaces | None = None,
        *,
        owner_left: Callable[[OwnerProcess], object] = end_owner,
    ) -> None:
        self.lockspaces = lockspaces or Lockspaces()
        self._owner_left = owner_left

    # Procedures

    def register(self, call: Call, owner: VirLockSpaceProtocolOwner, flags: int) -> None:
        client = self._client(call, flags)
        if not owner.id:
            raise errors.unregistered()
        client.owner_uuid = owner.uuid
        client.owner_name = owner.name
        client.owner_id = owner.id
        client.owner_pid = owner.pid

    def restrict(self, call: Call, flags: int) -> None:
        self._owner(call, flags).restricted = True

    def new(self, call: Call, path: str, flags: int) -> None:
        self._owner(call, flags)
        self.lockspaces.add(path)

    def create_lockspace(self, call: Call, path: str) -> None:
        self._client(call)
        self.lockspaces.ensure(path)

    def create_resource(self, call: Call, path: str, name: str, flags: int) -> None:
        self._owner(call, flags)
        self.lockspaces.at(path).create(name)

    def delete_resource(self, call: Call, path: str, name: str, flags: int) -> None:
        self._owner(call, flags)
        self.lockspaces.at(path).delete(name)

    def acquire_resource(self, call: Call, path: str, name: str, flags: int) -> None:
        owner = self._owner(call, flags).owner_pid
        self.lockspaces.at(path).acquire(name, owner, flags)

    def release_resource(self, call: Call, path: str, name: str, flags: int) -> None:
        owner = self._owner(call, flags).owner_pid
        self.lockspaces.at(path).release(name, owner)

    # For a process that is going to execute another program, and for that program

    def save_client(self, session: Session) -> Json:
        """What is known of a client, for ``restore_client``."""
        client = session.data.get(_CLIENT) or SavedClient()
        return client.to_json()

    def restore_client(self, session: Session, saved: Json) -> None:
        """Know it again.

        Raises:
            ValueError: that is not what was saved.
        """
        self._watch(session, SavedClient.from_json(saved))

    # Clients

    def _client(self, call: Call, flags: int = 0) -> SavedClient:
        """The client, if it may call what it calls.

        Raises:
            RemoteError: it is another user's, or has given up its rights, or asks for what there
                is not.
        """
        client = self._known(call.session)
        if flags & ~_FLAGS.get(call.procedure.method, 0):
            raise unsupported_flags(flags, _function_of(call), VirErrorDomain.VIR_FROM_RPC)
        if client.restricted:
            raise errors.restricted()
        return client

    def _owner(self, call: Call, flags: int) -> SavedClient:
        """The same, if it has said for whom it acts."""
        client = self._client(call, flags)
        if not client.owner_id:
            raise errors.unregistered()
        return client

    def _known(self, session: Session) -> SavedClient:
        client: SavedClient | None = session.data.get(_CLIENT)
        if client is None:
            identity = session.identity
            if identity.uid != os.geteuid():
                session.close()
                raise errors.other_user(identity.pid, identity.uid)
            client = self._watch(session, SavedClient())
        return client

    def _watch(self, session: Session, client: SavedClient) -> SavedClient:
        session.data[_CLIENT] = client
        if session.identity.pid:
            process = OwnerProcess(session.identity.pid)
            session.on_close(partial(self._left, client, process))
        return client

    def _left(self, client: SavedClient, process: OwnerProcess) -> None:
        # Leases stay with an owner for whom somebody else has acted.
        if client.owner_pid == process.pid and self.lockspaces.forget(process.pid):
            self._owner_left(process)


def _function_of(call: Call) -> str:
    """virtlockd's name of the function behind a procedure."""
    words = call.procedure.method.split("_")
    return "virLockSpaceProtocolDispatch" + "".join(map(str.capitalize, words))
