"""libvirt's own cases of certificates at start-up (its virnettlscontexttest), as data with their files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tls.authority import Authority, basic, dn, purpose, usage, write_pki

from rpcgen.runtime.tls.certificates import Role
from rpcgen.runtime.tls.credentials import Credentials

SERVER, CLIENT = Role.SERVER, Role.CLIENT
GONE, COMING = (-3, -1), (1, 3)

SIGNS = usage("key_cert_sign")
ONLY_SIGNS = {"usage": SIGNS}
SIGNS_TOO = {"usage": usage("digital_signature", "key_encipherment", "key_cert_sign")}
MAY_SIGN = {"usage": usage("key_cert_sign", critical=False)}
NO_USAGE = {"usage": usage()}
DIGITAL = {"usage": usage("digital_signature")}
MAY_DIGITAL = {"usage": usage("digital_signature", critical=False)}


class Case(NamedTuple):
    """One of the cases.

    Attributes:
        number: libvirt's.
        role: whose files they are.
        authority: how the CA differs from a good one, as arguments of ``Authority``.
        leaf: the same of the certificate, of ``issue``; with no role but the one given here.
        why: words of the error, None if the files are good.
        warnings: how many they still give.
    """

    number: int
    role: Role
    authority: Mapping[str, Any]
    leaf: Mapping[str, Any]
    why: str | None = None
    warnings: int = 0


def _for(*names: str, critical: bool = False) -> Mapping[str, Any]:
    return {"purpose": purpose(*names, critical=critical)}


CASES = [
    Case(1, SERVER, {}, _for("server", critical=True)),
    Case(2, CLIENT, {}, _for("client", critical=True)),
    Case(3, SERVER, {"usage": None}, {}),
    Case(4, SERVER, {"basic": basic(ca=True, critical=False), "usage": None}, {}),
    Case(5, SERVER, ONLY_SIGNS, {}),
    Case(6, SERVER, MAY_DIGITAL, {}, "keyCertSign"),
    Case(7, SERVER, {"basic": None, "usage": None}, {}, "no basic constraints"),
    Case(8, SERVER, DIGITAL, {}, "keyCertSign"),
    Case(9, SERVER, {}, {"usage": None}),
    Case(10, SERVER, {}, SIGNS_TOO),
    Case(11, SERVER, {}, MAY_SIGN, warnings=2),
    Case(12, SERVER, {}, _for("server", critical=True)),
    Case(13, SERVER, {}, _for("server")),
    Case(14, SERVER, {}, _for("client", "server", critical=True)),
    Case(15, SERVER, {}, _for("client", "server")),
    Case(16, SERVER, {}, ONLY_SIGNS, "digitalSignature"),
    Case(17, SERVER, {}, _for("client", critical=True), "not that of a server"),
    Case(18, SERVER, {}, NO_USAGE, "digitalSignature"),
    Case(19, CLIENT, {}, {"usage": None}),
    Case(20, CLIENT, {}, SIGNS_TOO),
    Case(21, CLIENT, {}, MAY_SIGN, warnings=2),
    Case(22, CLIENT, {}, _for("client", critical=True)),
    Case(23, CLIENT, {}, _for("client")),
    Case(24, CLIENT, {}, _for("client", "server", critical=True)),
    Case(25, CLIENT, {}, _for("client", "server")),
    Case(26, CLIENT, {}, ONLY_SIGNS, "digitalSignature"),
    Case(27, CLIENT, {}, _for("server", critical=True), "not that of a client"),
    Case(28, CLIENT, {}, NO_USAGE, "digitalSignature"),
    Case(29, SERVER, {"days": GONE}, {}, "expired on"),
    Case(30, SERVER, {}, {"days": GONE}, "expired on"),
    Case(31, CLIENT, {}, {"days": GONE}, "expired on"),
    Case(32, SERVER, {"days": COMING}, {}, "begins only on"),
    Case(33, SERVER, {}, {"days": COMING}, "begins only on"),
    Case(34, CLIENT, {}, {"days": COMING}, "begins only on"),
    Case(35, SERVER, {}, {}),
    Case(36, CLIENT, {}, {}),
    Case(37, CLIENT, {}, {}, "No such file"),
]
"""35 and 36 have a CA file of four, 37 no file at all."""


def files(case: Case, directory: Path) -> Credentials:
    """Write what the case is about; files are named as ``pkipath`` has them."""
    authority = Authority(dn(C="UK", CN="authority"), **case.authority)
    if case.number in {35, 36}:
        return _chain(case.role, directory, authority)
    leaf = authority.issue(dn(C="UK", CN="end"), None, **case.leaf)
    made = write_pki(directory, authority, leaf, case.role)
    if case.number == 37:
        for path in directory.iterdir():
            path.unlink()
    return made


def _chain(role: Role, directory: Path, root: Authority) -> Credentials:
    """The server is two CAs below the root, the client is one, and the CA file has them all."""
    level1a, level1b = root.intermediate("level 1a"), root.intermediate("level 1b")
    level2a = level1a.intermediate("level 2a")
    leaf = (level2a if role is SERVER else level1b).issue("end", role)
    made = write_pki(directory, [root, level1a, level1b, level2a], leaf, role)
    (directory / f"{role.value}cert.pem").write_bytes(leaf.pem)  # alone: the CA file has the rest
    return made
