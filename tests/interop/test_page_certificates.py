"""The certificates that docs/security.md has the reader make are good on both sides."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from helpers import require
from interop.daemons import DEADLINE
from tls.pair import connected

from rpcgen.runtime import ClientTls, ServerTls

PAGE = (Path(__file__).parents[2] / "docs/security.md").read_text()


def test_they_work(tmp_path: Path) -> None:
    require(shutil.which("certtool"), "not installed: certtool")
    (script,) = re.findall(r"```sh certificates.sh\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run(
        ["sh", "-euc", script], cwd=tmp_path, capture_output=True, check=False, timeout=DEADLINE
    )
    assert done.returncode == 0, done.stderr
    with connected(ServerTls(pkipath=str(tmp_path)), ClientTls(pkipath=str(tmp_path))) as (us, _):
        assert us.identity.distinguished_name == "O=Trial,CN=localhost"
