"""A session with a lock daemon, as a table: who calls what, and what comes of it.

``@`` in an argument stands for the folder in which it all happens. Whatever daemon it is that the
table is acted out on, the answers are the same in every field, and so are the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TypeAlias

from lockd.actors import Connected, Outcome, Process

from libvirt_rpc.libvirt_common.types import VirErrorNumber

SHARED, AUTOCREATE = 1, 2

Step: TypeAlias = tuple[str, str, tuple[Any, ...], VirErrorNumber | None]

OK: Final = None
BUSY: Final = VirErrorNumber.VIR_ERR_RESOURCE_BUSY
DENIED: Final = VirErrorNumber.VIR_ERR_OPERATION_DENIED
INTERNAL: Final = VirErrorNumber.VIR_ERR_INTERNAL_ERROR
INVALID: Final = VirErrorNumber.VIR_ERR_OPERATION_INVALID
BAD_ARGUMENT: Final = VirErrorNumber.VIR_ERR_INVALID_ARG
SYSTEM: Final = VirErrorNumber.VIR_ERR_SYSTEM_ERROR

_UNREGISTERED: list[Step] = [
    ("one", "acquire_resource", ("", "@/disk", 0), INVALID),
    ("one", "acquire_resource", ("", "@/disk", 8), BAD_ARGUMENT),
    ("one", "acquire_resource", ("/none", "x", 0), INVALID),
    ("one", "release_resource", ("", "@/disk", 0), INVALID),
    ("one", "create_resource", ("", "@/disk", 0), INVALID),
    ("one", "delete_resource", ("", "@/disk", 0), INVALID),
    ("one", "new", ("@/early", 0), INVALID),
    ("one", "restrict", (0,), INVALID),
    ("one", "create_lockspace", ("@/early",), OK),
    ("one", "create_lockspace", ("@/early",), OK),
    ("one", "create_lockspace", ("@/deep/in/it",), OK),
    ("one", "create_lockspace", ("@/disk",), INTERNAL),
    ("one", "create_lockspace", ("@/disk/below",), SYSTEM),
    ("one", "create_lockspace", ("",), OK),
]

_REGISTERING: list[Step] = [
    ("one", "register", ("nobody", 0, 3), INVALID),
    ("one", "acquire_resource", ("", "@/disk", 0), INVALID),
    ("one", "register", ("first", 7, 3, 1), BAD_ARGUMENT),
    ("one", "register", ("first", 7, 3), OK),
    ("one", "register", ("again", 1, 4294967295), OK),
    ("one", "register", ("one", 1, 1), OK),
    ("two", "register", ("two", 2, 2), OK),
]

_LOCKSPACES: list[Step] = [
    ("one", "new", ("", 0), INVALID),
    ("one", "new", ("@/early", 0), INTERNAL),
    ("one", "new", ("@/space", 5), BAD_ARGUMENT),
    ("one", "new", ("@/space", 0), OK),
    ("one", "new", ("@/space", 0), INTERNAL),
    ("two", "new", ("@/space", 0), INTERNAL),
    ("two", "create_lockspace", ("@/space",), OK),
    ("one", "acquire_resource", ("/none", "x", 0), INTERNAL),
    ("one", "release_resource", ("/none", "x", 0), INTERNAL),
    ("one", "create_resource", ("/none", "x", 0), INTERNAL),
    ("one", "delete_resource", ("/none", "x", 0), INTERNAL),
]

_EXCLUSIVE: list[Step] = [
    ("one", "acquire_resource", ("@/space", "r", 0), SYSTEM),
    ("one", "delete_resource", ("@/space", "r", 0), OK),
    ("one", "create_resource", ("@/space", "r", 1), BAD_ARGUMENT),
    ("one", "create_resource", ("@/space", "r", 0), OK),
    ("one", "create_resource", ("@/space", "r", 0), OK),
    ("one", "release_resource", ("@/space", "r", 0), BUSY),
    ("one", "acquire_resource", ("@/space", "r", 16), BAD_ARGUMENT),
    ("one", "acquire_resource", ("@/space", "r", 0), OK),
    ("one", "acquire_resource", ("@/space", "r", 0), BUSY),
    ("one", "acquire_resource", ("@/space", "r", SHARED), BUSY),
    ("two", "acquire_resource", ("@/space", "r", 0), BUSY),
    ("two", "acquire_resource", ("@/space", "r", SHARED | AUTOCREATE), BUSY),
    ("two", "acquire_resource", ("@/early", "r", AUTOCREATE), OK),
    ("two", "release_resource", ("@/space", "r", 0), INTERNAL),
    ("two", "create_resource", ("@/space", "r", 0), BUSY),
    ("two", "delete_resource", ("@/space", "r", 0), BUSY),
    ("two", "release_resource", ("@/space", "r", 4), BAD_ARGUMENT),
    ("one", "release_resource", ("@/space", "r", 0), OK),
    ("one", "release_resource", ("@/space", "r", 0), BUSY),
    ("two", "acquire_resource", ("@/space", "r", 0), OK),
    ("two", "release_resource", ("@/space", "r", 0), OK),
    ("two", "release_resource", ("@/early", "r", 0), OK),
    ("two", "delete_resource", ("@/space", "r", 9), BAD_ARGUMENT),
    ("two", "delete_resource", ("@/space", "r", 0), OK),
]

_SHARED: list[Step] = [
    ("one", "acquire_resource", ("@/space", "s", SHARED), SYSTEM),
    ("one", "acquire_resource", ("@/space", "s", SHARED | AUTOCREATE), OK),
    ("two", "acquire_resource", ("@/space", "s", SHARED), OK),
    ("two", "acquire_resource", ("@/space", "s", SHARED | AUTOCREATE), OK),
    ("two", "acquire_resource", ("@/space", "s", AUTOCREATE), BUSY),
    ("two", "delete_resource", ("@/space", "s", 0), BUSY),
    ("one", "release_resource", ("@/space", "s", 0), OK),
    ("one", "release_resource", ("@/space", "s", 0), INTERNAL),
    ("two", "release_resource", ("@/space", "s", 0), OK),
    ("two", "release_resource", ("@/space", "s", 0), OK),
    ("two", "release_resource", ("@/space", "s", 0), BUSY),
]

_PATHS: list[Step] = [
    ("one", "acquire_resource", ("", "@/disk", 0), OK),
    ("two", "acquire_resource", ("", "@/disk", SHARED), BUSY),
    ("one", "release_resource", ("", "@/disk", 0), OK),
    ("one", "acquire_resource", ("", "@/lease", SHARED | AUTOCREATE), OK),
    ("one", "release_resource", ("", "@/lease", 0), OK),
    ("one", "create_resource", ("", "@/plain", 0), OK),
    ("one", "delete_resource", ("", "@/plain", 0), OK),
    ("one", "create_resource", ("", "@/none/plain", 0), SYSTEM),
    ("one", "create_resource", ("", "@/space", 0), SYSTEM),
    ("one", "delete_resource", ("", "@/space", 0), SYSTEM),
    ("one", "acquire_resource", ("", "@/space", SHARED), SYSTEM),
    ("one", "acquire_resource", ("", "", AUTOCREATE), SYSTEM),
    ("one", "acquire_resource", ("@/space", "", AUTOCREATE), SYSTEM),
    ("one", "acquire_resource", ("@/space", "none/r", AUTOCREATE), SYSTEM),
    ("one", "acquire_resource", ("@/space", "../disk", SHARED), OK),
    ("one", "release_resource", ("@/space", "../disk", 0), OK),
]

_LEAVING: list[Step] = [
    ("one", "acquire_resource", ("@/space", "kept", AUTOCREATE), OK),
    ("one", "leave", (), OK),
    ("two", "acquire_resource", ("@/space", "kept", AUTOCREATE), BUSY),
    ("three", "register", ("one", 1, 1), OK),
    ("three", "release_resource", ("@/space", "kept", 0), OK),
    ("two", "acquire_resource", ("@/space", "kept", AUTOCREATE), OK),
    ("two", "release_resource", ("@/space", "kept", 0), OK),
]

_RESTRICTED: list[Step] = [
    ("two", "restrict", (1,), BAD_ARGUMENT),
    ("two", "restrict", (0,), OK),
    ("two", "restrict", (0,), DENIED),
    ("two", "restrict", (1,), BAD_ARGUMENT),
    ("two", "register", ("two", 2, 2), DENIED),
    ("two", "acquire_resource", ("@/space", "r", 0), DENIED),
    ("two", "acquire_resource", ("/none", "r", 64), BAD_ARGUMENT),
    ("two", "release_resource", ("@/space", "r", 0), DENIED),
    ("two", "create_resource", ("@/space", "r", 0), DENIED),
    ("two", "delete_resource", ("@/space", "r", 0), DENIED),
    ("two", "new", ("@/space", 0), DENIED),
    ("two", "create_lockspace", ("@/space",), DENIED),
]

_OWNERS: list[Step] = [
    # Processes; -1 is their own pid.
    ("Without", "register", ("none", 8, -1), OK),
    ("Without", "leave", (), OK),
    ("Without", "lives", (), OK),
    ("Agent", "register", ("other", 8, 5), OK),
    ("Agent", "acquire_resource", ("@/space", "other", AUTOCREATE), OK),
    ("Agent", "leave", (), OK),
    ("Agent", "lives", (), OK),
    ("three", "acquire_resource", ("@/space", "other", 0), BUSY),
    ("Guest", "register", ("guest", 9, -1), OK),
    ("Guest", "acquire_resource", ("@/space", "own", AUTOCREATE), OK),
    ("Guest", "acquire_resource", ("@/early", "own", SHARED | AUTOCREATE), OK),
    ("three", "acquire_resource", ("@/space", "own", 0), BUSY),
    ("three", "acquire_resource", ("@/early", "own", SHARED), OK),
    ("Guest", "leave", (), OK),
    ("Guest", "terminated", (), OK),
    ("three", "acquire_resource", ("@/space", "own", AUTOCREATE), OK),
    ("three", "release_resource", ("@/early", "own", 0), OK),
    # Whoever left before has been noticed by now.
    ("Without", "lives", (), OK),
    ("Agent", "lives", (), OK),
]

SCRIPT: Final[dict[str, list[Step]]] = {
    "unregistered": _UNREGISTERED,
    "registering": _REGISTERING,
    "lock spaces": _LOCKSPACES,
    "exclusive": _EXCLUSIVE,
    "shared": _SHARED,
    "full paths": _PATHS,
    "leaving": _LEAVING,
    "restricted": _RESTRICTED,
    "owners": _OWNERS,
}


class Stage:
    """Where the script is acted out: the clients by name, and the folder.

    Args:
        address: of the daemon.
        folder: an empty one, which the daemon may write to.
    """

    def __init__(self, address: str, folder: Path) -> None:
        self._address = address
        self._folder = folder
        self._actors: dict[str, Connected | Process] = {}
        (folder / "disk").write_bytes(b"guest's data")

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:
            for actor in self._actors.values():
                stack.callback(actor.close if isinstance(actor, Process) else actor.leave)

    def act(self, step: Step) -> tuple[Outcome, list[str]]:
        """Do one step: its outcome and all files that there are, with no trace of the folder's name."""
        who, method, arguments, _ = step
        given = [
            one.replace("@", str(self._folder)) if isinstance(one, str) else one
            for one in arguments
        ]
        outcome = self._do(who, method, given)
        if outcome is not None:
            outcome = {
                key: one.replace(str(self._folder), "@") if isinstance(one, str) else one
                for key, one in outcome.items()
            }
        # The daemon notices in its own time that somebody has left.
        return outcome, [] if method == "leave" else list(self._files())

    def _do(self, who: str, method: str, arguments: list[Any]) -> Outcome:
        if who not in self._actors:
            kind = Process if who[0].isupper() else Connected
            self._actors[who] = kind(self._address)
        actor = self._actors[who]
        if method == "leave":
            actor.leave()
        elif method == "lives":
            assert isinstance(actor, Process)
            assert actor.lives()
        elif method == "terminated":
            assert isinstance(actor, Process)
            assert actor.end() == -15
        else:
            return actor.do(method, *arguments)
        return None

    def _files(self) -> Iterator[str]:
        for path in sorted(self._folder.rglob("*")):
            status = path.stat()
            size = "" if path.is_dir() else f" {status.st_size}"
            yield f"{path.relative_to(self._folder)} {status.st_mode:o}{size}"
