"""The command `graphengine`, as `python -m graphengine`."""

from __future__ import annotations

import sys


def main() -> None:
    """Load the command line and run it. Ctrl-C during loading prints one line instead of a traceback."""
    try:
        from graphengine.cli.main import main as program  # noqa: PLC0415 - here, so that Ctrl-C is caught
    except KeyboardInterrupt:
        sys.stderr.write("interrupted before anything was done\n")
        sys.exit(130)
    program()


if __name__ == "__main__":
    main()
