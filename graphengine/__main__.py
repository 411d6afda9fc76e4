"""The command `graphengine`, as `python -m graphengine`."""

from __future__ import annotations

import gc
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from types import FrameType

COLLECT_AFTER = 50_000
"""How many new objects there are before Python looks for garbage in cycles, by default 700. The objects of a run are
many and live long: at 700, a timeline of 100,000 steps takes a third as long again, for the same memory."""


UNTIL_STOPPED: Final = ("serve", "worker", "mcp", "inspect")
"""The commands that work until a signal stops them, which is their normal end."""


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """End a command that is stopped before it has opened anything, with the exit code of one that is stopped later."""
    del number, frame
    sys.exit(0)


def main() -> None:
    """Start the program `graphengine`: load the command line, and run it.

    Loading takes a moment. If the user presses Ctrl-C during this time, one line is printed instead of a traceback.
    """
    gc.set_threshold(COLLECT_AFTER, 20, 20)
    if sys.argv[1:2] and sys.argv[1] in UNTIL_STOPPED:
        with suppress(ValueError):  # in a thread that is not the main one
            signal.signal(signal.SIGINT, _end)
            signal.signal(signal.SIGTERM, _end)
    try:
        from graphengine.cli.main import main as program  # noqa: PLC0415 - here, so that Ctrl-C is caught
    except KeyboardInterrupt:
        sys.stderr.write("interrupted before anything was done\n")
        sys.exit(130)
    program()


if __name__ == "__main__":
    main()
