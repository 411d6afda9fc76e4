"""An answer is for one asking: the visit that asks, what is shown, and the type. Its id says which."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, NamedTuple

import pytest
from pydantic import AfterValidator, BaseModel

from graphengine import END, START, Context, Graph, Retry, Runner, Wait, ask, value
from graphengine.engine.steps import Waiting
from graphengine.errors import AmbiguousWait, AnsweredAlready, InputError, QuestionWithdrawn
from graphengine.history.load import load_snapshot, waits_of
from graphengine.kernel.fake_clock import FakeClock
from tests.kit.waiting import answer_unchecked

Verdict = Literal["publish", "again"]
Answers = Annotated[str, AfterValidator(lambda text: text if text != "odd" else int(text))]


class Press(BaseModel):
    n: int = 0
    answer: str = "again"
    published: str = ""


class Kind(NamedTuple):
    """A graph that asks again, and what leads there.

    Attributes:
        graph: The graph.
        name: The name of its questions.
        again: The answer after which it asks the next question.
        end: The answer after which the run ends; None if there is none.
        options: How it is started.
    """

    graph: Graph[Press]
    name: str
    again: object
    end: object = None
    options: Mapping[str, Any] = MappingProxyType({})


def press(approve: Any, **options: Any) -> Graph[Press]:
    """Return a graph that asks for the approval of each draft, until one is published."""
    graph = Graph("press", Press)
    graph.add_node("draft", lambda n: n + 1, writes="n")
    graph.add_node("approve", approve, writes="answer", **options)
    graph.add_node("publish", lambda n: f"draft {n}", writes="published")
    graph.add_path(START, "draft", "approve")
    graph.add_edge("approve", "publish", when=value("answer") == "publish")
    graph.add_edge("approve", "draft")
    graph.add_edge("publish", END)
    return graph


async def in_code(n: int, ctx: Context) -> str:
    """Ask inside a node."""
    return str(await ctx.ask(f"Publish draft {n}?", Verdict))


async def named(n: int, ctx: Context) -> str:
    """Ask under a name of its own."""
    return str(await ctx.ask(f"Publish draft {n}?", Verdict, name="press"))


def cut_off() -> str:
    """Begin, and not return."""
    raise OSError("cut off")


asked = ask("Publish draft {n}?", Verdict)
KINDS: Final[dict[str, Kind]] = {
    "ask": Kind(press(asked), "approve", "again", "publish"),
    "in code": Kind(press(in_code), "approve", "again", "publish"),
    "named": Kind(press(named), "press", "again", "publish"),
    "pause": Kind(press(lambda: "again"), "approve", again=True, options={"pause_before": ["approve"]}),
    "unknown": Kind(
        press(cut_off, effect="once", retry=Retry(attempts=9, initial_seconds=0, on=(OSError,))),
        "approve",
        "rerun",
        {"result": "publish"},
    ),
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=[*KINDS])


async def begun(runner: Runner, kind: Kind) -> Wait:
    """Start a run; return its first question."""
    result = await runner.start(kind.graph, run_id="r", **kind.options).result()
    (wait,) = result.waits
    assert (wait.name, wait.id.rpartition("@")[0]) == (kind.name, kind.name)
    return wait


async def answered(runner: Runner, kind: Kind, given: object, wait: Wait | str | None = None, by: str = "") -> Any:
    """Answer; return the result when the run rests again."""
    return await (await runner.answer("r", given, kind.graph, wait=wait, by=by)).result()


async def open_now(runner: Runner, run_id: str) -> Sequence[str]:
    """Return the ids of what a run asks."""
    return [wait.id for wait in waits_of(await load_snapshot(runner.store, run_id, None))]


async def recorded(runner: Runner) -> Sequence[str]:
    """Return the ids that are recorded with answers."""
    found = [getattr(step.data, "answer", None) for step in await runner.history("r")]
    return [each.id for each in found if each is not None and each.id]


async def to_wait(wait: Wait) -> Wait | str:
    """Name a question by what was shown."""
    return wait


async def to_id(wait: Wait) -> Wait | str:
    """Name a question by its id."""
    return wait.id


@each_kind
@pytest.mark.parametrize("named_by", [to_wait, to_id])
async def test_an_answer_is_for_the_question_that_was_shown(
    runner: Runner, kind: Kind, named_by: Callable[[Wait], Awaitable[Wait | str]]
) -> None:
    """Open, it counts, and its id is recorded; asked again under its name, an answer to the first one is refused."""
    first = await begun(runner, kind)
    (second,) = (await answered(runner, kind, kind.again, await named_by(first), by="bob")).waits
    assert (second.name, first.id != second.id) == (first.name, True)
    for given in (kind.again, kind.end):
        with pytest.raises(AnsweredAlready, match=rf"question {first.id} .* was answered already by bob at") as error:
            await runner.answer("r", given, kind.graph, wait=await named_by(first), by="ann")
        assert second.id in error.value.repair
    assert await recorded(runner) == [first.id]
    await answered(runner, kind, kind.again, await named_by(second))
    assert await recorded(runner) == [first.id, second.id]


@each_kind
async def test_a_name_is_of_use_once(runner: Runner, kind: Kind) -> None:
    """Of a name that was asked twice the error has the id; without a name the answer is for what is open."""
    first = await begun(runner, kind)
    (second,) = (await answered(runner, kind, kind.again, kind.name)).waits
    with pytest.raises(
        AmbiguousWait, match=f"has asked '{kind.name}' 2 times.*open questions of this name: {second.id}"
    ):
        await runner.answer("r", kind.again, kind.graph, wait=kind.name)
    (third,) = (await answered(runner, kind, kind.again)).waits
    assert await recorded(runner) == [first.id, second.id]
    assert third.id not in (first.id, second.id)


@each_kind
async def test_ids_are_the_same_in_another_process(runner: Runner, kind: Kind) -> None:
    """A run that is read again, resumed and branched off asks what it asked."""
    first = await begun(runner, kind)
    assert [wait.id for wait in (await runner.resume("r", kind.graph).result()).waits] == [first.id]
    at = (await runner.info("r")).seq
    branch = await runner.branch("r", kind.graph, at, run_id="b").result()
    assert [wait.id for wait in branch.waits] == [first.id]
    (second,) = (await answered(runner, kind, kind.again)).waits
    assert ([*await open_now(runner, "b")], [*await open_now(runner, "r")]) == ([first.id], [second.id])


async def test_a_refused_answer_leaves_the_question_its_id(runner: Runner) -> None:
    """Refused by the type, which schemas do not say, any number of times; then an answer counts."""
    for run_id, approve in (("asks", ask("Word?", Answers)), ("in_code", _asks_word)):
        graph = press(approve)
        (wait,) = (await runner.start(graph, run_id=run_id).result()).waits
        for _ in range(3):
            await answer_unchecked(runner, run_id, "odd", wait)
            result = await runner.resume(run_id, graph).result()
            assert [each.id for each in result.waits] == [wait.id]
        result = await (await runner.answer(run_id, "publish", graph, wait=wait)).result()
        assert (result.status, result.state.published) == ("finished", "draft 1")


async def _asks_word(ctx: Context) -> str:
    return str(await ctx.ask("Word?", Answers))


async def test_attempts_ask_the_same_question(timed: Runner, clock: FakeClock) -> None:
    """A question whose time was over is asked again by the next attempt, under its id; another text has another one."""
    runner = timed
    graph = press(ask("Publish?", Verdict, timeout_seconds=60), retry=Retry(attempts=3, on=(TimeoutError,)))
    (wait,) = (await runner.start(graph, run_id="r").result()).waits
    clock.move(61)
    result = await runner.resume("r", graph).result()
    while not result.waits:
        clock.move(10)
        result = await runner.resume("r", graph).result()
    assert ([each.id for each in result.waits], result.waits[0].due_at) != ([wait.id], wait.due_at)
    assert [each.id for each in result.waits] == [wait.id]
    result = await (await runner.answer("r", "publish", graph, wait=wait)).result()
    assert result.status == "finished"


async def test_the_end_of_another_wait_changes_no_id(runner: Runner) -> None:
    """A node that runs again for one answer asks the other question still; what it no longer asks is withdrawn."""
    graph = press(_two)
    waits = {wait.name: wait for wait in (await runner.start(graph, run_id="r").result()).waits}
    result = await (await runner.answer("r", "a", graph, wait=waits["one"])).result()
    assert [wait.id for wait in result.waits] == [waits["two"].id]
    graph = press(_other)
    result = await runner.start(graph, run_id="s").result()
    first, second = result.waits
    result = await (await runner.answer("s", "a", graph, wait=first)).result()
    assert [wait.question for wait in result.waits] == ["else?"]
    with pytest.raises(QuestionWithdrawn, match="the run continued without an answer") as error:
        await runner.answer("s", "a", graph, wait=second)
    assert result.waits[0].id in error.value.repair
    found = [step.data for step in await runner.history("s")]
    assert [[*each.withdrawn] for each in found if isinstance(each, Waiting)] == [[], [second.id]]


async def _two(ctx: Context) -> str:
    one, two = await asyncio.gather(ctx.ask("one?", name="one"), ctx.ask("two?", name="two"))
    return f"{one}{two}"


async def _other(ctx: Context) -> str:
    first = asyncio.ensure_future(ctx.ask("one?", name="one"))
    second = asyncio.ensure_future(ctx.ask("two?", name="two"))
    await first
    second.cancel()
    return str(await ctx.ask("else?", name="else"))


async def test_what_has_ended_otherwise_says_so(timed: Runner, clock: FakeClock) -> None:
    """Time that was over, an arm that a join did not wait for, a name and an id that were never asked."""
    runner = timed
    graph = press(ask("Publish draft {n}?", Verdict, timeout_seconds=60, default="again"))
    (first,) = (await runner.start(graph, run_id="r").result()).waits
    clock.move(61)
    (second,) = (await runner.resume("r", graph).result()).waits
    assert second.id != first.id
    with pytest.raises(AnsweredAlready, match="its time is over"):
        await runner.answer("r", "publish", graph, wait=first)
    race = Graph("race", Press)
    race.add_node("begin", lambda: 1, writes="n")
    race.add_node("a", ask("a?"), writes="answer")
    race.add_node("b", ask("b?"), writes="published")
    race.add_node("after", ask("after?"), writes="answer")
    race.add_edge(START, "begin")
    race.add_fork("begin", ["a", "b"], join="after", need=1)
    race.add_edge("a", "after")
    race.add_edge("b", "after")
    race.add_edge("after", END)
    waits = {wait.name: wait for wait in (await runner.start(race, run_id="f").result()).waits}
    await (await runner.answer("f", "yes", race, wait=waits["a"])).result()
    for named in (waits["b"], "b"):
        with pytest.raises(QuestionWithdrawn, match="continued without"):
            await runner.answer("f", "yes", race, wait=named)
    for name in ("none", "none@1", f"a@{math.inf}", "a@99"):
        with pytest.raises(InputError, match="no question named"):
            await runner.answer("f", "yes", race, wait=name)


async def test_the_snapshot_counts_askings(runner: Runner) -> None:
    """By name, whatever kind of frame asked, and what was removed since."""
    kind = KINDS["ask"]
    await begun(runner, kind)
    await answered(runner, kind, kind.again)
    await answered(runner, kind, kind.again)
    there = (await load_snapshot(runner.store, "r", None)).asked
    assert {name: each.times for name, each in there.items()} == {"approve": 3}
