"""Protocol buffers with their C runtime (upb), from ``messages.proto``, compiled when it is asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.contestants import Codec
from benchmarks.contestants.readers import ARMS, READERS
from benchmarks.shapes import Plain

NAME: Final = "protobuf (upb)"

_KINDS = {name: kind for kind, name in ARMS.items()}
_SOURCE = Path(__file__).with_name("messages.proto")


def codecs(shapes: Mapping[str, Plain]) -> dict[str, Codec]:
    """Message classes and their own methods."""
    messages = compiled()
    values = _build(messages, shapes)
    readers = {**READERS, "params": read_params}
    return {
        shape: Codec(value, type(value).SerializeToString, type(value).FromString, readers[shape])
        for shape, value in values.items()
    }


def read_params(value: Any) -> Plain:
    """Every typed parameter, its kind, and what the oneof holds."""
    found = []
    for one in value.params:
        name = one.WhichOneof("value")
        found.append((one.field, (_KINDS[name], getattr(one, name))))
    return found, value.nparams


def compiled() -> Any:
    """The module of ``messages.proto``."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(_SOURCE.parent)]
        subprocess.run(  # noqa: S603  (our own file, by the compiler of this interpreter)
            [*command, f"--python_out={folder}", str(_SOURCE)], check=True
        )
        sys.path.insert(0, folder)
        try:
            return importlib.import_module(f"{_SOURCE.stem}_pb2")
        finally:
            sys.path.remove(folder)


def _build(messages: Any, shapes: Mapping[str, Plain]) -> dict[str, Any]:
    prog, vers, proc, kind, serial, status = shapes["header"]
    state, max_mem, memory, nr_virt_cpu, cpu_time = shapes["info"]
    domains, ret = shapes["domains"]
    params, nparams = shapes["params"]
    (buffer,) = shapes["opaque"]
    return {
        "header": messages.Header(
            prog=prog, vers=vers, proc=proc, type=kind, serial=serial, status=status
        ),
        "info": messages.Info(
            state=state, max_mem=max_mem, memory=memory, nr_virt_cpu=nr_virt_cpu, cpu_time=cpu_time
        ),
        "domain": _domain(messages, *shapes["domain"]),
        "domains": messages.Domains(domains=[_domain(messages, *one) for one in domains], ret=ret),
        "params": messages.Params(
            params=[
                messages.Param(field=field, **{ARMS[kind]: held}) for field, (kind, held) in params
            ],
            nparams=nparams,
        ),
        "opaque": messages.Opaque(buffer=buffer),
    }


def _domain(messages: Any, name: str, uuid: bytes, number: int) -> Any:
    return messages.Domain(name=name, uuid=uuid, id=number)
