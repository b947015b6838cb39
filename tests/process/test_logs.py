"""Logging as libvirt's daemons are told to: read, read back, in force, and still in force after a bad setting."""

from __future__ import annotations

import logging
import os
import re
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from process.kit import run

from rpcgen.runtime.errors import ProcessError
from rpcgen.runtime.process.loghandlers import JournalHandler, LogFileHandler, journal_entry
from rpcgen.runtime.process.logs import (
    LogFilter,
    LogOutput,
    Logs,
    parse_filters,
    parse_level,
    parse_outputs,
)

LOGGER = logging.getLogger("logtest")
RPC = logging.getLogger("logtest.rpc.netserver")
OTHER = logging.getLogger("logtest.other")
LINE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\+0000: \d+: (\w+) : (\w+):\d+ : (.*)", re.DOTALL
)


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    """The log of a program whose journal and syslog are the test's."""
    with Logs(
        "prog", logger=LOGGER, journal=str(tmp_path / "journal"), syslog=str(tmp_path / "syslog")
    ) as one:
        yield one
    assert LOGGER.handlers == []
    assert LOGGER.level == logging.NOTSET


@pytest.fixture
def service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """Who listens as the journal or as syslog."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(tmp_path / request.param))
        one.setblocking(False)
        yield one


journal = pytest.mark.parametrize("service", ["journal"], indirect=True)
syslog = pytest.mark.parametrize("service", ["syslog"], indirect=True)


def say_all(logger: logging.Logger) -> None:
    for level in ("debug", "info", "warning", "error"):
        getattr(logger, level)(f"{logger.name.split('.')[1]} {level}")


def messages(path: Path) -> list[str]:
    return [line.split(" : ", 2)[2] for line in path.read_text().splitlines()]


# Reading settings


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("  ", ""),
        ("1:rpc 3:server", "1:*rpc* 3:*server*"),
        ("1:*rpc*", "1:*rpc*"),
        ("1:rpc*", "1:*rpc*"),
        ("1:?pc", "1:*?pc*"),
        ("1:rpc\t 04:rpc", "1:*rpc* 4:*rpc*"),
        ("1:+rpc", "1:*rpc*"),
    ],
)
def test_filters_are_read_and_shown(text: str, shown: str) -> None:
    assert " ".join(map(str, parse_filters(text))) == shown
    assert " ".join(map(str, parse_filters(shown))) == shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2:x 0:rpc", "log filter '0:rpc': expected a level from 1 (debug) to 4 (error), got '0'"),
        ("5:rpc", "log filter '5:rpc': expected a level from 1 (debug) to 4 (error), got '5'"),
        (":rpc", "log filter ':rpc': expected a level from 1 (debug) to 4 (error), got ''"),
        ("-1:rpc", "log filter '-1:rpc': expected a level from 1 (debug) to 4 (error), got '-1'"),
        ("1rpc", "log filter '1rpc': expected LEVEL:NAME"),
        ("3:", "log filter '3:': expected LEVEL:NAME"),
        ("3:+", "log filter '3:+': expected LEVEL:NAME"),
        ("1:a:b", "log filter '1:a:b': expected LEVEL:NAME"),
    ],
)
def test_malformed_filters_are_refused(text: str, words: str) -> None:
    with pytest.raises(ProcessError, match=f"^{re.escape(words)}$"):
        parse_filters(text)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*rpc*", "rpc", True),
        ("*rpc*", "a.rpc.b", True),
        ("*rpc*", "a.rcp", False),
        ("*a?c", "abc", True),
        ("*a?c", "ac", False),
        ("*a.c", "abc", False),
        ("*[ab]*", "a", False),
        ("*[ab]*", "x[ab]", True),
        ("*", "a\nb", True),
    ],
)
def test_a_pattern_knows_two_signs(pattern: str, name: str, *, matches: bool) -> None:
    assert LogFilter(1, pattern).matches(name) is matches


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("1:file:/a 3:syslog:x  1:stderr 3:journald", "1:file:/a 3:syslog:x 1:stderr 3:journald"),
        ("1:stderr 3:stderr", "3:stderr"),
        ("1:file:/a 2:stderr 2:file:/a", "2:stderr 2:file:/a"),
        ("1:file:/a 1:file:/b", "1:file:/a 1:file:/b"),
        ("1:file:/a:3", "1:file:/a:3"),
    ],
)
def test_outputs_are_read_and_shown(text: str, shown: str) -> None:
    assert " ".join(map(str, parse_outputs(text))) == shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "0:stderr",
            "log output '0:stderr': expected a level from 1 (debug) to 4 (error), got '0'",
        ),
        (
            "stderr",
            "log output 'stderr': expected a level from 1 (debug) to 4 (error), got 'stderr'",
        ),
        (
            "1:stderr 3:fil:/x",
            "log output '3:fil:/x': expected one of stderr, file, syslog, journald after the level, got 'fil'",
        ),
        (
            "3:",
            "log output '3:': expected one of stderr, file, syslog, journald after the level, got ''",
        ),
        ("1:stderr:", "log output '1:stderr:': expected nothing after stderr, got ''"),
        ("3:journald:x", "log output '3:journald:x': expected nothing after journald, got 'x'"),
        ("1:file", "log output '1:file': expected an absolute path after file, got ''"),
        ("1:file:rel", "log output '1:file:rel': expected an absolute path after file, got 'rel'"),
        (
            "3:syslog",
            "log output '3:syslog': expected a name for the program after syslog, got ''",
        ),
    ],
)
def test_malformed_outputs_are_refused(text: str, words: str) -> None:
    with pytest.raises(ProcessError, match=f"^{re.escape(words)}$"):
        parse_outputs(text)


@pytest.mark.parametrize("value", [1, 2, 3, 4, "1", "04"])
def test_levels(value: int | str) -> None:
    assert parse_level(value) == int(value)


@pytest.mark.parametrize("value", [0, 5, -1, "", "x", "1.0", "٣", "9" * 5000])
def test_no_levels(value: int | str) -> None:
    with pytest.raises(ProcessError, match="expected a level from 1"):
        parse_level(value)


def test_settings_can_be_matched() -> None:
    match parse_outputs("2:file:/a")[0], parse_filters("1:a")[0]:
        case LogOutput(2, "file", "/a"), LogFilter(1, "*a*"):
            pass
        case other:
            pytest.fail(str(other))


# In force


def test_at_first_warnings_go_to_standard_error(
    logs: Logs, capfd: pytest.CaptureFixture[str]
) -> None:
    assert (logs.level, logs.filters, logs.outputs) == (3, "", "3:stderr")
    say_all(RPC)
    lines = capfd.readouterr().err.splitlines()
    found = [match.groups() for line in lines if (match := LINE.fullmatch(line))]
    assert found == [("warning", "say_all", "rpc warning"), ("error", "say_all", "rpc error")]


def test_a_line_is_libvirts(logs: Logs, tmp_path: Path) -> None:
    logs.configure(level=1, outputs=f"1:file:{tmp_path / 'log'}")
    RPC.debug("here")
    line = (tmp_path / "log").read_text()
    assert LINE.fullmatch(line.rstrip("\n"))
    assert f": {threading.get_native_id()}: debug : test_a_line_is_libvirts:" in line


def test_the_level_is_for_all_without_a_filter(logs: Logs, tmp_path: Path) -> None:
    logs.configure(level="2", outputs=f"1:file:{tmp_path / 'log'}")
    say_all(RPC)
    assert messages(tmp_path / "log") == ["rpc info", "rpc warning", "rpc error"]
    assert logs.level == 2
    assert not RPC.isEnabledFor(logging.DEBUG)


def test_a_filter_lets_more_or_less_through(logs: Logs, tmp_path: Path) -> None:
    logs.configure(filters="1:rpc 4:other", outputs=f"1:file:{tmp_path / 'log'}")
    for one in (RPC, OTHER):
        say_all(one)
    expected = ["rpc debug", "rpc info", "rpc warning", "rpc error", "other error"]
    assert messages(tmp_path / "log") == expected
    logs.configure(filters="")
    say_all(RPC)
    assert messages(tmp_path / "log")[5:] == ["rpc warning", "rpc error"]


def test_the_first_filter_that_matches_counts(logs: Logs, tmp_path: Path) -> None:
    logs.configure(filters="4:netserver 1:rpc", outputs=f"1:file:{tmp_path / 'log'}")
    say_all(RPC)
    assert messages(tmp_path / "log") == ["rpc error"]


def test_a_logger_that_comes_later_is_filtered(logs: Logs, tmp_path: Path) -> None:
    logs.configure(filters="1:later", outputs=f"1:file:{tmp_path / 'log'}")
    logging.getLogger("logtest.later").debug("late")
    assert messages(tmp_path / "log") == ["late"]


def test_an_output_has_a_level_of_its_own(logs: Logs, tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    logs.configure(level=1, outputs=f"2:file:{a} 4:file:{b}")
    say_all(RPC)
    assert (messages(a), messages(b)) == (["rpc info", "rpc warning", "rpc error"], ["rpc error"])


def test_default_outputs_follow_the_level_until_others_are_set(logs: Logs, tmp_path: Path) -> None:
    logs.configure(level=1)
    assert logs.outputs == "1:stderr"
    logs.configure(outputs=f"2:file:{tmp_path / 'log'}")
    logs.configure(level=4)
    assert logs.outputs == f"2:file:{tmp_path / 'log'}"
    logs.configure(outputs="")
    assert logs.outputs == "4:stderr"


def test_default_outputs_can_be_others(tmp_path: Path) -> None:
    with Logs("x", logger=LOGGER, default_outputs=f"2:file:{tmp_path / 'log'}") as logs:
        assert logs.outputs == f"2:file:{tmp_path / 'log'}"
        assert (tmp_path / "log").exists()


def test_handlers_of_others_stay(logs: Logs) -> None:
    other = logging.NullHandler()
    LOGGER.addHandler(other)
    try:
        logs.configure(outputs="1:stderr 1:journald")
        logs.close()
        assert LOGGER.handlers == [other]
    finally:
        LOGGER.removeHandler(other)


def test_the_root_logger_is_meant_without_another() -> None:
    source = """
