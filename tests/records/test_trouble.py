"""Runners under trouble: threads, closing at odd moments, failing resources, errors that do not count as crashes."""

import contextlib
from collections.abc import Awaitable, Callable

from graphengine import (
    Runner,
    ask,
)
from graphengine.errors import InputError
from tests.runner.test_trouble import one


async def test_a_run_can_be_named_as_soon_as_it_was_started(runner: Runner) -> None:
    """Every call that names a run waits until it is recorded."""
    graph = one(lambda n: n + 1, writes="n")
    uses: list[Callable[[str], Awaitable[object]]] = [
        runner.waits,
        runner.history,
        runner.state_at,
        runner.release,
        lambda run_id: runner.send(run_id, "topic", 1),
        lambda run_id: runner.admin.diff(run_id, run_id),
        lambda run_id: runner.branch(run_id, graph, at=1).result(),
    ]
    for use in uses:
        run = runner.start(graph)
        with contextlib.suppress(InputError):  # it may be over when the message is sent
            await use(run.id)
        await run.result()
    run = runner.start(one(ask("Well?", int), writes="n"))
    with contextlib.suppress(InputError):  # it may not have reached its question yet
        await runner.answer(run.id, 5)
