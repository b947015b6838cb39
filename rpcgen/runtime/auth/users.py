"""A server's users: names and SCRAM verifiers in a file that only its owner can read.

A line is a user, or the secret from which users are made up that there are not. Changes replace the
file as a whole, under a lock; servers see them at the next login. No password is ever in the file.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import hmac
import os
import secrets
import stat
from base64 import b64decode, b64encode
from contextlib import contextmanager, suppress
from typing import NamedTuple

from rpcgen.runtime.auth.scram import (
    ITERATIONS,
    ITERATIONS_MAX,
    ITERATIONS_MIN,
    Verifier,
    is_password,
    make_verifier,
    prepared,
)
from rpcgen.runtime.errors import AuthError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Final

    from rpcgen.runtime.auth.mechanism import Secret

HEADING: Final = "# Users and their SCRAM verifiers (RFC 5803). Changed with rpcgen-users only.\n"

DIGESTS: Final = {
    "SCRAM-SHA-512": hashlib.sha512,
    "SCRAM-SHA-256": hashlib.sha256,
    "SCRAM-SHA-1": hashlib.sha1,
}
"""The mechanisms that a file may hold verifiers for, the strongest first."""

DEFAULT: Final = ("SCRAM-SHA-512", "SCRAM-SHA-256")
"""What new users get verifiers for: SHA-1 is for old clients, and has to be asked for."""

SECRET: Final = 32
"""Bytes of the secret from which users are made up."""

SALT: Final = 16
"""Bytes of a salt. All have as many, or users that there are not would stand out."""

NAME_MAX: Final = 255
"""Characters of a name."""

MODE: Final = 0o600
"""The only permissions of a file with verifiers: whoever has them can try passwords at leisure."""


class _Contents(NamedTuple):
    """What a file holds: the secret, for each name its verifiers by mechanism, and their counts."""

    secret: bytes
    users: dict[str, dict[str, Verifier]]
    counts: dict[str, list[int]]

    def __repr__(self) -> str:
        return f"<{len(self.users)} users>"


class UserStore:
    """The users in a file. Nothing is read before it is needed.

    Args:
        path: the file. It belongs to this process's user or to root, and nobody else may read
            it; it is no symbolic link.
        of_others: take a file of another user, too: root does for them what they could do.
    """

    def __init__(self, path: Path, *, of_others: bool = False) -> None:
        self.path = path
        self._of_others = of_others
        self._cache: tuple[tuple[int, ...], _Contents] = (), _Contents(b"", {}, {})

    def names(self) -> list[str]:
        """All users, sorted.

        Raises:
            AuthError: the file cannot be used.
        """
        return sorted(self._read().users)

    def verifier(self, name: str, mechanism: str) -> Verifier:
        """What is kept of a user, or what looks like it if there is none.

        The same is made up each time, and takes as long: the answer does not tell who exists.

        Args:
            name: as ``prepared`` made it.
            mechanism: one of ``DIGESTS``.

        Raises:
            AuthError: the file cannot be used.
        """
        contents = self._read()
        made_up = _made_up(contents, name, mechanism)
        return contents.users.get(name, {}).get(mechanism, made_up)

    def check(self, name: str, password: Secret) -> str:
        """The user's name, if the password is the user's.

        Raises:
            AuthError: it is not, there is no such user, or the file cannot be used.
        """
        user = prepared(name)
        held = self._read().users.get(user, {})
        mechanism = next((m for m in DIGESTS if m in held), DEFAULT[0])
        if not is_password(mechanism, password, self.verifier(user, mechanism)):
            raise AuthError("wrong user name or password")
        return user

    def add(self, name: str, password: Secret, mechanisms: Sequence[str] = DEFAULT) -> None:
        """A new user. The file is made if there is none.

        Raises:
            AuthError: there is such a user, or the name or the password cannot be one.
        """
        user, verifiers = _checked_name(name), _verifiers(password, mechanisms)
        with self._change(create=True) as users:
            if user in users:
                raise AuthError(f"{self.path}: there is a user {user!r} already")
            users[user] = verifiers

    def change(self, name: str, password: Secret, mechanisms: Sequence[str] = DEFAULT) -> None:
        """Another password for a user.

        Raises:
            AuthError: there is no such user, or the password cannot be one.
        """
        user, verifiers = _checked_name(name), _verifiers(password, mechanisms)
        with self._change() as users:
            self._must_have(users, user)
            users[user] = verifiers

    def remove(self, name: str) -> None:
        """Forget a user.

        Raises:
            AuthError: there is no such user.
        """
        user = _checked_name(name)
        with self._change() as users:
            self._must_have(users, user)
            del users[user]

    def expect(self, name: str, *, is_new: bool) -> None:
        """See whether a user is there, before anybody is asked for a password.

        Raises:
            AuthError: a new user is there, or another one is not; or the file cannot be used.
        """
        user = _checked_name(name)
        is_there = os.path.lexists(self.path) or not is_new
        users = self._read().users if is_there else {}
        if not is_new:
            self._must_have(users, user)
        elif user in users:
            raise AuthError(f"{self.path}: there is a user {user!r} already")

    def _must_have(self, users: dict[str, dict[str, Verifier]], user: str) -> None:
        if user not in users:
            raise AuthError(f"{self.path}: there is no user {user!r}")

    def _read(self) -> _Contents:
        """The file as it is now; parsed when it has changed."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise AuthError(f"{self.path}: {_reason(error)}") from None
        try:
            status = os.fstat(descriptor)
            _check_status(self.path, status, of_others=self._of_others)
            seen = status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
            at, contents = self._cache
            if seen != at:
                contents = _parse(self.path, _read_all(descriptor))
                self._cache = seen, contents  # at once: there may be several threads
        except OSError as error:
            raise AuthError(f"{self.path}: {_reason(error)}") from None
        finally:
            os.close(descriptor)
        return contents

    @contextmanager
    def _change(self, *, create: bool = False) -> Iterator[dict[str, dict[str, Verifier]]]:
        """The users, to be changed; written when the block ends without an error."""
        with _locked_folder(self.path) as folder:
            is_new = create and not os.path.lexists(self.path)
            contents = _Contents(b"", {}, {}) if is_new else self._read()
            users = dict(contents.users)
            yield users
            secret = contents.secret or secrets.token_bytes(SECRET)
            _replace(self.path, _text(secret, users))
            os.fsync(folder)


