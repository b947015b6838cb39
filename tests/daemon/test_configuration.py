"""The configuration file: what is read, and that every error names its line and key."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from rpcgen.runtime.daemon.configuration import ConfigurationError, read_configuration, text, whole

KEYS = {"limits.max_clients": whole(1, 100), "logging.filters": text, "name": text}


def test_values_by_dotted_key(tmp_path: Path) -> None:
    file = tmp_path / "c"
    file.write_text('name = "n"\n[limits]\nmax_clients = 7\n[logging]\n')
    assert read_configuration(str(file), KEYS) == {"name": "n", "limits.max_clients": 7}


@pytest.mark.parametrize(
    ("source", "line", "key"),
    [
        ("# c\n\n[limits]\nmax_clients = 0\n", 4, "limits.max_clients"),
        ("limits.max_clients = true\n", 1, "limits.max_clients"),
        ('name = """\nmax_clients\n"""\n[limits]\n"max_clients" = "x"\n', 5, "limits.max_clients"),
        ("limits = {max_clients = 101}\n", 1, "limits.max_clients"),
        ("[limits]\nmax_client = 1\n", 2, "limits.max_client"),
        ("\n[other]\n", 2, "other"),
        ("\nname = 3\r\n", 2, "name"),
        ('name = "a"\n[limits\n', 2, ""),
        ('name = "a"\n\nname = "b"\n', 3, ""),
        ("limits = \n", 1, ""),
        ("\nname = " + "9" * 5000, 2, ""),
        ("\nname" + ".a" * 5000 + " = 1", 2, ""),
        ("\nname = " + "[" * 5000 + "]" * 5000, 2, ""),
        ("name = [\n1,\n]\n[[x]]\n", 1, "name"),
    ],
)
def test_an_error_has_its_line_and_key(tmp_path: Path, source: str, line: int, key: str) -> None:
    file = tmp_path / "c"
    file.write_bytes(source.encode())
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(str(file), KEYS)
    assert (caught.value.line, caught.value.key) == (line, key)
    assert str(caught.value).startswith(f"{file}: {line}: {key}")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("[servers.nosuch]\nmax = 1\n", "expected one of a, b in servers, got 'nosuch'"),
        ("[servers.nosuch]\n", "expected one of a, b in servers, got 'nosuch'"),
        ("servers.a.mix = 1\n", "expected one of max in servers.a, got 'mix'"),
        ("serfers.a.max = 1\n", "expected one of name, servers, got 'serfers'"),
        ("servers.b.max.x = 1\n", "expected a whole number from 1 to 9, got {'x': 1}"),
        ("servers = 1\n", "expected a table with a, b"),
    ],
)
def test_what_there_is_instead_of_an_unknown_key(tmp_path: Path, source: str, reason: str) -> None:
    (tmp_path / "c").write_text(source)
    keys = {"servers.a.max": whole(1, 9), "servers.b.max": whole(1, 9), "name": text}
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(str(tmp_path / "c"), keys)
    assert caught.value.reason.removeprefix("unknown key: ") == reason


def test_not_all_of_many_names_are_listed(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("x = 1\n")
    keys = {f"n{number:03}": text for number in range(100)}
    with pytest.raises(ConfigurationError, match=r"one of n000, .*, n019, \.\.\., got 'x'$"):
        read_configuration(str(tmp_path / "c"), keys)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("= 1\n", r"c: 1: [^:]* \(column 1\)"),
        ('name = "a"\nname = [\n1,\n2 3]\n', r"c: 4: [^:]* \(column 3\)"),
        ("name = [\n", r"c: 1: [^:]*"),
    ],
)
def test_the_line_is_said_once(tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "c").write_text(source)
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(str(tmp_path / "c"), KEYS)
    assert re.fullmatch(f"{tmp_path}/{said}", str(caught.value))
    assert "line" not in caught.value.reason


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(str(tmp_path / "none"), KEYS)
    assert (caught.value.line, caught.value.reason) == (None, "No such file or directory")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c")
    with pytest.raises(ConfigurationError, match="expected a file, got a pipe"):
        read_configuration(str(tmp_path / "c"), KEYS)


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    file = tmp_path / "c"
    file.write_bytes(b'name = "a"\n# \xff\n')
    with pytest.raises(ConfigurationError, match="2: expected UTF-8"):
        read_configuration(str(file), KEYS)
