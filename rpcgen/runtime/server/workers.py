"""Threads that run jobs: ordinary ones, those kept free for what is urgent, one for each stream.

What a job does, and where its result goes, is not known here.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Job: TypeAlias = Callable[[], object]

_logger = logging.getLogger(__name__)


class _Crew:
    """Workers of one kind.

    Attributes:
        size: how many there are.
        most: how many there may be; those above it end when they have finished their jobs.
        idle: what wakes each of those that wait.
    """

    __slots__ = ("idle", "most", "name", "size")

    def __init__(self, name: str, most: int) -> None:
        self.name = name
        self.size = 0
        self.most = most
        self.idle: list[threading.Lock] = []


class Workers:
    """A bounded pool (virThreadPool): jobs in one queue, first in, first out.

    Ordinary workers take the job that has waited longest, priority workers the urgent one that has.
    ``minimum`` ordinary and all priority workers are there from the start; a job that finds none
    of them free brings one more, up to ``maximum``.

    Args:
        minimum, maximum: of ordinary workers; maximum is at least 1.
        priority: workers beside those.
    """

    def __init__(self, minimum: int, maximum: int, priority: int) -> None:
        self._lock = threading.Lock()
        self._jobs: OrderedDict[int, Job] = OrderedDict()  # by the number of each
        self._urgent: OrderedDict[int, Job] = OrderedDict()  # those of them that are
        self._last = 0
        self._coming = 0  # workers that will look at the queue: woken, or just started
        self._ordinary = _Crew("worker", maximum)
        self._priority = _Crew("priority worker", priority)
        self._ended: Callable[[], object] | None = None  # set when it is stopping
        self._hire(minimum, priority)

    @property
    def size(self) -> int:
        """Ordinary workers."""
        return self._ordinary.size

    @property
    def priority_size(self) -> int:
        """Priority workers."""
        return self._priority.size

    @property
    def free(self) -> int:
        """Ordinary workers without a job."""
        return len(self._ordinary.idle)

    @property
    def queued(self) -> int:
        """Jobs that no worker has taken."""
        return len(self._jobs)

    def submit(self, job: Job, *, urgent: bool = False) -> int:
        """Queue a job, which should not raise; returns its number."""
        with self._lock:
            number = self._last = self._last + 1
            self._jobs[number] = job
            if urgent:
                self._urgent[number] = job
            self._wake_one()
        return number

    def withdraw(self, number: int) -> bool:
        """Take a job back; False if it has begun."""
        with self._lock:
            self._urgent.pop(number, None)
            return self._jobs.pop(number, None) is not None

    def resize(self, minimum: int, maximum: int, priority: int) -> None:
        """Change the bounds; workers above them end when they have finished their jobs."""
        self._ordinary.most = maximum
        self._priority.most = priority
        self._hire(minimum, priority)
        self._wake_all()

    def stop(self, ended: Callable[[], object]) -> None:
        """Let workers end once there are no jobs, of which none may come any more.

        Args:
            ended: called by the last of them; at once if there is none.
        """
        self._ended = ended
        self._wake_all()
        with self._lock:
            is_over = not (self._ordinary.size or self._priority.size)
        if is_over:
            ended()

    def _hire(self, minimum: int, priority: int) -> None:
        with self._lock:
            for crew, wanted in ((self._ordinary, minimum), (self._priority, priority)):
                while crew.size < wanted:
                    self._start(crew)

    def _start(self, crew: _Crew) -> None:
        crew.size += 1
        self._coming += 1
        if not start(self._work, crew, name=crew.name):
            crew.size -= 1
            self._coming -= 1

    def _wake(self, crew: _Crew) -> None:
        self._coming += 1
        crew.idle.pop().release()

    def _wake_one(self) -> None:
        """Wake one worker if there is a job for it, and nobody is coming anyway.

        Who wakes up has to wait for the interpreter's lock. Short jobs are done by then, by those
        who have it, and many workers woken at once would only stand in each other's way. Each
        wakes the next.
        """
        if self._coming or not self._jobs:
            return
        if self._ordinary.idle:
            self._wake(self._ordinary)
        elif self._urgent and self._priority.idle:
            self._wake(self._priority)
        elif self._ordinary.size < self._ordinary.most:
            self._start(self._ordinary)

    def _wake_all(self) -> None:
        with self._lock:
            for crew in (self._ordinary, self._priority):
                while crew.idle:
                    self._wake(crew)

    def _work(self, crew: _Crew) -> None:
        wake = threading.Lock()
        wake.acquire()
        is_coming = True
        while True:
            with self._lock:
                is_surplus = crew.size > crew.most
                job = None if is_surplus else self._take(crew)
                if is_coming:
                    self._coming -= 1
                    self._wake_one()
                if job is None:
                    if is_surplus or self._ended is not None:
                        break
                    crew.idle.append(wake)
            if job is None:
                wake.acquire()
            else:
                run(job)
            is_coming = job is None
            job = None  # nor what hangs on it
        self._leave(crew)

    def _take(self, crew: _Crew) -> Job | None:
        queue = self._jobs if crew is self._ordinary else self._urgent
        if not queue:
            return None
        number, job = queue.popitem(last=False)
        self._jobs.pop(number, None)
        self._urgent.pop(number, None)
        return job

    def _leave(self, crew: _Crew) -> None:
        with self._lock:
            crew.size -= 1
            self._wake_one()
            is_last = not (self._ordinary.size or self._priority.size)
        if is_last and self._ended is not None:
            self._ended()


class StreamThreads:
    """A thread for each job, since a stream may take for ever and would keep a worker.

    Args:
        most: threads at the same time; jobs above that wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._waiting: OrderedDict[int, Job] = OrderedDict()  # by the number of each
        self._last = 0
        self._ended: Callable[[], object] | None = None
        self.size = 0

    def submit(self, job: Job) -> int:
        """Run a job, which should not raise, once there may be a thread for it; returns its number."""
        with self._lock:
            number = self._last = self._last + 1
            if self.size < self._most and start(self._work, job, name="stream"):
                self.size += 1
            else:
                self._waiting[number] = job
        return number

    def withdraw(self, number: int) -> bool:
        """Take a job back; False if it has begun."""
        with self._lock:
            return self._waiting.pop(number, None) is not None

    def stop(self, ended: Callable[[], object]) -> None:
        """Have the last thread tell that there is none any more; at once if there is none."""
        with self._lock:
            self._ended = ended
            is_over = not self.size
        if is_over:
            ended()

    def _work(self, job: Job | None) -> None:
        while job is not None:
            run(job)
            job = self._next()
        if not self.size and self._ended is not None:
            self._ended()

    def _next(self) -> Job | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popitem(last=False)[1]
            self.size -= 1
            return None


def start(function: Callable[[Any], object], argument: object, *, name: str) -> bool:
    """Start a thread, if the system has one; a process that ends does not wait for it."""
    thread = threading.Thread(target=function, args=(argument,), name=f"rpc {name}", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        _logger.warning("no thread for a %s: %s", name, error)
        return False
    return True


def run(job: Job) -> None:
    """Run a job; nothing that it raises ends the thread."""
    try:
        job()
    except BaseException:
        _logger.exception("a job failed")