import logging
from rpcgen.runtime.process.logs import Logs
with Logs("x") as logs:
    logs.configure(level=2)
    print(len(logging.getLogger().handlers), logging.getLogger().level)
    logging.getLogger("any").info("said")
print(logging.getLogger().handlers, logging.getLogger().level)
"""
    assert run(source) == "1 20\n[] 30\n"


# A bad setting


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"level": "7"}, "log level: expected a level from 1 (debug) to 4 (error), got '7'"),
        ({"level": "1", "filters": "x"}, "log filter 'x': expected LEVEL:NAME"),
        ({"level": "1", "filters": "1:x", "outputs": "1:x"}, "log output '1:x': expected one of"),
        (
            {"filters": "1:x", "outputs": "1:file:{0}/new 1:file:/nowhere/x"},
            "log output '1:file:/nowhere/x': No such file or directory",
        ),
        ({"outputs": "1:file:{0}"}, "log output '1:file:{0}': Is a directory"),
    ],
)
def test_what_was_in_force_still_is(
    settings: dict[str, str], words: str, logs: Logs, tmp_path: Path
) -> None:
    logs.configure(level=2, filters="1:rpc", outputs=f"1:file:{tmp_path / 'log'}")
    before = (logs.level, logs.filters, logs.outputs)
    descriptors = len(os.listdir("/proc/self/fd"))
    placed = {name: value.format(tmp_path) for name, value in settings.items()}
    with pytest.raises(ProcessError, match=f"^{re.escape(words.format(tmp_path))}"):
        logs.configure(**placed)
    assert (logs.level, logs.filters, logs.outputs) == before
    assert len(os.listdir("/proc/self/fd")) == descriptors
    RPC.debug("still")
    assert messages(tmp_path / "log") == ["still"]


def test_a_pipe_that_nobody_reads_keeps_nobody_waiting(logs: Logs, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ProcessError, match="pipe': No such device or address"):
        logs.configure(outputs=f"1:file:{tmp_path / 'pipe'}")


# Files


def test_a_file_is_its_owners_and_is_added_to(logs: Logs, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("x : y : before\n")
    logs.configure(outputs=f"1:file:{tmp_path / 'log'} 1:file:{tmp_path / 'new'}")
    RPC.error("after")
    assert messages(tmp_path / "log") == ["before", "after"]
    assert (tmp_path / "new").stat().st_mode & 0o7777 == 0o600


def test_a_file_that_stays_is_not_opened_anew(logs: Logs, tmp_path: Path) -> None:
    path = tmp_path / "log"
    logs.configure(outputs=f"1:file:{path}")
    path.rename(tmp_path / "moved")
    logs.configure(outputs=f"4:file:{path} 1:stderr")
    RPC.error("said")
    assert messages(tmp_path / "moved") == ["said"]
    assert not path.exists()


def test_a_rotated_file_is_opened_anew(logs: Logs, tmp_path: Path) -> None:
    path = tmp_path / "log"
    logs.configure(outputs=f"1:file:{path} 1:stderr")
    RPC.error("old")
    path.rename(tmp_path / "log.1")
    logs.reopen()
    RPC.error("new")
    assert (messages(tmp_path / "log.1"), messages(path)) == (["old"], ["new"])


def test_a_file_that_cannot_be_opened_anew_goes_on(logs: Logs, tmp_path: Path) -> None:
    one, other = tmp_path / "a/log", tmp_path / "log"
    one.parent.mkdir()
    logs.configure(outputs=f"1:file:{one} 1:file:{other}")
    one.parent.rename(tmp_path / "b")
    other.rename(tmp_path / "log.1")
    with pytest.raises(ProcessError, match=f"cannot be opened: {one}: No such file or directory$"):
        logs.reopen()
    RPC.error("said")
    assert messages(tmp_path / "b/log") == messages(other) == ["said"]


def test_a_traceback_and_any_text_are_written(tmp_path: Path) -> None:
    source = """
