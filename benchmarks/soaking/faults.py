"""Peers as they should not be, one after the other: killed, half-open, wrong, greedy, slow.

After each of them the server must answer a new client. What they leave open is closed a little later, as that of a
peer that stays would be.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Final, TypeVar

from benchmarks.processes import python
from benchmarks.soaking.patterns import PLAIN, SOUND, domain, volume
from benchmarks.soaking.tally import Tally, Wrong
from libvirt_rpc.remote_protocol.client import RemoteClient
from libvirt_rpc.remote_protocol.program import (
    REMOTE_PROC_DOMAIN_GET_XML_DESC,
    REMOTE_PROC_DOMAIN_LOOKUP_BY_NAME,
    REMOTE_PROC_STORAGE_VOL_DOWNLOAD,
    REMOTE_PROC_STORAGE_VOL_UPLOAD,
)
from libvirt_rpc.remote_protocol.types import (
    RemoteDomainGetXmlDescArgs,
    RemoteDomainLookupByNameArgs,
    RemoteStorageVolDownloadArgs,
    RemoteStorageVolUploadArgs,
)
from rpcgen.runtime import Procedure, connect
from rpcgen.runtime.message import CALL, CONTINUE, OK, STREAM, head

A = TypeVar("A")

_STAY: Final = 32
"""Peers that are open at a time before the oldest is closed."""

_PATIENCE: Final = 10.0
"""Seconds for the server to close what it must, and for a process to start."""

_FLOOD: Final = 20_000
"""Calls of a peer that never reads."""

_VOLUME: Final = volume(PLAIN, SOUND, "fault")
_ENDLESS: Final = 1 << 40

_LOOKUP, _AGAIN, _OTHER = 7, 8, 9
"""Serials."""


def _call(procedure: Procedure[A, Any], argument: A, serial: int = _OTHER) -> bytes:
    payload = procedure.encode_argument(argument)
    return _head(len(payload), procedure, CALL, serial, OK) + payload


def _head(size: int, procedure: Procedure[Any, Any], kind: int, serial: int, status: int) -> bytes:
    program = procedure.program
    return head(size, program.number, program.version, procedure.number, kind, serial, status)


def _lookup(serial: int) -> bytes:
    argument = RemoteDomainLookupByNameArgs("fault")
    return _call(REMOTE_PROC_DOMAIN_LOOKUP_BY_NAME, argument, serial)


_DOWNLOAD: Final = _call(
    REMOTE_PROC_STORAGE_VOL_DOWNLOAD, RemoteStorageVolDownloadArgs(_VOLUME, 0, _ENDLESS, 0)
)
_UPLOAD: Final = _call(
    REMOTE_PROC_STORAGE_VOL_UPLOAD, RemoteStorageVolUploadArgs(_VOLUME, 0, _ENDLESS, 0)
)
_DATA: Final = _head(1000, REMOTE_PROC_STORAGE_VOL_UPLOAD, STREAM, _OTHER, CONTINUE) + bytes(1000)
_SLOW: Final = _call(
    REMOTE_PROC_DOMAIN_GET_XML_DESC, RemoteDomainGetXmlDescArgs(domain("fault"), 100)
)

_WORDS: Final = struct.Struct(">7I")
_MALFORMED: Final = (
    *(struct.pack(">I", size) for size in (0, 3, 4, 5, 27, 33_554_437, 0xFFFF_FFFF)),
    *(
        _WORDS.pack(28, *words)
        for words in (
            (0, 0, 0, 0, 1, 0),  # no such program
            (0x20008086, 2, 1, 0, 1, 0),  # no such version
            (0x20008086, 1, 0x7FFF, 0, 1, 0),  # no such procedure
            (0x20008086, 1, 0xFFFF_FFFF, 0, 1, 0),
            (0x20008086, 1, 23, 0, 1, 2),  # a status that no call has
            (0x20008086, 1, 23, 0, 1, 0),  # no arguments
            (0x20008086, 1, 23, 1, 1, 0),  # a reply
            (0x20008086, 1, 23, 77, 1, 0),  # no such type
            (0x20008086, 1, 209, 3, 1, 2),  # data of no stream
            (0x20008086, 1, 209, 6, 1, 2),
        )
    ),
    _WORDS.pack(32, 0x20008086, 1, 23, 4, 1, 0) + struct.pack(">I", 33),  # too many descriptors
)
"""What a server answers, ignores, or hangs up at."""


class Faults:
    """Makes them, on a thread, until it is told to stop."""

    def __init__(self, path: Path, tally: Tally, seed: int) -> None:
        self._path = os.fspath(path)
        self._address = f"unix://{path}"
        self._tally = tally
        self._random = Random(seed)  # noqa: S311  (a load, no secrets)
        self._staying: deque[socket.socket] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._kinds: tuple[Callable[[], str], ...] = (
            self._killed,
            self._half_open,
            self._half_closed,
            self._malformed,
            self._noise,
            self._reads_nothing,
            self._floods,
            self._gone,
            self._gone_in_stream,
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and close what is open."""
        self._stop.set()
        self._thread.join()
        while self._staying:
            self._staying.popleft().close()

    def _run(self) -> None:
        while not self._stop.is_set():
            kind = self._random.choice(self._kinds)
            try:
                self._tally.count(f"fault: {kind()}")
                self._probe()
            except Exception as error:  # noqa: BLE001  (it is reported)
                self._tally.fail(kind.__name__, error)

    def _probe(self) -> None:
        with connect(self._address, timeout=_PATIENCE) as connection:
            found = RemoteClient(connection).domain_lookup_by_name("probe", timeout=_PATIENCE)
        if found != domain("probe"):
            raise Wrong(f"{found!r}")

    # The kinds

    def _killed(self) -> str:
        command = python(
            "benchmarks.soaking.victim", self._address, self._random.choice(["up", "down"])
        )
        with subprocess.Popen(command, stdout=subprocess.PIPE) as victim:  # noqa: S603  (ours)
            if victim.stdout is None or not victim.stdout.readline():
                raise Wrong("the client that was to be killed ended by itself")
            victim.kill()
        return "clients killed in mid-stream"

    def _half_open(self) -> str:
        peer = self._peer()
        peer.sendall(_lookup(_LOOKUP)[: self._random.randint(1, 39)])
        self._stay(peer)
        return "clients that stop in mid-frame"

    def _half_closed(self) -> str:
        with self._peer() as peer:
            peer.sendall(_lookup(_LOOKUP) + _SLOW)
            peer.shutdown(socket.SHUT_WR)
            self._drain(peer)
        return "clients that close one half"

    def _malformed(self) -> str:
        with self._peer() as peer, suppress(ConnectionError):
            frame = self._random.choice(_MALFORMED)
            peer.sendall(frame)
            peer.sendall(_lookup(_AGAIN))
            self._expect(peer)
        return "malformed frames"

    def _noise(self) -> str:
        with self._peer() as peer, suppress(ConnectionError):
            peer.sendall(self._random.randbytes(self._random.randint(1, 1 << 16)))
            peer.shutdown(socket.SHUT_WR)
            self._drain(peer)
        return "clients that send noise"

    def _reads_nothing(self) -> str:
        peer = self._peer()
        peer.sendall(_DOWNLOAD)
        self._stay(peer)
        return "clients that never read a stream"

    def _floods(self) -> str:
        peer = self._peer()
        peer.setblocking(False)
        with suppress(BlockingIOError):
            for _ in range(_FLOOD):
                peer.sendall(_lookup(_LOOKUP))
        self._stay(peer)
        return "clients that flood and never read"

    def _gone(self) -> str:
        with self._peer() as peer:
            peer.sendall(_SLOW + _lookup(_LOOKUP))
        return "clients gone in mid-call"

    def _gone_in_stream(self) -> str:
        with self._peer() as peer:
            peer.sendall(_UPLOAD + _DATA * self._random.randint(0, 100))
        return "clients gone in mid-upload"

    # What they are made of

    def _peer(self) -> socket.socket:
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(_PATIENCE)
        peer.connect(self._path)
        return peer

    def _stay(self, peer: socket.socket) -> None:
        self._staying.append(peer)
        if len(self._staying) > _STAY:
            self._staying.popleft().close()

    def _drain(self, peer: socket.socket) -> None:
        """Read to the end, which must come."""
        with suppress(ConnectionResetError):
            while peer.recv(1 << 16):
                pass

    def _expect(self, peer: socket.socket) -> None:
        """Read until the call behind a bad frame is answered, or the connection is closed."""
        data = b""
        while more := peer.recv(1 << 16):
            data += more
            while len(data) >= 28 and len(data) >= (size := _WORDS.unpack_from(data)[0]):
                *_, serial, status = _WORDS.unpack_from(data)
                if serial == _AGAIN:
                    if status != OK:
                        raise Wrong("a good call behind a bad frame failed")
                    return
                data = data[size:]
