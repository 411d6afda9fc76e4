"""Timeouts, defaults, sleep and pauses, on a fake clock."""

import asyncio
import datetime
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from graphengine import END, START, Context, Graph, Limits, RunFailed, Runner, ask, failed, value
from graphengine.errors import InputError, WaitTimeout
from graphengine.testing import FakeClock
from tests.kit.runs import SOON, WEEK
from tests.kit.waiting import Odd, State, forked, go_on, names, path, shown, waiting

# -- time


async def test_a_default_counts_when_the_time_is_over(timed: Runner, clock: FakeClock) -> None:
    """Until then the run waits; after it, a resume takes the default."""
    graph = path(("q", ask("Publish?", bool, timeout_seconds=WEEK, default=False), "ok"))
    result = await timed.start(graph).result()
    assert (result.status, result.waits[0].due_at) == ("waiting", 1000.0 + WEEK)
    clock.move(WEEK - 1)
    assert (await go_on(timed, graph, result.run_id)).status == "waiting"
    clock.move(1)
    done = await go_on(timed, graph, result.run_id)
    assert (done.status, done.state.ok) == ("finished", False)


async def test_without_a_default_the_node_fails_when_the_time_is_over(timed: Runner, clock: FakeClock) -> None:
    """With wait_timeout, which a way with failed(WaitTimeout) takes."""
    graph = Graph("g", State)
    graph.add_node("q", ask("Publish?", bool, timeout_seconds=60), writes="ok")
    graph.add_edge(START, "q")
    run_id = await waiting(timed, (plain := graph_with_end(graph)))
    clock.move(60)
    with pytest.raises(RunFailed, match="nobody answered 'Publish\\?' in time") as caught:
        await go_on(timed, plain, run_id)
    assert caught.value.result.error is not None
    assert caught.value.result.error.kind == "wait_timeout"


def graph_with_end(graph: Graph[State]) -> Graph[State]:
    """The graph with its way to END."""
    graph.add_edge("q", END)
    return graph


async def test_a_timeout_is_a_failure_like_others(timed: Runner, clock: FakeClock) -> None:
    """A way with failed(WaitTimeout) is taken."""
    graph = Graph("g", State)
    graph.add_node("q", ask("Publish?", bool, timeout_seconds=60), writes="ok")
    graph.add_edge(START, "q")
    graph.add_edge("q", END, when=failed(WaitTimeout), label="nobody there")
    graph.add_edge("q", END)
    run_id = await waiting(timed, graph)
    clock.move(60)
    result = await go_on(timed, graph, run_id)
    assert result.stop is not None
    assert result.stop.label == "nobody there"


async def test_a_late_answer_is_too_late(timed: Runner, clock: FakeClock) -> None:
    """Once the default was taken, the question is gone."""
    graph = path(
        ("q", ask("Publish?", bool, timeout_seconds=60, default=False), "ok"),
        ("more", ask("And?", str), "word"),
    )
    run_id = await waiting(timed, graph)
    clock.move(61)
    assert names((await go_on(timed, graph, run_id)).waits) == ["more"]
    with pytest.raises(InputError, match="asks nothing as 'q'"):
        await timed.answer(run_id, value=True, wait="q")


async def test_a_nodes_question_has_its_timeout_and_default(timed: Runner, clock: FakeClock) -> None:
    """The default is given, or WaitTimeout raised, to the node that runs again."""
    seen: list[str] = []

    async def work(ctx: Context) -> str:
        first = await ctx.ask("One?", str, timeout_seconds=60, default="nobody")
        try:
            await ctx.ask("Two?", str, timeout_seconds=60)
        except WaitTimeout as error:
            seen.append(error.message)
        return first

    graph = path(("work", work, "word"))
    run_id = await waiting(timed, graph)
    clock.move(60)
    assert (await go_on(timed, graph, run_id)).status == "waiting"
    clock.move(60)
    assert (await go_on(timed, graph, run_id)).state.word == "nobody"
    assert seen == ["nobody answered 'Two?' in time"]


async def test_the_times_of_two_questions_go_on_while_one_is_answered(timed: Runner, clock: FakeClock) -> None:
    """The node runs again in between, and the other's time is not begun anew."""

    async def work(ctx: Context) -> str:
        return " ".join(
            await asyncio.gather(
                ctx.ask("one?", str, timeout_seconds=100, default="late"),
                ctx.ask("two?", str, timeout_seconds=100, default="late"),
            )
        )

    graph = path(("work", work, "word"))
    result = await timed.start(graph).result()
    clock.move(60)
    await timed.answer(result.run_id, "x", wait="work")
    result = await go_on(timed, graph, result.run_id)
    assert [(wait.name, wait.due_at) for wait in result.waits] == [("work#2", 1100.0)]
    clock.move(40)
    assert (await go_on(timed, graph, result.run_id)).state.word == "x late"


