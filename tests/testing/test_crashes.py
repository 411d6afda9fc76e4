"""`crash_at`: a runner that dies at a named point of a test."""

import pytest

from graphengine.testing.crashes import POINTS
from tests.testing.test_plugin import output_of, run

pytest_plugins = ("pytester",)

DRIVING = ["before append", "after append", "before task", "after task"]
"""The points that a run passes repeatedly."""


def test_a_runner_can_die_at_every_point(pytester: pytest.Pytester) -> None:
    """Durable work is not repeated, other work is, and the run reaches the same end."""
    result = run(
        pytester,
        f"""
import pytest
from graphengine import GraphEngineError

@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("point", {DRIVING})
async def test_it(runner, crash_at, store, point, number):
    CALLS.clear()
    crash = crash_at(point, number)
    run = runner.start(counting, {{}})
    await crash.happened()
    recorded = [step.kind for step in await runner.history(run.id)]
    result = await runner.resume(counting, run.id).result()
    assert result.state.n == 2
    assert len(CALLS) == 2 + (point == "before append" and number == 1)
    assert [step.kind for step in await runner.history(run.id)][: len(recorded)] == recorded

@pytest.mark.parametrize("point", ["before open", "before create"])
async def test_nothing_began(runner, crash_at, point):
    CALLS.clear()
    crash = crash_at(point)
    run = runner.start(counting, {{}})
    await crash.happened()
    with pytest.raises(GraphEngineError, match="no run"):
        await runner.resume(counting, run.id).result()
    assert CALLS == []
""",
    )
    assert result.ret == 0, output_of(result)


def test_nothing_of_a_dead_runner_reaches_the_store(pytester: pytest.Pytester) -> None:
    """All runs of the runner die together, tasks in flight are cancelled, and their runs can be resumed."""
    result = run(
        pytester,
        """
async def test_it(runner, crash_at, store):
    crash = crash_at("after create", 2)
    runs = [runner.start(hanging, {}), runner.start(counting, {})]
    await crash.happened()
    left = [task for task in asyncio.all_tasks() if "graphengine" in task.get_name()]
    assert not left
    seqs = [(await runner.store.info(run.id)).seq for run in runs]
    await asyncio.sleep(0.01)
    assert [(await runner.store.info(run.id)).seq for run in runs] == seqs
    assert (await runner.resume(counting, runs[1].id).result()).state.n == 2
    again = runner.resume(hanging, runs[0].id)
    await again.begun()
    await runner.close()
""",
    )
    assert result.ret == 0, output_of(result)


def test_a_resumed_run_records_its_crash(pytester: pytest.Pytester) -> None:
    """The new runner finds a run whose process died."""
    result = run(
        pytester,
        """
async def test_it(runner, crash_at, store):
    crash = crash_at("before task", 2)
    run = runner.start(counting, {})
    await crash.happened()
    [again] = await runner.recover(counting)
    await again.result()
    assert any(step.kind == "resumed" and step.data.crashed for step in await runner.history(run.id))
""",
    )
    assert result.ret == 0, output_of(result)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (
            'crash_at("after append", 99)\n    await runner.start(counting, {}).result()',
            "*never reached 'after append'*",
        ),
        ('c = crash_at("after task", 9)\n    runner.start(counting, {})\n    await c.happened()', "*after task: 2"),
        ('crash_at("after apend")', "*did you mean 'after append'*"),
        ('crash_at("before commit")', "*commits belong to a process*"),
        ('crash_at("before append", 0)', "*count from 1*"),
    ],
)
def test_a_death_that_cannot_happen_is_an_error(pytester: pytest.Pytester, test: str, message: str) -> None:
    """An unknown point is refused with a suggestion; a point that is never passed fails the test."""
    result = run(pytester, f"async def test_it(runner, crash_at):\n    {test}\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([message])


def test_the_points_are_those_of_the_store_and_the_tasks() -> None:
    """A method added to the Store protocol gets its points automatically; commits are a process's."""
    assert {"before append", "after claim", "before task"} <= set(POINTS)
    assert not [point for point in POINTS if "commit" in point]
