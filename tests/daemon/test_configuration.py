"""The configuration file: what is read, and that every error names its line and key."""

from __future__ import annotations

import os
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
