"""What a daemon logs and where to, said as libvirt's daemons say it and changed while it runs.

``log_level``, ``log_filters`` and ``log_outputs`` are read into settings of Python's ``logging``,
and back. The targets are ``loghandlers``'; who sets them, and when, is the daemon's part.
"""

from __future__ import annotations

import logging
import os
import re

from rpcgen.runtime.errors import ProcessError
from rpcgen.runtime.process.loghandlers import (
    JOURNAL,
    SYSLOG,
    DescriptorHandler,
    JournalHandler,
    LogFileHandler,
    SyslogHandler,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

LEVELS: Final = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}
"""libvirt's levels (``virLogPriority``) and Python's."""

DEFAULT_LEVEL: Final = 3
"""Warnings and errors, as with libvirt's daemons."""

DESTINATIONS: Final = {"stderr": False, "file": True, "syslog": True, "journald": False}
"""Where messages may go (``virLogDestination``), and whether more is said: a path, a name."""


class LogFilter:
    """From which level on messages of some loggers are logged, whatever the level of the rest.

    Attributes:
        level: 1 debug, 2 info, 3 warning, 4 error.
        pattern: of the loggers' names; ``*`` is any text, ``?`` any character.
    """

    __match_args__ = ("level", "pattern")
    __slots__ = ("_pattern", "level", "pattern")

    def __init__(self, level: int, pattern: str) -> None:
        self.level = level
        self.pattern = pattern
        parts = ({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern)
        self._pattern = re.compile("".join(parts), re.DOTALL)

    def matches(self, name: str) -> bool:
        """Whether it is about the logger of that name."""
        return bool(self._pattern.fullmatch(name))

    def __str__(self) -> str:
        return f"{self.level}:{self.pattern}"


class LogOutput:
    """A target for messages from a level on.

    Attributes:
        level: 1 debug, 2 info, 3 warning, 4 error.
        destination: ``stderr``, ``file``, ``syslog`` or ``journald``.
        data: a file's path, syslog's name for the program; empty for others.
    """

    __match_args__ = ("level", "destination", "data")
    __slots__ = ("data", "destination", "level")

    def __init__(self, level: int, destination: str, data: str = "") -> None:
        self.level = level
        self.destination = destination
        self.data = data

    def __str__(self) -> str:
        return ":".join(filter(None, (str(self.level), self.destination, self.data)))


def parse_level(value: int | str) -> int:
    """A level from 1, debug, to 4, error, as a number or its digits.

    Raises:
        ProcessError: it is none.
    """
    text = str(value)
    if not (text.isascii() and text.isdigit()) or text.lstrip("0") not in ("1", "2", "3", "4"):
        raise ProcessError(f"expected a level from 1 (debug) to 4 (error), got {text!r}")
    return int(text)


def parse_filters(text: str) -> list[LogFilter]:
    """Filters as in ``1:rpc 3:server``: the first that matches a logger counts.

    A name stands for every logger that has it somewhere in its own (``*rpc*``).

    Raises:
        ProcessError: one is malformed; which, and what was expected.
    """
    return [_filter(item) for item in text.split()]


def _filter(item: str) -> LogFilter:
    level, colon, name = item.partition(":")
    name = name.removeprefix("+")  # once asked libvirt for a trace of the stack
    try:
        if not colon or not name or ":" in name:
            raise ProcessError("expected LEVEL:NAME")
        number = parse_level(level)
    except ProcessError as error:
        raise ProcessError(f"log filter {item!r}: {error}") from None
    before = "" if name.startswith("*") else "*"
    after = "" if name.endswith("*") else "*"
    return LogFilter(number, f"{before}{name}{after}")


def parse_outputs(text: str) -> list[LogOutput]:
    """Outputs as in ``1:file:/var/log/x.log 3:syslog:x 1:stderr 3:journald``.

    The last one counts of those with the same target.

    Raises:
        ProcessError: one is malformed; which, and what was expected.
    """
    found: dict[tuple[str, str], LogOutput] = {}
    for item in text.split():
        output = _output(item)
        found.pop((output.destination, output.data), None)
        found[output.destination, output.data] = output
    return [*found.values()]


def _output(item: str) -> LogOutput:
    level, _, rest = item.partition(":")
    destination, colon, data = rest.partition(":")
    try:
        number = parse_level(level)
        _check_destination(destination, data if colon else None)
    except ProcessError as error:
        raise ProcessError(f"log output {item!r}: {error}") from None
    return LogOutput(number, destination, data)


def _check_destination(destination: str, data: str | None) -> None:
    if destination not in DESTINATIONS:
        names = ", ".join(DESTINATIONS)
        raise ProcessError(f"expected one of {names} after the level, got {destination!r}")
    if not DESTINATIONS[destination] and data is not None:
        raise ProcessError(f"expected nothing after {destination}, got {data!r}")
    if destination == "file" and not os.path.isabs(data or ""):
        raise ProcessError(f"expected an absolute path after file, got {data or ''!r}")
    if destination == "syslog" and not data:
        raise ProcessError("expected a name for the program after syslog, got ''")


class _Selection(logging.Filter):
    """What the level and the filters let through, for handlers: loggers come and go."""

    def __init__(self, level: int, filters: list[LogFilter]) -> None:
        super().__init__()
        self._level = level
        self._filters = filters
        self._known: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a message is logged."""
        threshold = self._known.get(record.name)
        if threshold is None:
            threshold = self._known[record.name] = LEVELS[self._level_of(record.name)]
        return record.levelno >= threshold

    def _level_of(self, name: str) -> int:
        return next((one.level for one in self._filters if one.matches(name)), self._level)


class Logs:
    """The log of a program, from its making to ``close``; a context manager that closes it.

    It begins with the default level and default outputs. Handlers that others have put on the
    logger stay.

    Args:
        program: how the journal calls it.
        logger: whose messages, and whose descendants', are logged; None for the root, and so all.
        default_outputs: what no outputs stand for; None for standard error, from the level on.
        journal: the journal's socket.
        syslog: syslog's socket.
    """

    def __init__(
        self,
        program: str,
        *,
        logger: logging.Logger | None = None,
        default_outputs: str | None = None,
        journal: str = JOURNAL,
        syslog: str = SYSLOG,
    ) -> None:
        self._program = program
        self._logger = logger or logging.getLogger()
        self._level_before = self._logger.level
        self._default_outputs = default_outputs
        self._sockets = (journal, syslog)
        self._level = DEFAULT_LEVEL
        self._filters: list[LogFilter] = []
        self._outputs: list[LogOutput] = []
        self._handlers: dict[tuple[str, str], logging.Handler] = {}
        self._is_default = True
        self.configure(outputs="")

    @property
    def level(self) -> int:
        """The level in force, for loggers that no filter is about."""
        return self._level

    @property
    def filters(self) -> str:
        """The filters in force, as ``virt-admin daemon-log-filters`` shows them: ``1:*rpc*``."""
        return " ".join(map(str, self._filters))

    @property
    def outputs(self) -> str:
        """The outputs in force, as ``virt-admin daemon-log-outputs`` shows them."""
        return " ".join(map(str, self._outputs))

    def configure(
        self,
        *,
        level: int | str | None = None,
        filters: str | None = None,
        outputs: str | None = None,
    ) -> None:
        """Change any of the three; None leaves it as it is. All of it is done, or nothing.

        Files that stay are not opened anew, and no message between is lost.

        Args:
            level: 1 debug, 2 info, 3 warning, 4 error.
            filters: as ``parse_filters`` takes them; empty for none.
            outputs: as ``parse_outputs`` takes them; empty for the default ones.

        Raises:
            ProcessError: something is malformed, or a file cannot be opened (its OSError is the
                cause); what was in force still is.
        """
        new_level = self._level if level is None else _named_level(level)
        new_filters = self._filters if filters is None else parse_filters(filters)
        is_default = self._is_default if outputs is None else not outputs.split()
        if is_default:
            outputs = self._default_outputs or f"{new_level}:stderr"
        new_outputs = self._outputs if outputs is None else parse_outputs(outputs)
        handlers = self._open(new_outputs)
        self._level, self._filters, self._outputs = new_level, new_filters, new_outputs
        self._is_default = is_default
        self._apply(handlers)

    def reopen(self) -> None:
        """Open log files anew, since they may have been rotated; all that can be.

        Raises:
            ProcessError: some cannot be, and are written to where they are.
        """
        failed = []
        for handler in self._handlers.values():
            if isinstance(handler, LogFileHandler):
                try:
                    handler.reopen()
                except OSError as error:
                    failed.append(f"{handler.path}: {error.strerror}")
        if failed:
            raise ProcessError(f"log files cannot be opened: {', '.join(failed)}")

    def close(self) -> None:
        """Log nothing more, and give the logger back its level."""
        self._exchange({})
        self._logger.setLevel(self._level_before)

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, outputs: list[LogOutput]) -> dict[tuple[str, str], logging.Handler]:
        """The handlers of all outputs; those that there are stay, and nothing is applied yet."""
        found: dict[tuple[str, str], logging.Handler] = {}
        try:
            for output in outputs:
                key = output.destination, output.data
                found[key] = self._handlers.get(key) or self._handler(output)
        except OSError as error:
            for key in found.keys() - self._handlers.keys():
                found[key].close()
            raise ProcessError(f"log output '{output}': {error.strerror}") from error
        return found

    def _handler(self, output: LogOutput) -> logging.Handler:
        journal, syslog = self._sockets
        match output.destination:
            case "file":
                return LogFileHandler(output.data)
            case "syslog":
                return SyslogHandler(output.data, syslog)
            case "journald":
                return JournalHandler(self._program, journal)
        return DescriptorHandler(2)

    def _apply(self, handlers: dict[tuple[str, str], logging.Handler]) -> None:
        selection = _Selection(self._level, self._filters)
        for output in self._outputs:
            handler = handlers[output.destination, output.data]
            handler.setLevel(LEVELS[output.level])
            handler.filters = [selection]
        lowest = min([self._level, *(one.level for one in self._filters)])
        self._logger.setLevel(LEVELS[lowest])
        self._exchange(handlers)

    def _exchange(self, handlers: dict[tuple[str, str], logging.Handler]) -> None:
        before, self._handlers = self._handlers, handlers
        for key in handlers.keys() - before.keys():
            self._logger.addHandler(handlers[key])
        for key in before.keys() - handlers.keys():
            self._logger.removeHandler(before[key])
            before[key].close()


def _named_level(value: int | str) -> int:
    try:
        return parse_level(value)
    except ProcessError as error:
        raise ProcessError(f"log level: {error}") from None
