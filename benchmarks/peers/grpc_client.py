"""grpcio's asyncio client, the C core underneath, as a load.

``python -m benchmarks.peers.grpc_client SOCKET CONNECTIONS IN_FLIGHT SECONDS`` prints how many calls were answered.
"""

from __future__ import annotations

import asyncio
import sys
import time
from importlib import import_module

from benchmarks.contestants.protobuf import compiled
from benchmarks.peers import grpc_server


async def call(path: str, connections: int, in_flight: int, seconds: float) -> int:
    """Keep calls in flight for a time; returns how many were answered in it."""
    grpc, messages = import_module("grpc"), compiled()
    domain = messages.Domain.FromString(grpc_server.request(messages))
    until = time.perf_counter() + seconds

    async def some() -> int:
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"unix:{path}", options) as channel:
            method = channel.unary_unary(
                grpc_server.PATH,
                request_serializer=messages.Domain.SerializeToString,
                response_deserializer=messages.Info.FromString,
            )

            async def one() -> int:
                calls = 0
                while time.perf_counter() < until:
                    await method(domain)
                    calls += 1
                return calls

            return sum(await asyncio.gather(*(one() for _ in range(in_flight))))

    return sum(await asyncio.gather(*(some() for _ in range(connections))))


def main(path: str, connections: str, in_flight: str, seconds: str) -> None:
    """Call, and print."""
    print(asyncio.run(call(path, int(connections), int(in_flight), float(seconds))))


if __name__ == "__main__":
    main(*sys.argv[1:])
