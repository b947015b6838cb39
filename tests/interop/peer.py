"""C's side of a module: what Debian's ``rpcgen`` made of the ``.x`` files, compiled and kept running.

It knows processes and pipes, not what the bytes mean.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import IO, TypeAlias

from bindings import everything
from interop.cdriver import driver
from neutral import Neutral, dump

from rpcgen.model import types as t

RPCGEN = "/usr/bin/rpcgen"
"""C's; ours may stand before it in PATH under the same name."""

NEEDED = ("gcc", "pkg-config")

Prepare: TypeAlias = Callable[[str, str], str]


class CompileError(Exception):
    """``rpcgen`` or ``gcc`` does not take the file; the text is what it said."""


class PeerCrashError(Exception):
    """The C program died over a request."""


def missing() -> str:
    """What keeps us from having a peer; empty if nothing does."""
    lacking = [tool for tool in (RPCGEN, *NEEDED) if not shutil.which(tool)]
    if lacking:
        return f"not installed: {', '.join(lacking)}"
    found = subprocess.run(["pkg-config", "--exists", "libtirpc"], check=False).returncode == 0
    return "" if found else "not installed: libtirpc"


@dataclass(frozen=True, slots=True)
class Decoded:
    """What C read: its value as tokens, how many bytes that took, and what C writes for it."""

    tokens: bytes
    consumed: int
    again: bytes


class Peer:
    """One C program for one module and everything it imports."""

    def __init__(self, program: Path, types: Sequence[t.TypeDefinition]) -> None:
        self._program = program
        self._log = program.with_suffix(".log")
        self._index = {definition.name: index for index, definition in enumerate(types)}
        self._process: subprocess.Popen[bytes] | None = None

    def encode(self, definition: t.TypeDefinition, value: Neutral) -> bytes | None:
        """The XDR of a value; None if C refuses."""
        pipe = self._ask(b"E", definition, dump(t.Named(definition), value))
        return self._sized(pipe) if pipe else None

    def decode(self, definition: t.TypeDefinition, data: bytes) -> Decoded | None:
        """What C reads from the start of the bytes; None if C refuses."""
        pipe = self._ask(b"D", definition, data)
        if not pipe:
            return None
        (consumed,) = struct.unpack("=I", self._read(pipe, 4))
        again = self._sized(pipe)
        return Decoded(self._sized(pipe), consumed, again)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process; the next request starts another."""
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _ask(self, action: bytes, definition: t.TypeDefinition, payload: bytes) -> IO[bytes] | None:
        process = self._running()
        assert process.stdin
        assert process.stdout
        head = action + struct.pack("=II", self._index[definition.name], len(payload))
        try:
            process.stdin.write(head + payload)
            process.stdin.flush()
            return process.stdout if self._read(process.stdout, 1) == b"\1" else None
        except (BrokenPipeError, EOFError):
            self.close()
            raise PeerCrashError(
                f"{definition.name}: {action!r} {payload.hex()}: {self._log.read_text()}"
            ) from None

    def _running(self) -> subprocess.Popen[bytes]:
        if not self._process:
            with self._log.open("wb") as log:
                pipe = subprocess.PIPE
                self._process = subprocess.Popen(
                    [self._program], stdin=pipe, stdout=pipe, stderr=log
                )
        return self._process

    def _sized(self, pipe: IO[bytes]) -> bytes:
        (length,) = struct.unpack("=I", self._read(pipe, 4))
        return self._read(pipe, length)

    def _read(self, pipe: IO[bytes], length: int) -> bytes:
        data = pipe.read(length)
        if len(data) < length:
            raise EOFError
        return data


# Making the program


def build(module: t.Module, folder: Path, prepare: Prepare, defines: Sequence[str] = ()) -> Peer:
    """Let C's tools make a program of a module.

    Args:
        folder: where a new folder is made for it.
        prepare: gives a ``.x`` file in a form that C takes, from its stem and its text.
        defines: ``NAME=VALUE`` for names that no file defines.
    """
    folder = Path(mkdtemp(dir=folder))
    modules = everything([module])
    for file in sorted({name for one in modules for name in (one.file, *one.inputs)}):
        if file.endswith(".x"):
            text = Path(file).read_text("utf-8", "surrogateescape")
            copy = folder / Path(file).name
            copy.write_text(prepare(copy.stem, text), "utf-8", "surrogateescape")
    (folder / "rpcsvc").symlink_to(".")  # <rpcsvc/nis.h> is then the header made here
    for one in modules:
        _generate(one.stem, folder, defines)
    types = [definition for one in modules for definition in one.types]
    (folder / "driver.c").write_text(driver(f"{module.stem}.h", types))
    _compile(folder, ["driver.c", *(f"{one.stem}_xdr.c" for one in modules)])
    return Peer(folder / "driver", types)


def _generate(stem: str, folder: Path, defines: Sequence[str]) -> None:
    for kind, name in (("-h", f"{stem}.h"), ("-c", f"{stem}_xdr.c")):
        _run(
            folder, [RPCGEN, "-C", *(f"-D{one}" for one in defines), kind, "-o", name, f"{stem}.x"]
        )


def _compile(folder: Path, sources: Sequence[str]) -> None:
    ask = ["pkg-config", "--cflags", "--libs", "libtirpc"]
    libraries = subprocess.run(ask, check=True, capture_output=True, text=True).stdout.split()
    _run(folder, ["gcc", "-w", "-fno-builtin", "-I.", *sources, "-o", "driver", *libraries])


def _run(folder: Path, command: Sequence[str]) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        raise CompileError(f"{' '.join(command)}: {done.stderr}{done.stdout}")