async def test_a_refused_answer_gives_no_more_time(timed: Runner, clock: FakeClock) -> None:
    """The question goes on under its name, to its time."""

    async def work(ctx: Context) -> str:
        return str(await ctx.ask("An odd number?", Odd, timeout_seconds=100, default=Odd(n=9)))

    graph = path(("work", work, "word"))
    run_id = await waiting(timed, graph)
    clock.move(60)
    await timed.answer(run_id, {"n": 2})
    result = await go_on(timed, graph, run_id)
    assert [(wait.name, wait.due_at) for wait in result.waits] == [("work", 1100.0)]
    clock.move(40)
    assert (await go_on(timed, graph, run_id)).state.word == "n=9"


async def test_sleep_and_sleep_until_wait_for_their_times(timed: Runner, clock: FakeClock) -> None:
    """A node that sleeps again and again runs from its beginning each time, and what it slept is recorded."""
    woke: list[float] = []

    async def work(ctx: Context) -> str:
        await ctx.sleep(WEEK)
        woke.append(ctx.now())
        await ctx.sleep(WEEK)
        woke.append(ctx.now())
        await ctx.sleep_until(5_000_000.0)
        woke.append(ctx.now())
        return "rested"

    run = timed.start(path(("work", work, "word")))
    async with asyncio.timeout(SOON):
        result = await run.result()
    assert result.state.word == "rested"
    assert sorted(set(woke)) == [1000.0 + WEEK, 1000.0 + 2 * WEEK, 5_000_000.0]
    assert [step.kind for step in await timed.history(run.id)] == [
        "started", *["waiting", "resumed", "answered"] * 3, "node"
    ]  # fmt: skip


async def test_sleepers_side_by_side_wake_at_their_own_times(timed: Runner, clock: FakeClock) -> None:
    """In arms: the run goes on with each when its time comes, not with the last alone."""
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


async def test_a_time_that_has_passed_is_no_wait(timed: Runner) -> None:
    """Sleeping until yesterday goes on by itself."""

    async def work(ctx: Context) -> str:
        await ctx.sleep_until(5.0)
        await ctx.sleep(0)
        return "rested"

    async with asyncio.timeout(SOON):
        assert (await timed.start(path(("work", work, "word"))).result()).state.word == "rested"


async def test_a_run_that_sleeps_is_answered_in_the_meantime(timed: Runner) -> None:
    """One arm sleeps, the other asks: the run waits, and after the answer for the time alone."""

    async def rest(ctx: Context) -> str:
        await ctx.sleep(WEEK)
        return "rested"

    graph = forked(("rest", rest, "log"), ("q", ask("Well?", str), "log"))
    result = await timed.start(graph).result()
    assert sorted((wait.name, wait.kind) for wait in result.waits) == [("q", "ask"), ("rest", "sleep")]
    with pytest.raises(InputError, match="asks nothing as 'rest'"):
        await timed.answer(result.run_id, value=True, wait="rest")
    await timed.answer(result.run_id, "x")
    async with asyncio.timeout(SOON):
        done = await timed.resume(graph, result.run_id).result()
    assert (done.status, done.state.log) == ("finished", ["rested", "x"])


async def test_waiting_does_not_count_as_driven_time(timed: Runner, clock: FakeClock) -> None:
    """Limits(seconds) bounds work: a week of waiting, asleep or for an answer, is not in it."""

    async def rest(ctx: Context) -> str:
        await ctx.sleep(WEEK)
        clock.move(2)
        return "rested"

    graph = path(("rest", rest, "word"), ("q", ask("Well?", bool), "ok"))
    graph.limits = Limits(seconds=60)
    run_id = await waiting(timed, graph)
    clock.move(WEEK)
    await timed.answer(run_id, value=True)
    result = await go_on(timed, graph, run_id)
    assert (result.status, result.elapsed_seconds) == ("finished", 2.0)


# -- pauses


async def test_a_run_pauses_before_a_node_on_every_visit(runner: Runner) -> None:
    """Nothing of it is run before somebody answers True; nothing else is an answer."""
    calls: list[int] = []

    async def publish(log: list[str]) -> str:
        calls.append(len(log))
        return "published"

    graph = Graph("g", State)
    graph.add_node("publish", publish, writes="log")
    graph.add_edge(START, "publish")
    graph.add_edge("publish", END, when=value("log").length() >= 2)
    graph.add_edge("publish", "publish")
    run_id = await waiting(runner, graph, pause_before=["publish"])
    (wait,) = await runner.waits(run_id)
    assert (wait.name, wait.kind, wait.question) == ("publish", "pause", "paused before publish")
    with pytest.raises(InputError):
        await runner.answer(run_id, value=False)
    assert calls == []
    await runner.answer(run_id, value=True)
    assert (await go_on(runner, graph, run_id)).status == "waiting"
    assert calls == [0]
    await runner.answer(run_id, value=True)
    assert (await go_on(runner, graph, run_id)).state.log == ["published"] * 2


