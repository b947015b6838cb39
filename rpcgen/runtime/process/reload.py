"""A reload that a signal asks for, on a thread of its own.

What is reloaded is not known here, nor what the signal is.
"""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rpcgen.runtime.process.signals import SignalRecord


class Reloader:
    """A handler for SIGHUP: it runs a reload on a thread of its own, so that the loop serves on.

    There are never two at a time. However many signals come during one, one more follows it: so
    what was changed too late for the first is in force in the end.

    Args:
        reload: what to run.
        failed: called on the same thread with what it raised. The next signal tries anew.
    """

    __slots__ = ("_failed", "_guard", "_is_closed", "_is_wanted", "_reload", "_thread")

    def __init__(self, reload: Callable[[], object], failed: Callable[[Exception], object]) -> None:
        self._reload = reload
        self._failed = failed
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_wanted = False
        self._is_closed = False

    def __call__(self, _: SignalRecord | None = None, /) -> None:
        """Ask for a reload, from any thread; it does not wait for it."""
        with self._guard:
            self._is_wanted = not self._is_closed
            if self._thread is not None or not self._is_wanted:
                return
            thread = threading.Thread(target=self._run, name="rpcgen reload", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the system has none to spare
                problem = error
            else:
                self._thread = thread
                return
        self._failed(problem)

    def close(self, timeout: float | None = None) -> bool:
        """Begin no more, and wait for the one that runs.

        Args:
            timeout: seconds to wait at most; None for ever.

        Returns:
            Whether none runs any more.
        """
        with self._guard:
            self._is_closed = True
            self._is_wanted = False
            thread = self._thread
        if thread is None or thread is threading.current_thread():
            return thread is None
        thread.join(timeout)
        return not thread.is_alive()

    def _run(self) -> None:
        try:
            while self._goes_on():
                try:
                    self._reload()
                except Exception as error:  # noqa: BLE001  (a broken file must not end reloading)
                    self._failed(error)
        except BaseException:
            with self._guard:
                self._thread = None
            raise

    def _goes_on(self) -> bool:
        with self._guard:
            wanted, self._is_wanted = self._is_wanted, False
            if not wanted:
                self._thread = None
            return wanted
