"""``python -m rpcgen.examples.lockd``, and ``rpcgen-lockd`` once it is installed."""

from __future__ import annotations

import sys

from rpcgen.examples.lockd.command import main

if __name__ == "__main__":
    sys.exit(main())