import logging, sys
from rpcgen.runtime.process.logs import Logs
with Logs("x") as logs:
    logs.configure(outputs=f"1:file:{sys.argv[1]}")
    try:
        raise KeyError("\\udce4\\N{EURO SIGN}")
    except KeyError:
        logging.exception("oops \\udce4")
"""
    assert run(source, tmp_path / "log") == ""
    text = (tmp_path / "log").read_bytes().decode()
    assert "oops \\udce4\nTraceback" in text
    assert text.endswith("KeyError: '\\udce4\N{EURO SIGN}'\n")


def test_a_full_disk_stops_nobody(logs: Logs, tmp_path: Path) -> None:
    path = tmp_path / "log"
    source = """
import logging, resource, signal, sys
from rpcgen.runtime.process.logs import Logs
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
with Logs("x") as logs:
    logs.configure(outputs=f"1:file:{sys.argv[1]}")
    logging.error("lost")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    logging.error("kept")
"""
    assert run(source, path) == ""
    assert messages(path) == ["kept"]


def test_a_wrong_call_is_still_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handler = LogFileHandler(str(tmp_path / "log"))
    handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("no number",)}))
    handler.close()
    assert "Logging error" in capsys.readouterr().err


def test_after_close_a_handler_drops(tmp_path: Path) -> None:
    handler = LogFileHandler(str(tmp_path / "log"))
    handler.close()
    handler.close()
    handler.handle(logging.makeLogRecord({"msg": "late"}))
    assert (tmp_path / "log").read_text() == ""


# Syslog


@syslog
def test_syslog_gets_priority_name_and_pid(logs: Logs, service: socket.socket) -> None:
    logs.configure(level=1, outputs="1:syslog:ident")
    say_all(RPC)
    priorities = [(7, "debug"), (6, "info"), (4, "warning"), (3, "error")]
    for priority, word in priorities:
        expected = f"<{3 << 3 | priority}>ident[{os.getpid()}]: rpc {word}\0"
        assert service.recv(1000).decode() == expected


def test_syslog_may_come_later(logs: Logs, tmp_path: Path) -> None:
    logs.configure(outputs="1:syslog:ident")
    RPC.error("lost")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind(str(tmp_path / "syslog"))
        RPC.error("kept")
        assert b"kept" in service.recv(1000)


# The journal


def fields(data: bytes) -> dict[str, str]:
    """An entry, as the journal reads it."""
    found = {}
    while data:
        head, _, data = data.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if not equals:
            (size,) = struct.unpack_from("<Q", data)
            value, data = data[8 : 8 + size], data[8 + size :]
            assert data[:1] == b"\n"
            data = data[1:]
        found[name.decode()] = value.decode()
    return found


@journal
def test_the_journal_gets_fields(logs: Logs, service: socket.socket) -> None:
    logs.configure(outputs="1:journald")
    RPC.error("a message")
    found = fields(service.recv(10000))
    assert found.pop("CODE_LINE").isdigit()
    assert found == {
        "MESSAGE": "a message",
        "PRIORITY": "3",
        "SYSLOG_IDENTIFIER": "prog",
        "LOGGER": RPC.name,
        "CODE_FILE": __file__,
        "CODE_FUNC": "test_the_journal_gets_fields",
        "TID": str(threading.get_native_id()),
    }


@journal
def test_no_message_passes_for_a_field(logs: Logs, service: socket.socket) -> None:
    logs.configure(outputs="1:journald")
    RPC.error("a\nPRIORITY=7\nMESSAGE=b")
    found = fields(service.recv(10000))
    assert (found["MESSAGE"], found["PRIORITY"]) == ("a\nPRIORITY=7\nMESSAGE=b", "3")


def test_an_entry_byte_for_byte() -> None:
    entry = journal_entry([("A", "x"), ("B", "y\nz"), ("C", 5), ("D", "\udce4=")])
    assert entry == b"A=x\nB\n\x03\0\0\0\0\0\0\0y\nz\nC=5\nD=\\udce4=\n"


@journal
@pytest.mark.parametrize(
    ("level", "priority"),
    [(5, "7"), (10, "7"), (20, "6"), (25, "6"), (30, "4"), (40, "3"), (50, "2")],
)
def test_levels_have_priorities(
    level: int, priority: str, service: socket.socket, tmp_path: Path
) -> None:
    handler = JournalHandler("x", str(tmp_path / "journal"))
    handler.handle(logging.makeLogRecord({"levelno": level}))
    handler.close()
    assert fields(service.recv(10000))["PRIORITY"] == priority


@journal
def test_a_long_entry_travels_in_a_sealed_file(logs: Logs, service: socket.socket) -> None:
    logs.configure(outputs="1:journald")
    text = "x" * 5_000_000
    RPC.error(text)
    data, (fd,), _, _ = socket.recv_fds(service, 100, 1)
    with open(fd, "r+b") as file:
        assert data == b""
        file.seek(0)
        assert fields(file.read())["MESSAGE"] == text
        with pytest.raises(PermissionError):
            os.truncate(file.fileno(), 0)


@journal
def test_a_journal_that_hangs_keeps_nobody_waiting(logs: Logs, service: socket.socket) -> None:
    logs.configure(outputs="1:journald")
    for number in range(2000):  # far more than the system keeps for a reader
        RPC.error("%d", number)
    first = fields(service.recv(10000))
    assert first["MESSAGE"] == "0"


def test_a_journal_may_come_later_and_again(logs: Logs, tmp_path: Path) -> None:
    logs.configure(outputs="1:journald")
    for _ in range(2):
        RPC.error("lost")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
            service.bind(str(tmp_path / "journal"))
            RPC.error("kept")
            assert fields(service.recv(10000))["MESSAGE"] == "kept"
        (tmp_path / "journal").unlink()


# At run time


def test_settings_change_while_threads_log(logs: Logs, tmp_path: Path) -> None:
    path = tmp_path / "log"
    logs.configure(outputs=f"1:file:{path}")
    done = threading.Event()
    counts = []

    def say() -> None:
        count = 0
        while not done.is_set() or not count:
            RPC.error("x")
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=say) for _ in range(3)]
    for one in threads:
        one.start()
    for number in range(200):
        logs.configure(
            filters="1:rpc" if number % 2 else "", outputs=f"{number % 4 + 1}:file:{path}"
        )
        logs.reopen()
    done.set()
    for one in threads:
        one.join()
    assert messages(path) == ["x"] * sum(counts)
