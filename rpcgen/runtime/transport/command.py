"""A program as a ``ByteStream``: what it reads and writes are the bytes of a connection.

The program is a tunnel, such as ``nc -U /run/x.sock``. What it says on its standard error is kept
for the error that tells of its end. Who is on the other end of it is not known here.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from libvirt_rpc.libvirt_common.types import VirConnectCloseReason
from rpcgen.runtime.errors import ConnectError, ConnectionClosed
from rpcgen.runtime.interfaces import Identity
from rpcgen.runtime.transport.stream import SocketStream

if TYPE_CHECKING:
    from rpcgen.runtime.xdr import Buffer

_PASSED: Final = (
    *("LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "HOME", "USER", "LOGNAME", "TMPDIR"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"),
    *("KRB5CCNAME", "SSH_AUTH_SOCK", "SSH_ASKPASS", "OPENSSL_CONF", "DISPLAY", "XAUTHORITY"),
)
"""What the program gets of the environment: what libvirt passes on to ssh."""

_WORDS_MAX: Final = 1_024
"""Bytes of standard error that an error quotes: the last ones (libvirt quotes as many)."""

_READ_SIZE: Final = 65_536

_GRACE: Final = 0.01
"""Seconds from SIGTERM to SIGKILL, as libvirt has it: a tunnel has nothing to put in order."""

_ENDING: Final = 0.1
"""Seconds for a program to end that writes no more, so that the error can say how it did: a loop may
wait for them.
"""

_EOF: Final = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_EOF


def spawn(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> CommandStream:
    """Start a program whose standard input and output are a connection.

    Args:
        argv: the program, which is looked for in PATH, and its arguments.
        environ: of which it gets what libvirt passes on, and ``LC_ALL=C``.

    Raises:
        ConnectError: it cannot be started.
    """
    ours, theirs = socket.socketpair()
    env = {name: environ[name] for name in _PASSED if name in environ} | {"LC_ALL": "C"}
    try:
        with theirs:
            child = subprocess.Popen(  # noqa: S603  (what it is there for)
                list(argv),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                env=env,
            )
    except OSError as error:
        ours.close()
        raise ConnectError(f"{argv[0]}: cannot run: {error.strerror or error}") from error
    except BaseException:
        ours.close()
        raise
    return CommandStream(ours, child, argv[0])


class CommandStream:
    """See ``ByteStream``; it owns the program, which ends with it.

    Descriptors do not travel, and nobody vouches for the other end.
    """

    __slots__ = ("_child", "_program", "_stream", "_words", "identity", "passes_fds")

    room = 1
    can_move = False

    def __init__(
        self, connected: socket.socket, child: subprocess.Popen[bytes], program: str
    ) -> None:
        assert child.stderr is not None  # noqa: S101  (asked for)
        os.set_blocking(child.stderr.fileno(), False)
        self._stream = SocketStream(connected)
        self._child = child
        self._program = program
        self._words = b""
        self.identity = Identity(address=program)
        self.passes_fds = False

    @property
    def pid(self) -> int:
        """Of the program."""
        return self._child.pid

    def fileno(self) -> int:
        return self._stream.fileno()

    def receive(self, space: memoryview) -> int | None:
        self._listen()
        try:
            count = self._stream.receive(space)
        except ConnectionClosed as error:
            raise self._ended() from error
        if count == 0 and self._describe():
            raise self._ended()
        return count

    def receive_with_fds(self, space: memoryview) -> tuple[int | None, list[int]]:
        return self.receive(space), []

    def send(self, buffers: Sequence[Buffer]) -> int:
        try:
            return self._stream.send(buffers)
        except ConnectionClosed as error:
            raise self._ended() from error

    def send_fd(self, fd: int) -> bool:
        raise ConnectionClosed(f"{self._program}: descriptor {fd} cannot travel", _EOF)

    def expect_bulk(self) -> None:
        self._stream.expect_bulk()

    def shutdown(self) -> None:
        self._stream.shutdown()

    def detach(self) -> int:
        return self._stream.detach()

    def close(self) -> None:
        self._stream.close()
        child = self._child
        if child.stderr is not None:
            child.stderr.close()
        if child.poll() is None:
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(_GRACE)
        if child.poll() is None:
            child.kill()
            child.wait()

    def _listen(self) -> None:
        """Take what it has said, so that it never waits for somebody to hear it."""
        assert self._child.stderr is not None  # noqa: S101  (asked for)
        with suppress(BlockingIOError):
            while said := os.read(self._child.stderr.fileno(), _READ_SIZE):
                self._words = (self._words + said)[-_WORDS_MAX:]

    def _ended(self) -> ConnectionClosed:
        return ConnectionClosed(": ".join([self._program, "it has ended", *self._describe()]), _EOF)

    def _describe(self) -> list[str]:
        """How it has ended, and its last words, as far as they are worth a word."""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(_ENDING)
        self._listen()
        code = self._child.returncode or 0
        how = f"exit code {code}" if code > 0 else f"killed by signal {-code}" if code else ""
        return [*filter(None, (how, self._words.decode(errors="backslashreplace").strip()))]
