"""The command `graphengine`, as `python -m graphengine`."""

from __future__ import annotations

import gc
import sys

COLLECT_AFTER = 50_000
"""How many new objects there are before Python looks for garbage in cycles, by default 700. The objects of a run are
many and live long: at 700, a timeline of 100,000 steps takes a third as long again, for the same memory."""


def main() -> None:
    """Load the command line and run it. Ctrl-C during loading prints one line instead of a traceback."""
    gc.set_threshold(COLLECT_AFTER, 20, 20)
    try:
        from graphengine.cli.main import main as program  # noqa: PLC0415 - here, so that Ctrl-C is caught
    except KeyboardInterrupt:
        sys.stderr.write("interrupted before anything was done\n")
        sys.exit(130)
    program()


if __name__ == "__main__":
    main()
