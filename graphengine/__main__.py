"""`python -m graphengine` is the command `graphengine`."""

from __future__ import annotations

import sys


def main() -> None:
    """Load the command line and run it; Ctrl-C while it loads is no traceback."""
    try:
        from graphengine.cli.main import main as program  # noqa: PLC0415 - here, so that Ctrl-C is met
    except KeyboardInterrupt:
        sys.stderr.write("interrupted before anything was done\n")
        sys.exit(130)
    program()


if __name__ == "__main__":
    main()