async def test_a_run_pauses_inside_a_subgraph(runner: Runner) -> None:
    """By the node's path; elsewhere the same name is not paused."""
    inner = path(("publish", lambda: "inner", "word"), name="article")
    inner.result = "word"
    graph = path(("publish", lambda: "outer", "log"), ("article", inner, "log"))
    run_id = await waiting(runner, graph, pause_before=["article/publish"])
    assert names(await runner.waits(run_id)) == ["article/publish"]
    await runner.answer(run_id, value=True)
    assert (await go_on(runner, graph, run_id)).state.log == ["outer", "inner"]


async def test_a_resume_may_pause_elsewhere(runner: Runner) -> None:
    """pause_before replaces what the run had."""
    graph = path(("a", lambda: "a", "log"), ("b", lambda: "b", "log"), ("c", lambda: "c", "log"))
    run_id = await waiting(runner, graph, pause_before=["a", "b"])
    await runner.answer(run_id, value=True)
    result = await runner.resume(graph, run_id, pause_before=["c"]).result()
    assert (result.state.log, names(result.waits)) == (["a", "b"], ["c"])
    await runner.answer(run_id, value=True)
    assert (await go_on(runner, graph, run_id)).state.log == ["a", "b", "c"]


async def test_a_resume_may_lift_a_pause(runner: Runner) -> None:
    """With another list, or an empty one, the run goes on without an answer; a pause that is still in it stays."""
    graph = path(("a", lambda: "a", "log"), ("b", lambda: "b", "log"))
    run_id = await waiting(runner, graph, pause_before=["b"])
    result = await runner.resume(graph, run_id, pause_before=["a", "b"]).result()
    assert (result.status, names(result.waits)) == ("waiting", ["b"])
    result = await runner.resume(graph, run_id, pause_before=[]).result()
    assert (result.status, result.state.log) == ("finished", ["a", "b"])


@pytest.mark.parametrize(("given", "told"), [("publish", "give a list"), (["pubish"], "did you mean 'publish'")])
async def test_a_pause_before_nothing_is_refused(given: Any, told: str) -> None:
    """At once, with the repair."""
    async with Runner() as runner:
        with pytest.raises(InputError, match=told):
            runner.start(path(("publish", lambda: "x", "word")), pause_before=given)


async def test_a_pause_before_a_map_is_one_pause(runner: Runner) -> None:
    """Not one for each item."""

    async def look(item: str) -> bool:
        return item == "a"

    graph = Graph("g", State)
    graph.add_node("look", look, each={"item": "items"}, writes="answers")
    graph.add_path(START, "look", END)
    run_id = await waiting(runner, graph, pause_before=["look"])
    assert names(await runner.waits(run_id)) == ["look"]
    await runner.answer(run_id, value=True)
    assert (await go_on(runner, graph, run_id)).state.answers == [True, False, False, False]


async def test_waits_of_one_name_are_answered_one_after_another(runner: Runner) -> None:
    """The items of a map that all call their question the same."""

    async def work(item: str, ctx: Context) -> bool:
        return await ctx.ask(f"{item}?", bool, name="editor")

    graph = Graph("g", State)
    graph.add_node("work", work, each={"item": "items"}, writes="answers")
    graph.add_path(START, "work", END)
    run_id = await waiting(runner, graph, state={"items": ["a", "b"]})
    for given in (True, False):
        await runner.answer(run_id, given, wait="editor")
        await go_on(runner, graph, run_id)
    assert (await go_on(runner, graph, run_id)).state.answers == [True, False]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"timeout_seconds": 0}, "above 0"),
        ({"timeout_seconds": float("nan")}, "above 0"),
        ({"default": "x"}, "without a time"),
    ],
)
async def test_a_question_in_a_node_that_makes_no_sense_is_refused(runner: Runner, options: Any, told: str) -> None:
    """As one that is a node."""

    async def work(ctx: Context) -> str:
        return str(await ctx.ask("Well?", str, **options))

    with pytest.raises(RunFailed, match=told):
        await runner.start(path(("work", work, "word"))).result()


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    day: datetime.date


class Alias(BaseModel):
    number: int = Field(alias="theNumber")


async def test_strict_models_and_aliases_are_types_of_answers(timed: Runner, clock: FakeClock) -> None:
    """Given as a model, as JSON, or as a default."""
    for kind, given in ((Strict, Strict(day=datetime.date(2026, 1, 2))), (Alias, Alias(theNumber=3))):
        graph = path(("q", ask("Well?", kind), {"word": shown}))
        run_id = await waiting(timed, graph)
        await timed.answer(run_id, given)
        assert (await go_on(timed, graph, run_id)).state.word == repr(given)

        graph = path(("q", ask("Well?", kind, timeout_seconds=60, default=given), {"word": shown}))
        run_id = await waiting(timed, graph)
        clock.move(60)
        assert (await go_on(timed, graph, run_id)).state.word == repr(given)
