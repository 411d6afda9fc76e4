"""`graphengine.show`: the live display of the command line, for a run of a program."""

from __future__ import annotations

import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, TextIO, TypeVar

from graphengine.cli.progress import Progress
from graphengine.cli.steps import explained
from graphengine.cli.terminal import STATUS_STYLES, Channel
from graphengine.runner.result import RunFailed
from graphengine.runner.run_events import RunEnded

if TYPE_CHECKING:
    from graphengine.runner.result import Result
    from graphengine.runner.run import Run

S = TypeVar("S")

_WHY_COLUMNS: Final = 1000


async def show(run: Run[S], *, stream: TextIO | None = None) -> Result[S]:
    """Show a run live, as `graphengine run` does, and return its result.

    A line for each node that starts or ends, with the edge taken and why; for a map a count of its items. On a
    terminal, a line below shows the end of the text that a model is writing, a bar for a map with the time it is
    likely to take, or the nodes at work.

    Args:
        run: A handle, as `Runner.start`, `resume` or `get` returned it.
        stream: Where to write; stderr if not given.

    Raises:
        RunFailed: It failed; the error has the result.
        GraphEngineError: It could not be started, recorded or claimed.

    Example:
        >>> import sys
        >>> async def main() -> None:
        ...     async with Runner() as runner:
        ...         result = await show(runner.start(count, {"n": 2}, run_id="first"), stream=sys.stdout)
        ...         print(result.state.n)
        >>> asyncio.run(main())
        started  more (visit 1)
        done     more (visit 1) in ... -> END
                 n 3 >= 3: yes
        finished first: n 3 >= 3: yes
        3
    """
    channel = Channel(sys.stderr if stream is None else stream, must_arrive=False)
    progress = Progress(channel)
    async with progress.ticking(), aclosing(run.events()) as events:
        async for event in events:
            if not isinstance(event, RunEnded):
                progress.show(event)
                continue
            result: Result[S] = event.result
            progress.idles()
            why = explained(result.ending.explanation if result.ending is not None else "", _WHY_COLUMNS)
            channel.prose((result.status, STATUS_STYLES[result.status]), f" {run.id}", f": {why}" if why else "")
            if result.status == "failed":
                raise RunFailed(result)
            return result
    return await run.result()
