"""Logs in, and fails to, and says all that can be said of it: for a test that looks for the password.

A program of its own, since it looks at every object of its process. The password comes on standard
input; where a session has been opened, ``<in>`` is written.

Usage: ``python talkative.py FOLDER MECHANISM GOOD``, with GOOD 1 or 0.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import pickle
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from libvirt_session.guarded import guarded, uri

from rpcgen import libvirt
from rpcgen.libvirt import Question
from rpcgen.libvirt.authentication import Authentication
from rpcgen.runtime.auth.authconf import AuthConfig
from rpcgen.runtime.auth.choice import Credentials, start_with
from rpcgen.runtime.auth.mechanism import Secret, SecretText
from rpcgen.runtime.auth.scram import make_verifier
from rpcgen.runtime.auth.users import UserStore
from rpcgen.runtime.errors import AuthError, RpcError


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def told(error: BaseException) -> str:
    """A traceback as talkative loggers write it, with the variables of every frame."""
    shown = "".join(
        traceback.TracebackException.from_exception(error, capture_locals=True).format()
    )
    for one in chain(error):
        shown += repr(one) + repr(vars(one)) + str(one)
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if "rpcgen" in frame.f_code.co_filename and "tests" not in frame.f_code.co_filename:
                shown += repr(frame.f_locals)
    return shown


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and all that led to it, shown or not."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class Formatter(logging.Formatter):
    """It shows what frames hold."""

    def formatException(self, ei: Any) -> str:  # noqa: N802  (its name)
        return told(ei[1])


def ours() -> list[Any]:
    """Every live object of a class of ours."""
    return [
        one
        for one in gc.get_objects()
        if type(one).__module__.partition(".")[0] in ("rpcgen", "libvirt_rpc")
    ]


def written(thing: object) -> str:
    """What pickle and copy make of an object, if they do."""
    shown = ""
    try:
        shown += repr(pickle.dumps(thing))
    except Exception as error:  # noqa: BLE001  (whatever it is)
        shown += told(error)
    try:
        shown += repr(pickle.dumps(copy.copy(thing)))
    except Exception as error:  # noqa: BLE001
        shown += told(error)
    return shown


def show_everything() -> None:
    objects = ours()
    for one in objects:
        say(repr(one))
        if not isinstance(one, SecretText):  # which is text: whoever writes it, wants it
            say(f"{one} {one!s}")
        if isinstance(one, tuple | dict | list):
            say(str([*one]))
    say(f"{len(objects)} objects")


def show_holders(secret: Secret) -> None:
    """Objects of ours, and plain ones they refer to, that hold the password in any form."""
    for one in ours():
        for text in gc.get_referents(one):
            if isinstance(text, str | bytes | bytearray | memoryview):
                data = text.encode(errors="replace") if isinstance(text, str) else bytes(text)
                if one is not secret and secret.reveal().encode() in data.replace(b"\0", b""):
                    say(f"held: {type(text).__name__} of {type(one).__qualname__}")


def log_in(folder: Path, secret: Secret) -> None:
    def ask(question: Question) -> str:
        return "fred" if question.kind == "user" else secret.reveal()

    async def main() -> None:
        async with libvirt.open_async(uri(folder), ask=ask) as session:
            say("<in>")
            say(repr(session))

    try:
        with libvirt.open(uri(folder), ask=ask) as session:
            say("<in>")
            show_everything()
            show_holders(secret)
            say(repr(session) + repr(vars(session)))
    except RpcError as error:
        say(told(error))
        logging.getLogger("test").exception("it failed")
    try:
        asyncio.run(main(), debug=True)
    except RpcError as error:
        say(told(error))


def attempt_badly(secret: Secret) -> None:
    """Mistakes with a password in them, by those who call us."""
    wrongs = [Secret(secret.reveal() + more) for more in ("\0", "\ud800", "\x07", "\u0221")]
    say(f"{secret} {secret!r} {secret!s} {[secret]} {secret == Secret('x')}" + written(secret))
    for name in "PLAIN", "SCRAM-SHA-256":
        for wrong in wrongs:
            try:
                credentials = Credentials("fred", wrong)
                start_with(name, credentials, host="localhost", secure=True).step(b"\xff")
            except AuthError as error:
                say(told(error))
        mechanism = start_with(name, Credentials("fred", secret), host="localhost", secure=True)
        say(written(mechanism) + written(Credentials("fred", secret)) + repr(mechanism))
    for wrong in wrongs:
        try:
            make_verifier("SCRAM-SHA-256", wrong)
        except AuthError as error:
            say(told(error))
    text = Secret(f"[credentials-t]\npassword={secret.reveal()}\n")
    for more in "", secret.reveal(), "[auth-libvirt-localhost]\ncredentials=x\n":
        try:
            config = AuthConfig(text.reveal() + more)
            say(written(config) + repr(config) + repr(config.credentials()))
        except AuthError as error:
            say(told(error))


def main() -> None:
    folder, mechanism, good = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "1"
    secret = Secret(sys.stdin.readline().rstrip("\n"))
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter("%(name)s %(message)s %(args)s"))
    logging.basicConfig(level=logging.DEBUG, handlers=[handler])
    users = UserStore(folder / "users")
    users.add("fred", secret if good else Secret("another one"))
    authentication = Authentication(unix="sasl", mechanisms=[mechanism], users=users)
    with guarded(folder, authentication):
        log_in(folder, secret)
    attempt_badly(secret)
    show_everything()
    say(users.path.read_text())


if __name__ == "__main__":
    main()
