"""The thread of a connection: it logs in, says what came of it, then carries bytes.

Who waits for it answers its questions: a password is asked for on the thread that dials, which
Ctrl-C reaches. What is said to the server is not known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread, current_thread
from time import monotonic
from typing import Final, NamedTuple, TypeAlias

from rpcgen.libvirt.login import Ask, Question
from rpcgen.libvirt.sshlibrary.target import Target
from rpcgen.libvirt.sshlibrary.tunnel import Tunnel, TunnelStream
from rpcgen.libvirt.sshlibrary.userauth import log_in
from rpcgen.runtime.errors import ConnectError

_PATIENCE: Final = 1.0
"""Seconds for the thread of a login that was given up: it may hang in a look-up of the host's name,
which the system does not take back, and then ends by itself.
"""


class _Asked(NamedTuple):
    question: Question
    answer: Future[str | None]


_Said: TypeAlias = _Asked | TunnelStream | Exception


class Attempt:
    """One login, and the connection that it becomes. It begins at once."""

    def __init__(self, target: Target, command: str, ask: Ask | None) -> None:
        self._target = target
        self._command = command
        self._ask = ask
        self._said: SimpleQueue[_Said] = SimpleQueue()
        self._is_given_up = False
        self._task: asyncio.Task[None] | None = None
        self._tunnel: Tunnel | None = None
        self._stream: TunnelStream | None = None
        self._loop = asyncio.SelectorEventLoop()
        self._thread = Thread(target=self._run, name=f"ssh {target.place}", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._loop.close()
            raise

    def wait(self, timeout: float | None) -> TunnelStream:
        """What comes of it; asks the user on the way. Whatever is raised, nothing is left.

        Args:
            timeout: seconds, without those of the user.

        Raises:
            ConnectError: it failed, or took too long.
        """
        try:
            stream = self._wait(timeout)
            self._stream = None  # the caller's: the thread is to end when it is lost, too
        except BaseException:
            self._give_up()
            raise
        return stream

    def cancel(self) -> None:
        """Have ``wait`` end soon, with a ConnectError. May be called from any thread."""
        self._said.put(ConnectError(f"{self._target.place}: the login was given up"))

    def _wait(self, timeout: float | None) -> TunnelStream:
        end = None if timeout is None else monotonic() + timeout
        while True:
            try:
                said = self._said.get(timeout=end and max(0.0, end - monotonic()))
            except Empty:
                raise ConnectError(f"{self._target.place}: cannot connect: timed out") from None
            if isinstance(said, TunnelStream):
                return said
            if isinstance(said, Exception):
                raise said
            begun = monotonic()
            self._reply(said)
            end = end and end + monotonic() - begun

    def _reply(self, asked: _Asked) -> None:
        assert self._ask is not None  # noqa: S101  (or nothing is asked)
        try:
            asked.answer.set_result(self._ask(asked.question))
        except BaseException:
            asked.answer.cancel()
            raise

    def _give_up(self) -> None:
        self._is_given_up = True
        self._soon(self._cancel)
        self._leave_questions()
        self._thread.join(_PATIENCE)
        if self._stream is not None:
            self._stream.close()

    def _leave_questions(self) -> None:
        with suppress(Empty):
            while True:
                said = self._said.get_nowait()
                if isinstance(said, _Asked):
                    said.answer.cancel()

    def _soon(self, action: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(action)

    # What follows runs on the thread.

    def _run(self) -> None:
        with (
            asyncio.Runner(loop_factory=lambda: self._loop) as runner,
            suppress(asyncio.CancelledError),
        ):
            runner.run(self._main())

    async def _main(self) -> None:
        self._task = asyncio.current_task()
        if self._is_given_up:
            return
        try:
            connection = await log_in(self._target, self._ask and self._have_asked)
        except Exception as error:  # noqa: BLE001  (it is raised where it is waited for)
            self._said.put(error)
            return
        self._tunnel = tunnel = Tunnel(connection, self._target.place)
        try:
            if await self._open(tunnel):
                await tunnel.carry()
        finally:
            await tunnel.close()

    async def _open(self, tunnel: Tunnel) -> bool:
        try:
            connected = await tunnel.open(self._command)
        except Exception as error:  # noqa: BLE001  (it is raised where it is waited for)
            self._said.put(error)
            return False
        self._stream = TunnelStream(connected, tunnel, self._target.place, self._stop)
        self._said.put(self._stream)
        return True

    def _have_asked(self, question: Question) -> str | None:
        """Have the user asked, by who waits. The loop waits, too: there is nothing else to do."""
        asked = _Asked(question, Future())
        self._said.put(asked)
        if self._is_given_up:
            return None
        try:
            return asked.answer.result()
        except CancelledError:
            return None

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _stop(self) -> None:
        """The stream is closed, by whichever thread."""
        assert self._tunnel is not None  # noqa: S101  (it is a stream's)
        self._soon(self._tunnel.stop)
        if current_thread() is not self._thread:
            self._thread.join()
