"""A program as a ``ByteStream``: what it reads and writes are the bytes of a connection.

The program is a tunnel, such as ``nc -U /run/x.sock``. What it says on its standard error is kept
for the error that tells of its end. Who is on the other end of it is not known here.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Final

from libvirt_rpc.libvirt_common.types import VirConnectCloseReason
from rpcgen.runtime.errors import ConnectError, ConnectionClosed
from rpcgen.runtime.interfaces import Identity
from rpcgen.runtime.process.proc import wait_for_end
from rpcgen.runtime.transport.lastwords import LastWords
from rpcgen.runtime.transport.stream import SocketStream
from rpcgen.runtime.transport.upper import UpperStream

if TYPE_CHECKING:
    from types import FrameType

    from rpcgen.runtime.xdr import Buffer

_PASSED: Final = (
    *("LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "HOME", "USER", "LOGNAME", "TMPDIR"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"),
    *("KRB5CCNAME", "SSH_AUTH_SOCK", "SSH_ASKPASS", "OPENSSL_CONF", "DISPLAY", "XAUTHORITY"),
)
"""What the program gets of the environment: what libvirt passes on to ssh."""

_READ_SIZE: Final = 65_536

_PIPE_SIZE: Final = 1_048_576
"""Bytes that it may say before its first answer, when nobody hears it yet: ``ssh -vvv`` says a tenth of
that. It is what Linux lets everybody have.
"""

_GRACE: Final = 0.01
"""Seconds from SIGTERM to SIGKILL, as libvirt has it: a tunnel has nothing to put in order."""

_ENDING: Final = 0.05
"""Seconds for a program to end that writes no more, so that the error can say how it did. Most are
ending already, and take no time. Those that go on cost a loop that much.
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
    stream: CommandStream | None = None
    try:
        with theirs, _interrupted_later():
            child = subprocess.Popen(  # noqa: S603  (what it is there for)
                list(argv),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                env=env,
            )
            stream = CommandStream(ours, child, argv[0])
    except OSError as error:
        (stream or ours).close()
        raise ConnectError(f"{argv[0]}: cannot run: {error.strerror or error}") from error
    except BaseException:
        (stream or ours).close()
        raise
    return stream


@contextmanager
def _interrupted_later() -> Iterator[None]:
    """Have Ctrl-C wait for the end of the block: a program whose start it breaks off is nobody's."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or current_thread() is not main_thread():
        yield
        return
    came: list[FrameType | None] = []
    signal.signal(signal.SIGINT, lambda _, frame: came.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            handler(signal.SIGINT, came[0])


class CommandStream(UpperStream):
    """See ``ByteStream``; it owns the program, which ends with it.

    Nobody vouches for the other end.
    """

    __slots__ = ("_child", "_program", "_words", "identity")

    room = 1

    def __init__(
        self, connected: socket.socket, child: subprocess.Popen[bytes], program: str
    ) -> None:
        assert child.stderr is not None  # noqa: S101  (asked for)
        os.set_blocking(child.stderr.fileno(), False)
        with suppress(OSError, AttributeError):  # as far as the system goes along
            fcntl.fcntl(child.stderr, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        super().__init__(SocketStream(connected))
        self._child = child
        self._program = program
        self._words = LastWords()
        self.identity = Identity(address=program)

    @property
    def pid(self) -> int:
        """Of the program."""
        return self._child.pid

    def receive(self, space: memoryview) -> int | None:
        self._listen()
        try:
            count = self._below.receive(space)
        except ConnectionClosed as error:
            raise self._ended() from error
        if count == 0 and self._describe():
            raise self._ended()
        return count

    def send(self, buffers: Sequence[Buffer]) -> int:
        try:
            return self._below.send(buffers)
        except ConnectionClosed as error:
            raise self._ended() from error

    def close(self) -> None:
        super().close()
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
        """Take what it has said, so that it does not wait for somebody to hear it."""
        assert self._child.stderr is not None  # noqa: S101  (asked for)
        with suppress(BlockingIOError):
            while said := os.read(self._child.stderr.fileno(), _READ_SIZE):
                self._words.add(said)

    def _ended(self) -> ConnectionClosed:
        return ConnectionClosed(": ".join([self._program, "it has ended", *self._describe()]), _EOF)

    def _describe(self) -> list[str]:
        """How it has ended, and its last words, as far as they are worth a word."""
        if self._child.returncode is None:  # its pid is still its own
            with suppress(OSError):
                wait_for_end(self._child.pid, _ENDING)
        self._listen()
        code = self._child.poll() or 0
        how = f"exit code {code}" if code > 0 else f"killed by signal {-code}" if code else ""
        return [*filter(None, (how, str(self._words)))]
