"""Where libvirt 9.0.0's own source comes from: a folder that the user names, or Debian's source package.

The package is fetched through a list of sources of its own, made from the machine's; apt's real
lists and configuration stay as they are.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

VERSION = "9.0.0"

APT = Path("/etc/apt")


def wanted() -> bool:
    """Whether the user asked for tests with libvirt's source."""
    return bool(
        os.environ.get("RPCGEN_LIBVIRT_SOURCE") or os.environ.get("RPCGEN_REQUIRE_INTEROP") == "1"
    )


def source(folder: Path) -> Path:
    """The root of the unpacked source; fetched into ``folder`` unless the user has it already."""
    if named := os.environ.get("RPCGEN_LIBVIRT_SOURCE"):
        return Path(named)
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "sources.list").write_text(f"deb-src {_repository()} main\n")
    places = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists",
        "APT::Sandbox::User": "root",
    }
    options = [part for name, value in places.items() for part in ("-o", f"{name}={value}")]
    for action in (["update"], ["source", "libvirt"]):
        subprocess.run(
            ["apt-get", "-q", *options, *action], cwd=folder, check=True, capture_output=True
        )
    return folder / f"libvirt-{VERSION}"


def _repository() -> str:
    """``[signed-by=...] URI suite`` of the machine's own distribution."""
    release = Path("/etc/os-release").read_text()
    codename = dict(re.findall(r"^(\w+)=\"?(.*?)\"?$", release, re.MULTILINE))["VERSION_CODENAME"]
    return next(_configured(codename))


def _configured(codename: str) -> Iterator[str]:
    for path in APT.glob("sources.list.d/*.sources"):
        for stanza in path.read_text().split("\n\n"):
            entry = dict(re.findall(r"^([\w-]+):\s*(.*)$", stanza, re.MULTILINE))
            if codename in entry.get("Suites", "").split():
                key = f"[signed-by={entry['Signed-By']}] " if "Signed-By" in entry else ""
                yield f"{key}{entry['URIs'].split()[0]} {codename}"
    for path in [APT / "sources.list", *APT.glob("sources.list.d/*.list")]:
        text = path.read_text() if path.exists() else ""
        yield from re.findall(rf"^deb\s+((?:\[.*?\]\s+)?\S+\s+{codename})\s", text, re.MULTILINE)