def _made_up(contents: _Contents, name: str, mechanism: str) -> Verifier:
    """A verifier that no password satisfies, with a salt that stays the same."""
    seed = hmac.digest(contents.secret, f"{mechanism}\0{name}".encode(), "sha256")
    counts = contents.counts.get(mechanism) or [ITERATIONS]
    count = counts[seed[-1] * len(counts) // 256]  # as usual, and as rare, as with real users
    size = DIGESTS[mechanism]().digest_size
    return Verifier(seed[:SALT], count, secrets.token_bytes(size), secrets.token_bytes(size))


def _verifiers(password: Secret, mechanisms: Sequence[str]) -> dict[str, Verifier]:
    for name in mechanisms:
        if name not in DIGESTS:
            raise AuthError(f"mechanism {name!r}: expected one of {', '.join(DIGESTS)}")
    return {
        name: make_verifier(name, password, salt=secrets.token_bytes(SALT), iterations=ITERATIONS)
        for name in mechanisms
    }


def _checked_name(name: str) -> str:
    user = prepared(name)
    if not 0 < len(user) <= NAME_MAX or "\t" in user:
        raise AuthError(f"user name {name[:NAME_MAX]!r}: expected 1 to {NAME_MAX} characters")
    return user


def _check_status(path: Path, status: os.stat_result, *, of_others: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise AuthError(f"{path}: expected a regular file")
    if not of_others and status.st_uid not in (0, os.geteuid()):
        raise AuthError(f"{path}: belongs to uid {status.st_uid}: expected root's or our own")
    if stat.S_IMODE(status.st_mode) & ~MODE:
        mode = stat.S_IMODE(status.st_mode)
        raise AuthError(f"{path}: expected permissions {MODE:o} or fewer, got {mode:o}")


def _read_all(descriptor: int) -> str:
    """The text; what is no UTF-8 becomes what no name has in it."""
    with open(descriptor, encoding="utf-8", errors="replace", newline="\n", closefd=False) as file:
        return file.read()


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file or folder"
    if error.errno == errno.ELOOP:
        return "expected a regular file, got a symbolic link"
    return os.strerror(error.errno or errno.EIO)


def _parse(path: Path, text: str) -> _Contents:
    secret, users = b"", dict[str, dict[str, Verifier]]()
    for number, line in enumerate(text.split("\n"), 1):
        kind, *fields = line.split("\t")
        try:
            if kind == "user":
                users[_known_name(fields[0], users)] = dict(map(_parse_verifier, fields[1:]))
            elif kind == "secret":
                secret = b64decode(fields[0], validate=True)
            elif kind and not kind.startswith("#"):
                raise ValueError
        except (ValueError, LookupError):
            expected = "a user with verifiers, each user once, or the secret"
            raise AuthError(f"{path}: {number}: expected {expected}") from None
    if not secret and text.strip():  # an empty file has nothing to hide
        raise AuthError(f"{path}: expected a line with the secret")
    return _Contents(secret, users, _counts(users))


def _known_name(name: str, users: dict[str, dict[str, Verifier]]) -> str:
    if not name or name in users or "\ufffd" in name:  # the last stands for what is no UTF-8
        raise ValueError
    return name


def _counts(users: dict[str, dict[str, Verifier]]) -> dict[str, list[int]]:
    return {
        mechanism: sorted(
            held[mechanism].iterations for held in users.values() if mechanism in held
        )
        for mechanism in DIGESTS
    }


def _parse_verifier(text: str) -> tuple[str, Verifier]:
    """``SCRAM-SHA-256$4096:salt$stored:server`` (RFC 5803, section 4)."""
    mechanism, settings, keys = text.split("$")
    iterations, salt = settings.split(":")
    stored, server = (b64decode(key, validate=True) for key in keys.split(":"))
    size = DIGESTS[mechanism]().digest_size
    verifier = Verifier(b64decode(salt, validate=True), int(iterations), stored, server)
    good = len(verifier.salt) == SALT and len(stored) == len(server) == size
    if not good or not ITERATIONS_MIN <= verifier.iterations <= ITERATIONS_MAX:
        raise ValueError
    return mechanism, verifier


def _text(secret: bytes, users: dict[str, dict[str, Verifier]]) -> str:
    lines = [HEADING, f"secret\t{_base64(secret)}\n"]
    for name, verifiers in sorted(users.items()):
        lines.append("\t".join(["user", name, *map(_verifier_text, verifiers.items())]) + "\n")
    return "".join(lines)


def _verifier_text(item: tuple[str, Verifier]) -> str:
    mechanism, (salt, iterations, stored, server) = item
    return f"{mechanism}${iterations}:{_base64(salt)}${_base64(stored)}:{_base64(server)}"


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


@contextmanager
def _locked_folder(path: Path) -> Iterator[int]:
    """One writer at a time. The folder is locked: the file is another one after each change."""
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise AuthError(f"{path.parent}: {_reason(error)}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _keep_owner(path: Path, descriptor: int) -> None:
    """The draft belongs to whom the file does, if that is another user's and we are root."""
    with suppress(FileNotFoundError):
        status = os.lstat(path)
        if status.st_uid != os.geteuid():
            os.fchown(descriptor, status.st_uid, status.st_gid)


def _replace(path: Path, text: str) -> None:
    """The new contents or the old, whatever happens."""
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.unlink(missing_ok=True)  # of a writer that was killed
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE)
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            _keep_owner(path, descriptor)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise AuthError(f"{path}: {_reason(error)}") from None
