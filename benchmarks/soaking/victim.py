"""A client that is to be killed in mid-stream: ``python -m benchmarks.soaking.victim ADDRESS up|down``.

It says so when the stream is well under way, and goes on.
"""

from __future__ import annotations

import sys
from itertools import count
from typing import Final

from benchmarks.soaking.patterns import PLAIN, SOUND, content, volume
from libvirt_rpc.remote_protocol.client import RemoteClient
from rpcgen.runtime import connect

_SIZE: Final = 1 << 40
"""More than it lives for."""


def main(address: str, direction: str) -> None:
    """Until killed."""
    with connect(address) as connection:
        remote = RemoteClient(connection)
        vol = volume(PLAIN, SOUND, "victim")
        if direction == "up":
            with remote.storage_vol_upload(vol, 0, _SIZE) as stream:
                for number, piece in enumerate(content("victim", _SIZE)):
                    stream.write(piece)
                    _tell(number)
        else:
            with remote.storage_vol_download(vol, 0, _SIZE) as stream:
                for number, _ in zip(count(), stream, strict=False):
                    _tell(number)


def _tell(number: int) -> None:
    if number == 1:
        print("under way", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
