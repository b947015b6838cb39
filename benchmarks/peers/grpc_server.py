"""grpcio's servers with one unary method: ``python -m benchmarks.peers.grpc_server sync|aio SOCKET``.

The method takes and gives what DOMAIN_GET_INFO does, as protocol buffers; the handler does nothing, like ours.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any, Final

from benchmarks.contestants.protobuf import compiled
from benchmarks.peers.libvirtd import NAME, UUID

SERVICE, METHOD = "bench.Hypervisor", "DomainGetInfo"
PATH: Final = f"/{SERVICE}/{METHOD}"

_THREADS: Final = 10
"""Of the sync server: as in grpcio's own examples."""


def request(messages: Any) -> bytes:
    """The method's argument."""
    data: bytes = messages.Domain(name=NAME, uuid=UUID, id=1).SerializeToString()
    return data


def reply(messages: Any) -> bytes:
    """Its result."""
    data: bytes = _info(messages).SerializeToString()
    return data


def _info(messages: Any) -> Any:
    return messages.Info(state=1, max_mem=1 << 22, memory=1 << 21, nr_virt_cpu=2, cpu_time=1 << 40)


def _handlers(grpc: Any, messages: Any, asynchronous: bool) -> Any:
    info = _info(messages)

    def handler(domain: Any, _context: object) -> Any:
        del domain
        return info

    async def async_handler(domain: Any, _context: object) -> Any:
        del domain
        return info

    method = grpc.unary_unary_rpc_method_handler(
        async_handler if asynchronous else handler,
        request_deserializer=messages.Domain.FromString,
        response_serializer=messages.Info.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(SERVICE, {METHOD: method})


def _serve(path: str) -> None:
    grpc = import_module("grpc")
    server = grpc.server(ThreadPoolExecutor(_THREADS))
    server.add_generic_rpc_handlers((_handlers(grpc, compiled(), False),))
    server.add_insecure_port(f"unix:{path}")
    server.start()
    server.wait_for_termination()


async def _serve_aio(path: str) -> None:
    server = import_module("grpc.aio").server()
    server.add_generic_rpc_handlers((_handlers(import_module("grpc"), compiled(), True),))
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    await server.wait_for_termination()


def main(kind: str, path: str) -> None:
    """Serve until killed."""
    if kind == "sync":
        _serve(path)
    else:
        asyncio.run(_serve_aio(path))


if __name__ == "__main__":
    main(*sys.argv[1:])
