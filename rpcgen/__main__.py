"""``python -m rpcgen``: the command line where the ``rpcgen`` command is not on the path."""

import sys

from rpcgen.cli import main

if __name__ == "__main__":
    sys.exit(main())
