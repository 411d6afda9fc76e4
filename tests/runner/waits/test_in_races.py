"""Waits that are not awaited, lose a race, depend on the clock, share a name, or belong to a node that fails."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner
from graphengine.errors import DefinitionError, InputError
from tests.kit.facts import said
from tests.kit.runs import SOON, alone
from tests.kit.waiting import resume_run


class State(BaseModel):
    text: str = ""
    log: list[str] = []
    items: list[int] = [1, 2]
    answers: list[int] = []


def one(work: Callable[..., Any], writes: str = "text", **options: Any) -> Graph[State]:
    """Return a graph of one node."""
    return alone(State, work, writes, **options)


# -- waits that are not awaited to their end


async def test_a_wait_that_is_begun_and_not_awaited_ends_nothing(runner: Runner) -> None:
    """Its node is named in the step, and the next node still works when the wait would end it."""
    left: list[asyncio.Task[str]] = []

    async def begin(ctx: Context) -> str:
        left.append(asyncio.create_task(ctx.ask("Well?")))
        await asyncio.sleep(0)
        return "begun"

    async def after() -> list[str]:
        for _ in range(20):  # turns of the event loop, in which the first attempt would have been ended
            await asyncio.sleep(0)
        return ["after"]

    graph = one(begin)
    graph.edges.clear()
    graph.add_node("after", after, writes="log")
    graph.add_path(START, "work", "after", END)
    run = runner.start(graph)
    async with asyncio.timeout(SOON):
        result = await run.result()
    assert (result.status, result.state.text, result.state.log) == ("finished", "begun", ["after"])
    (row,) = [step for step in await runner.history(run.id) if step.node == "work"]
    assert said(row)["unawaited"] == ["work"]
    left[0].cancel()


async def test_a_wait_after_its_node_has_ended_is_an_error_of_the_caller(runner: Runner) -> None:
    """A question from a task that outlived its node raises there, and the run continues."""
    ended = asyncio.Event()
    late: list[asyncio.Task[str]] = []

    async def work(ctx: Context) -> str:
        async def ask_late() -> str:
            await ended.wait()
            return await ctx.ask("Well?")

        late.append(asyncio.create_task(ask_late()))
        return "done"

    assert (await runner.start(one(work)).result()).state.text == "done"
    ended.set()
    async with asyncio.timeout(SOON):
        (error,) = await asyncio.gather(*late, return_exceptions=True)
    assert "ctx.ask was called after its node had ended" in str(error)


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_message_after_its_node_has_ended_is_an_error_of_the_caller(runner: Runner, *, in_thread: bool) -> None:
    """Nothing that would have been recorded with the node's step is lost in silence; what is only shown is shown."""
    ended = asyncio.Event()
    late: list[asyncio.Task[object]] = []

    async def work(ctx: Context) -> str:
        async def late_call(call: Callable[[], None]) -> None:
            await ended.wait()
            await asyncio.to_thread(call) if in_thread else call()

        calls = (lambda: ctx.send("t", 1), lambda: ctx.emit(2, record=True), lambda: ctx.emit(3))
        late.extend(asyncio.create_task(late_call(call)) for call in calls)
        return "done"

    assert (await runner.start(one(work)).result()).state.text == "done"
    ended.set()
    async with asyncio.timeout(SOON):
        sent, recorded, shown = await asyncio.gather(*late, return_exceptions=True)
    assert isinstance(sent, DefinitionError)
    assert isinstance(recorded, DefinitionError)
    assert sent.message == "ctx.send was called after its node had ended"
    assert recorded.message == "ctx.emit(record=True) was called after its node had ended"
    assert shown is None


async def test_a_question_that_lost_a_race_is_not_asked(runner: Runner) -> None:
    """The step came first and the node no longer needs an answer: it continues, and the run does not wait for one."""

    async def quick() -> str:
        return "quick"

    async def work(ctx: Context) -> str:
        step, question = asyncio.create_task(ctx.call(quick)), asyncio.create_task(ctx.ask("Or you?"))
        done, left = await asyncio.wait({step, question}, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        result = await ctx.call(str.upper, done.pop().result())
        for _ in range(20):  # turns of the event loop, in which the attempt would have been ended
            await asyncio.sleep(0)
        return result

    run = runner.start(one(work))
    async with asyncio.timeout(SOON):
        result = await run.result()
    assert (result.status, result.state.text) == ("finished", "QUICK")
    assert [step.kind for step in await runner.history(run.id)] == ["started", "recorded", "recorded", "node"]


# -- the log's time


# -- waits of one name


async def ask_by_one_name(item: int, ctx: Context) -> int:
    """Ask as `ok`; the first item asks twice."""
    answer = await ctx.ask(f"{item}?", int, name="ok")
    return answer + await ctx.ask("again?", int, name="ok") if item == 1 else answer


def same_names() -> Graph[State]:
    """Return a graph whose items all ask by one name."""
    return alone(State, ask_by_one_name, "answers", each={"item": "items"}, name="names")


async def test_an_answer_finds_its_wait_though_a_new_one_has_its_name(runner: Runner) -> None:
    """The first item asked again before the answer to the second reached the run. None is answered without its id."""
    graph = same_names()
    begun = await runner.start(graph).result()
    run_id, (first, second) = begun.run_id, begun.waits
    with pytest.raises(InputError, match="asks several questions"):
        await runner.answer(run_id, 1)
    await runner.answer(run_id, 1, wait=first)
    result = await resume_run(runner, graph, run_id)
    assert [wait.question for wait in result.waits] == ["again?", "2?"]
    await runner.store.post(run_id, "answer", {"wait": "ok", "id": second.id, "value": 20}, "late")
    result = await resume_run(runner, graph, run_id)
    assert [wait.question for wait in result.waits] == ["again?"]
    await runner.answer(run_id, 2, wait=result.waits[0])
    assert (await resume_run(runner, graph, run_id)).state.answers == [3, 20]


# -- failures after an answer
