"""Deaths in turn: a program works in a child that kills itself at one of its points, at the next one each time.

`printed` runs such a program; the others are for the programs themselves.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import wraps
from inspect import isawaitable
from itertools import count
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def printed(form: str, program: str, *words: str) -> list[int]:
    """Run a program that kills itself in turn, and return the numbers in what it prints, which has this form."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    command = [sys.executable, str(HERE / program), *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    found = re.fullmatch(form, done.stdout)
    assert (done.returncode, found is not None) == (0, True), done.stdout + done.stderr
    sys.stdout.write(done.stdout)
    return [int(number) for number in found.groups()] if found else []


def dies(kill_at: int, owner: Any, names: Sequence[str], work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Work in a process that dies before or after the call with this number of these. Return whether it died."""
    child = os.fork()
    if child == 0:
        points = count(1)

        def point() -> None:
            if next(points) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        for name in names:
            setattr(owner, name, deadly(getattr(owner, name), point))
        asyncio.run(work())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def deadly(function: Callable[..., Any], point: Callable[[], None]) -> Callable[..., Any]:
    """Return the function with a point before and after it."""

    async def awaited(result: Awaitable[Any]) -> Any:
        found = await result
        point()
        return found

    @wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        point()
        result = function(*given, **named)
        if isawaitable(result):
            return awaited(result)
        point()
        return result

    return call
