"""A command that stops at points and waits there for a gate: `stop_points.py POINTS GATE WORD…`.

POINTS are names with commas between them: `loading`, in the main thread, before the command's own module is imported;
`opening`, on the thread that opens the database; `open`, once a signal is to stop what was opened, where it waits for
nothing; `ending`, in the main thread, when the command frees what it holds. At each of these points it writes `at
POINT` to stderr, and waits until somebody opens the named pipe GATE for writing.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graphengine.cli.context import CommandContext
from graphengine.cli.driving import Stopper
from graphengine.cli.main import Program
from graphengine.databases.sqlite import files, readers

POINTS, GATE = sys.argv[1].split(","), Path(sys.argv[2])


def stop_at(owner: Any, name: str, point: str, *, waits: bool = True, is_first: bool = True) -> None:
    """Let a function write that a point is reached, and wait there, before or after it does its work."""
    work: Callable[..., Any] = getattr(owner, name)

    def there() -> None:
        sys.stderr.write(f"at {point}\n")
        sys.stderr.flush()
        if waits:
            GATE.open("rb").close()

    def stopping(*given: Any, **options: Any) -> Any:
        if is_first:
            there()
        found = work(*given, **options)
        if not is_first:
            there()
        return found

    if point in POINTS:
        setattr(owner, name, stopping)


stop_at(Program, "get_command", "loading")
stop_at(files, "set_up", "opening")
stop_at(readers, "set_up_reader", "opening")
stop_at(Stopper, "drives", "open", waits=False, is_first=False)
stop_at(CommandContext, "close", "ending")
sys.argv = ["graphengine", *sys.argv[3:]]

from graphengine.__main__ import main  # noqa: E402 - its first line is that of the program

main()
