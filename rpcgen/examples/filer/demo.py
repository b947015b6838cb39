"""What ``rpcgen demo`` shows: filer's server on a UNIX socket, and its generated clients at work."""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import time
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from rpcgen.examples.filer.bindings.filer.client import AsyncFilerV1Client, FilerV1Client
from rpcgen.examples.filer.bindings.filer.types import (
    FilerChange,
    FilerDetailsFilerFile,
    FilerEntry,
    FilerError,
)
from rpcgen.examples.filer.server import Filer
from rpcgen.examples.progress import ProgressBar
from rpcgen.runtime import RemoteError, RpcError, Server, connect, connect_async

CALLS = 1000
UPLOAD_SIZE = 64 * 1024 * 1024
EVENT_SECONDS = 30
"""How long an event may take; it takes less than a millisecond unless something is broken."""


def run() -> bool:
    """Run the demonstration and print what happens.

    Returns:
        whether everything came out as it should.
    """
    try:
        return _run()
    except RpcError as error:  # no room on the disk, or for the path of a socket
        print(f"rpcgen: error: {error}", file=sys.stderr)
        return False


def _run() -> bool:
    with TemporaryDirectory(prefix="rpcgen-") as folder:
        served = Path(folder, "served")
        served.mkdir()
        (served / "hello.txt").write_text("Hello from filer.\n")
        address = f"unix://{folder}/filer.sock"
        with Server([Filer(served)], listen=[address]):
            _say(f"A server of filer.x listens at {address}.")
            with connect(address) as connection:
                filer = FilerV1Client(connection)
                results = [_call(filer), _error(filer)]
                results.append(asyncio.run(_overlapping(address)))
                results.append(_event(filer))
                results.append(_streams(filer))
    _say("Done." if all(results) else "Something went wrong: see above.")
    return all(results)


def _call(filer: FilerV1Client) -> bool:
    _title("A call", 'filer.list_folder("")')
    entries = filer.list_folder("")
    for entry in entries:
        _say(f"  {_shown(entry)}")
    return [entry.path for entry in entries] == ["hello.txt"]


def _error(filer: FilerV1Client) -> bool:
    _title("An error", 'filer.stat("nothing", digest=False)')
    try:
        filer.stat("nothing", digest=False)
    except RemoteError as error:
        _say(f"  RemoteError: {error.message} ({FilerError(error.code).name})")
        return error.code == FilerError.FILER_NOT_FOUND
    return False


async def _overlapping(address: str) -> bool:
    _title(f"{CALLS} calls at once on one connection", "asyncio.gather(filer.stat(...), ...)")
    async with connect_async(address) as connection:
        filer = AsyncFilerV1Client(connection)
        start = time.perf_counter()
        found = await asyncio.gather(*(filer.stat("hello.txt", False) for _ in range(CALLS)))
        seconds = time.perf_counter() - start
    _say(f"  {len(found)} replies in {seconds:.2f} s, {CALLS / seconds:,.0f} calls per second")
    return {entry.path for entry in found} == {"hello.txt"}


def _event(filer: FilerV1Client) -> bool:
    _title("An event", "filer.on_changed(handler); filer.watch(...); filer.rename(...)")
    changes: queue.SimpleQueue[FilerChange] = queue.SimpleQueue()
    subscription = filer.on_changed(changes.put)
    filer.watch("")
    filer.rename("hello.txt", "hi.txt")
    seen = [changes.get(timeout=EVENT_SECONDS) for _ in range(2)]
    filer.unwatch("")
    subscription.cancel()
    for change in seen:
        _say(f"  {change.path} {'changed' if change.entry else 'is gone'}")
    return [(change.path, change.entry is None) for change in seen] == [
        ("hello.txt", True),
        ("hi.txt", False),
    ]


def _streams(filer: FilerV1Client) -> bool:
    _title("A file there and back", 'filer.upload("big", ...), filer.download("big")')
    content = os.urandom(UPLOAD_SIZE // 64) * 64
    with filer.upload("big", overwrite=False) as stream:
        stream.upload(BytesIO(content), progress=ProgressBar("  upload  ", len(content)))
    back = BytesIO()
    with filer.download("big") as stream:
        stream.download(back, progress=ProgressBar("  download", len(content)))
    same = back.getvalue() == content
    entry = filer.stat("big", digest=True)
    _say(f"  {_shown(entry)}, and what came back is {'the same' if same else 'different'}")
    return same and entry.digest == sha256(content).digest()


def _shown(entry: FilerEntry) -> str:
    size = entry.details.size if isinstance(entry.details, FilerDetailsFilerFile) else 0
    return f"{entry.path}: {size:,} bytes"


def _title(what: str, code: str) -> None:
    _say(f"\n{what}: {code}")


def _say(line: str) -> None:
    print(line, flush=True)
