"""Timeouts, defaults, sleep and pauses, on a fake clock."""

import asyncio
import datetime
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from graphengine import Context, RunFailed, Runner, ask
from graphengine.errors import InputError
from graphengine.testing import FakeClock
from tests.kit.runs import SOON, alone
from tests.kit.waiting import State, forked, names, path, resume_run, shown, waiting

# -- time


async def test_a_late_answer_is_refused(timed: Runner, clock: FakeClock) -> None:
    """Once the default was taken, the question is closed."""
    graph = path(
        ("q", ask("Publish?", bool, timeout_seconds=60, default=False), "ok"),
        ("more", ask("And?", str), "word"),
    )
    run_id = await waiting(timed, graph)
    clock.move(61)
    assert names((await resume_run(timed, graph, run_id)).waits) == ["more"]
    with pytest.raises(InputError, match="has no question named 'q'"):
        await timed.answer(run_id, value=True, question="q")


async def test_parallel_sleepers_wake_at_their_own_times(timed: Runner, clock: FakeClock) -> None:
    """In arms the run continues with each when its time comes, not only with the last."""
    woke: list[tuple[str, float]] = []

    def sleeper(name: str, days: int) -> tuple[str, Callable[..., Any], str]:
        async def work(ctx: Context) -> str:
            await ctx.sleep(days * 86_400)
            woke.append((name, ctx.now() - 1000))
            return name

        return name, work, "log"

    async with asyncio.timeout(SOON):
        result = await timed.start(forked(sleeper("a", 3), sleeper("b", 1), sleeper("c", 2))).result()
    assert woke == [("b", 86_400), ("c", 172_800), ("a", 259_200)]
    assert result.state.log == ["a", "b", "c"]


async def test_a_time_that_has_passed_needs_no_wait(timed: Runner) -> None:
    """Sleeping until yesterday ends by itself."""

    async def work(ctx: Context) -> str:
        await ctx.sleep_until(5.0)
        await ctx.sleep(0)
        return "rested"

    async with asyncio.timeout(SOON):
        assert (await timed.start(path(("work", work, "word"))).result()).state.word == "rested"


# -- pauses


async def test_a_resume_can_pause_elsewhere(runner: Runner) -> None:
    """A resume's pause_before replaces the run's list."""
    graph = path(("a", lambda: "a", "log"), ("b", lambda: "b", "log"), ("c", lambda: "c", "log"))
    run_id = await waiting(runner, graph, pause_before=["a", "b"])
    await runner.answer(run_id, value=True)
    result = await runner.resume(run_id, graph, pause_before=["c"]).result()
    assert (result.state.log, names(result.waits)) == (["a", "b"], ["c"])
    await runner.answer(run_id, value=True)
    assert (await resume_run(runner, graph, run_id)).state.log == ["a", "b", "c"]


@pytest.mark.parametrize("paths", ["a", ""])
async def test_a_text_is_no_list_of_nodes_to_pause_before(runner: Runner, paths: str) -> None:
    """It would count as a list of its letters, or as none."""
    with pytest.raises(InputError, match="pause_before"):
        runner.start(path(("a", lambda: "a", "log")), pause_before=paths)


async def test_a_resume_can_lift_a_pause(runner: Runner) -> None:
    """With another list, or an empty one, the run continues without an answer; a pause that is still listed stays."""
    graph = path(("a", lambda: "a", "log"), ("b", lambda: "b", "log"))
    run_id = await waiting(runner, graph, pause_before=["b"])
    result = await runner.resume(run_id, graph, pause_before=["a", "b"]).result()
    assert (result.status, names(result.waits)) == ("waiting", ["b"])
    result = await runner.resume(run_id, graph, pause_before=[]).result()
    assert (result.status, result.state.log) == ("finished", ["a", "b"])


@pytest.mark.parametrize(("given", "expected"), [("publish", "give a list"), (["pubish"], "did you mean 'publish'")])
async def test_a_pause_before_an_unknown_node_is_refused(given: Any, expected: str) -> None:
    """It is refused at once, with the repair."""
    async with Runner() as runner:
        with pytest.raises(InputError, match=expected):
            runner.start(path(("publish", lambda: "x", "word")), pause_before=given)


async def test_a_pause_before_a_map_is_one_pause(runner: Runner) -> None:
    """It is not one for each item."""

    async def look(item: str) -> bool:
        return item == "a"

    graph = alone(State, look, "answers", each={"item": "items"}, name="g", node="look")
    run_id = await waiting(runner, graph, pause_before=["look"])
    assert names(await runner.waits(run_id)) == ["look"]
    await runner.answer(run_id, value=True)
    assert (await resume_run(runner, graph, run_id)).state.answers == [True, False, False, False]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"timeout_seconds": 0}, "above 0"),
        ({"timeout_seconds": float("nan")}, "above 0"),
        ({"default": "x"}, "without timeout_seconds"),
    ],
)
async def test_an_invalid_question_in_a_node_is_refused(runner: Runner, options: Any, expected: str) -> None:
    """It is refused like one that is a node."""

    async def work(ctx: Context) -> str:
        return str(await ctx.ask("Well?", str, **options))

    with pytest.raises(RunFailed, match=expected):
        await runner.start(path(("work", work, "word"))).result()


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    day: datetime.date


class Alias(BaseModel):
    number: int = Field(alias="theNumber")


async def test_strict_models_and_aliases_are_types_of_answers(timed: Runner, clock: FakeClock) -> None:
    """They can be given as a model, as JSON, or as a default."""
    for kind, given in ((Strict, Strict(day=datetime.date(2026, 1, 2))), (Alias, Alias(theNumber=3))):
        graph = path(("q", ask("Well?", kind), {"word": shown}))
        run_id = await waiting(timed, graph)
        await timed.answer(run_id, given)
        assert (await resume_run(timed, graph, run_id)).state.word == repr(given)

        graph = path(("q", ask("Well?", kind, timeout_seconds=60, default=given), {"word": shown}))
        run_id = await waiting(timed, graph)
        clock.move(60)
        assert (await resume_run(timed, graph, run_id)).state.word == repr(given)
