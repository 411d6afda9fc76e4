"""Show warnings and provide an event loop, for `Graph.run` and `Graph.run_sync`, which create their own Runner."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any, Final, TypeVar

from graphengine.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from graphengine.errors import Problem

T = TypeVar("T")

# The warnings that were shown, so that each is shown once.
_WARNED: Final[dict[str | tuple[str, type[Warning], int], int]] = {}


def warn(problems: Sequence[Problem], name: str) -> None:
    """Show the warnings of a graph. Each warning is shown only once in a process."""
    for problem in problems:
        text, file = f"graph {name!r} compiles with a {problem}", problem.file or "<graph>"
        warnings.warn_explicit(text, UserWarning, file, problem.line or 1, registry=_WARNED)


def run_alone(function: Callable[[], Coroutine[Any, Any, T]], where: str) -> T:
    """Run a coroutine in a new event loop, for `Graph.run_sync`, and return its result.

    Args:
        function: Returns the coroutine.
        where: The place of the call, for the error message.

    Raises:
        DefinitionError: An event loop is already running in this thread.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        is_running = False
    else:
        is_running = True
    if is_running:  # not in the `except`, so that errors of the run do not have a missing loop as their context
        message = "run_sync was called where an event loop is running, which it would block"
        raise DefinitionError(message, where=where, repair="write: result = await graph.run(…), or use SyncRunner")
    return asyncio.run(function())
