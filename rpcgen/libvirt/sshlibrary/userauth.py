"""Logging in: the host's key, then the user's keys, then what the user is asked for.

Answers are secrets: they are passed on, and neither kept nor shown. Threads are not known here.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import asyncssh

from rpcgen.libvirt.login import Ask, Question
from rpcgen.libvirt.sshlibrary.knownhosts import KnownHosts
from rpcgen.libvirt.sshlibrary.target import METHODS, Target
from rpcgen.runtime.errors import ConnectError

Key: TypeAlias = asyncssh.SSHKey | asyncssh.SSHKeyPair

_TRIES: Final = 3
"""How often a way to log in that asks the user is tried (OpenSSH's NumberOfPasswordPrompts)."""

_QUESTIONS_MAX: Final = 12
"""Questions of one login: three tries of four words each. A server could ask for ever."""


async def log_in(target: Target, ask: Ask | None) -> asyncssh.SSHClientConnection:
    """Connect, make sure of the host, and log in.

    Args:
        target: where, and how.
        ask: asks the user, and takes as long as that takes; None if nobody is there.

    Raises:
        ConnectError: why that could not be done.
    """
    known = KnownHosts(target)
    login = _Login(target, known, ask)
    try:
        connection = await asyncssh.connect(
            target.host,
            target.port,
            username=target.user,
            client_factory=lambda: login,
            known_hosts=known.keys,
            server_host_key_algs=known.algorithms,
            preferred_auth=list(dict.fromkeys(METHODS[name] for name in target.methods)),
            # Nothing of what asyncssh would look for by itself.
            config=None,
            client_keys=None,
            agent_path=None,
            gss_host=None,
            x509_trusted_certs=None,
            login_timeout=0,
        )
    except (OSError, ValueError, asyncssh.Error) as error:
        raise ConnectError(f"{target.place}: {login.explain(error)}") from error
    finally:
        await login.close()
    try:
        known.remember()
    except BaseException:
        connection.abort()
        await connection.wait_closed()
        raise
    return connection


class _Login(asyncssh.SSHClient):
    """What asyncssh asks while it logs in."""

    def __init__(self, target: Target, known: KnownHosts, ask: Ask | None) -> None:
        self._target = target
        self._known = known
        self._ask = ask
        self._refusal: str | None = None
        self._notes: dict[str, list[str]] = {name: [] for name in target.methods}
        self._tries: Counter[str] = Counter()
        self._questions = 0
        self._agent: asyncssh.SSHAgentClient | None = None
        self._offers = self._offer()

    async def close(self) -> None:
        """Part with the agent."""
        await self._offers.aclose()
        if self._agent is not None:
            self._agent.close()
            await self._agent.wait_closed()

    def explain(self, error: Exception) -> str:
        """Why nobody is logged in."""
        match error:
            case asyncssh.PermissionDenied():
                tried = [
                    f"{method}: {', '.join(notes) or 'not offered'}"
                    for method, notes in self._notes.items()
                ]
                return f"{self._target.user} is not let in ({'; '.join(tried)})"
            case asyncssh.HostKeyNotVerifiable() if self._refusal:
                return self._refusal
            case asyncssh.Error():
                return error.reason
            case OSError():
                return f"cannot connect: {_words(error)}"
        return str(error)

    def validate_host_public_key(
        self, _host: str, _addr: str, _port: int, key: asyncssh.SSHKey
    ) -> bool:
        self._refusal = self._known.judge(key, self._ask and partial(self._answer, "trust"))
        return self._refusal is None

    async def public_key_auth_requested(self) -> list[Key] | None:
        key = await anext(self._offers, None)
        return None if key is None else [key]

    def password_auth_requested(self) -> str | None:
        if not self._may_try("password"):
            return None
        return self._answer("password", f"{self._target.user}@{self._target.host}'s password: ")

    def kbdint_auth_requested(self) -> str | None:
        return "" if self._may_try("keyboard-interactive") else None

    def kbdint_challenge_received(
        self, _name: str, _instructions: str, _lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str] | None:
        answers = []
        for prompt, is_shown in prompts:
            answer = self._answer("answer" if is_shown else "password", prompt)
            if answer is None:
                return None
            answers.append(answer)
        return answers

    def _may_try(self, method: str) -> bool:
        if self._ask is None:
            self._notes[method] = ["nobody can be asked"]
            return False
        self._notes[method] = ["refused"]
        self._tries[method] += 1
        return self._tries[method] <= _TRIES

    def _answer(self, kind: str, text: str) -> str | None:
        self._questions += 1
        if self._ask is None or self._questions > _QUESTIONS_MAX:
            return None
        # It is the server's: what moves a terminal's cursor does not get to one.
        shown = "".join(one if one.isprintable() else " " for one in text)
        return self._ask(Question(kind, self._target.host, shown))

    async def _offer(self) -> AsyncGenerator[Key, None]:
        """The keys, one by one, as late as can be: each may have to be asked for."""
        for method in self._target.methods:
            if method == "agent":
                for offered in await self._ask_agent():
                    yield offered
            elif method == "privkey":
                for path in self._paths():
                    key = self._load(path)
                    if key is not None:
                        yield key

    async def _ask_agent(self) -> Sequence[asyncssh.SSHKeyPair]:
        notes, path = self._notes["agent"], self._target.agent
        if path is None:
            notes.append("there is none")
            return ()
        try:
            self._agent = await asyncssh.connect_agent(path)
            keys = await self._agent.get_keys()
        except (OSError, ValueError) as error:
            notes.append(f"{path}: {getattr(error, 'strerror', None) or error}")
            return ()
        notes.append("its keys are refused" if keys else "it has no keys")
        return keys

    def _paths(self) -> list[Path]:
        if self._target.keyfile is not None:
            return [self._target.keyfile]
        found = [path for path in self._target.keys if path.exists()]
        if not found:
            self._notes["privkey"].append("no key found")
        return found

    def _load(self, path: Path) -> asyncssh.SSHKey | None:
        notes = self._notes["privkey"]
        try:
            data = path.read_bytes()
            key = self._unlock(path, data)
        except OSError as error:
            notes.append(f"{path}: {error.strerror or error}")
        except ValueError as error:
            notes.append(f"{path}: {error}")
        else:
            notes.append(f"{path}: refused")
            return key
        return None

    def _unlock(self, path: Path, data: bytes) -> asyncssh.SSHKey:
        try:
            return asyncssh.import_private_key(data)
        except asyncssh.KeyImportError as error:
            if not str(error).startswith("Passphrase"):  # how asyncssh itself tells
                raise
        passphrase = self._answer("passphrase", f"Passphrase of {path}: ")
        if passphrase is None:
            raise ValueError("it needs a passphrase, and nobody can be asked")
        return asyncssh.import_private_key(data, passphrase)


def _words(error: OSError) -> str:
    """The system's, where asyncio only says that a call has failed."""
    if error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)
