"""Filer's server against its generated clients: files on disk decide."""

from __future__ import annotations

import hashlib
import os
import queue
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from rpcgen.examples.filer.bindings.filer.client import FilerV1Client
from rpcgen.examples.filer.bindings.filer.types import (
    FilerChange,
    FilerDetailsFilerFile,
    FilerDetailsFilerFolder,
    FilerDetailsFilerLink,
    FilerError,
)
from rpcgen.examples.filer.server import Filer
from rpcgen.runtime import RemoteError, Server, connect

DEADLINE = 30.0
"""Seconds after which something that happens at once has not happened."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("hello")
    (root / "link").symlink_to("a.txt")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("secret")
    (root / "out").symlink_to("../secret")
    return root


@pytest.fixture
def filer(root: Path) -> Iterator[FilerV1Client]:
    with Server([Filer(root)]) as server, connect(server.dial()) as connection:
        yield FilerV1Client(connection)


def test_a_folder_is_listed_in_order(filer: FilerV1Client) -> None:
    entries = filer.list_folder("")
    assert [(entry.path, entry.details) for entry in entries] == [
        ("a.txt", FilerDetailsFilerFile(5)),
        ("link", FilerDetailsFilerLink("a.txt")),
        ("out", FilerDetailsFilerLink("../secret")),
        ("sub", FilerDetailsFilerFolder(0)),
    ]


def test_a_digest_is_there_when_asked_for(filer: FilerV1Client) -> None:
    assert filer.stat("a.txt", False).digest is None
    assert filer.stat("a.txt", True).digest == hashlib.sha256(b"hello").digest()
    assert filer.stat("sub", True).digest is None


@pytest.mark.parametrize("path", ["../secret/key", "out/key", "/etc/passwd", "sub//x", "."])
def test_no_path_leads_out(filer: FilerV1Client, path: str) -> None:
    for ask in (
        lambda: filer.stat(path, True),
        lambda: filer.remove(path),
        lambda: filer.rename(path, "x"),
        lambda: filer.rename("a.txt", path),
        lambda: filer.upload(path, True).finish(),
        lambda: filer.download(path).finish(),
    ):
        with pytest.raises(RemoteError) as caught:
            ask()
        assert caught.value.code == FilerError.FILER_BAD_PATH


def test_what_is_not_there_or_there_already_has_its_own_error(
    filer: FilerV1Client, root: Path
) -> None:
    for code, ask in (
        (FilerError.FILER_NOT_FOUND, lambda: filer.stat("nothing", False)),
        (FilerError.FILER_NOT_FOUND, lambda: filer.rename("nothing", "x")),
        (FilerError.FILER_EXISTS, lambda: filer.rename("a.txt", "sub")),
        (FilerError.FILER_WRONG_KIND, lambda: filer.list_folder("a.txt")),
        (FilerError.FILER_WRONG_KIND, lambda: filer.download("sub").finish()),
    ):
        with pytest.raises(RemoteError) as caught:
            ask()
        assert caught.value.code == code
    (root / "sub" / "x").touch()
    with pytest.raises(RemoteError) as caught:
        filer.remove("sub")
    assert caught.value.code == 38  # what the system said
    assert caught.value.int1 > 0


def test_a_file_goes_up_and_comes_back(filer: FilerV1Client, root: Path) -> None:
    content = os.urandom(1_000_003)
    with filer.upload("sub/big", overwrite=False) as stream:
        stream.upload(BytesIO(content))
    assert (root / "sub" / "big").read_bytes() == content
    back = BytesIO()
    with filer.download("sub/big") as stream:
        assert stream.reply.details == FilerDetailsFilerFile(len(content))
        assert stream.download(back) == len(content)
    assert back.getvalue() == content


def test_an_upload_that_is_aborted_leaves_nothing(filer: FilerV1Client, root: Path) -> None:
    def give_up() -> None:
        with filer.upload("new", overwrite=False) as stream:
            stream.write(b"half of it")
            raise KeyError("changed my mind")

    with pytest.raises(KeyError):
        give_up()
    filer.list_folder("")  # the handler may still be at work until here
    with filer.upload("other", overwrite=False) as stream:
        stream.write(b"all of it")
    assert not (root / "new").exists()
    assert (root / "other").read_bytes() == b"all of it"


def test_a_file_is_replaced_only_when_asked(filer: FilerV1Client, root: Path) -> None:
    def store(*, overwrite: bool) -> None:
        with filer.upload("a.txt", overwrite=overwrite) as stream:
            stream.write(b"new")

    with pytest.raises(RemoteError) as caught:
        store(overwrite=False)
    assert caught.value.code == FilerError.FILER_EXISTS
    assert (root / "a.txt").read_bytes() == b"hello"
    store(overwrite=True)
    assert (root / "a.txt").read_bytes() == b"new"


def test_who_watches_is_told(filer: FilerV1Client) -> None:
    changes: queue.SimpleQueue[FilerChange] = queue.SimpleQueue()
    subscription = filer.on_changed(changes.put)
    filer.watch("sub")
    filer.rename("a.txt", "sub/b.txt")
    filer.remove("link")
    filer.remove("sub/b.txt")
    seen = [changes.get(timeout=DEADLINE) for _ in range(2)]
    assert [(one.path, one.entry is not None) for one in seen] == [
        ("sub/b.txt", True),
        ("sub/b.txt", False),
    ]
    filer.unwatch("sub")
    subscription.cancel()
