"""Values that a run publishes while it goes on: what is read is what was published last, wherever the run is."""

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Retry, Runner, Secret, ask, value
from graphengine.engine.fold import fold
from graphengine.engine.published import find_published, rename_published
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.steps import Node, Recorded, Started, Step
from graphengine.engine.stored import copy_of
from graphengine.errors import (
    DefinitionError,
    InputError,
    NotPublished,
    NotPublishedYet,
    NotRecordable,
    TooLarge,
    UnknownRun,
)
from graphengine.history.load import load_snapshot
from graphengine.state.amounts import LimitsRecord
from tests.kit.runs import SOON, alone, arms, failing, repeated, row


class Progress(BaseModel):
    """What a node publishes."""

    done: int
    of: int
    at: datetime = datetime(2026, 1, 2, tzinfo=UTC)


class State(BaseModel):
    """Numbers to map, and what comes of them."""

    items: list[int] = [1, 2, 3]
    found: list[int] = []
    n: int = 0
    m: int = 0
    word: str = ""


async def tell(ctx: Context) -> int:
    """Publish twice."""
    await ctx.publish("progress", Progress(done=1, of=2))
    await ctx.publish("progress", Progress(done=2, of=2))
    return 1


async def test_the_newest_value_is_returned_as_its_type(runner: Runner) -> None:
    """Also after the run's end, with the step that has it, and from a handle that does not know the graph."""
    run = runner.start(alone(State, tell, "n"), {})
    await run.result()
    found = await runner.get(run.id).published("progress", Progress)
    assert (found.value, found.path, found.item, found.name) == (Progress(done=2, of=2), "work", "", "progress")
    assert (await run.history())[found.seq - 1].at == found.at
    assert (await run.published("progress")).value["done"] == 2


async def test_a_value_is_waited_for_until_there_is_one_and_then_a_newer_one(runner: Runner) -> None:
    """It is durable before `publish` returns, so who waits sees it while its node still works."""
    begins, goes_on, ends = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(ctx: Context) -> int:
        await begins.wait()
        await ctx.publish("at", 1)
        await goes_on.wait()
        await ctx.publish("at", 2)
        await ends.wait()
        return 1

    run = runner.start(alone(State, work, "n"), {})
    with pytest.raises(NotPublishedYet, match="has published nothing as 'at' yet") as caught:
        await run.published("at", int, timeout_seconds=0)
    assert isinstance(caught.value, TimeoutError)
    with pytest.raises(NotPublishedYet, match=r"in 0\.05 s"):
        await run.published("at", int, timeout_seconds=0.05)
    waiting = asyncio.create_task(run.published("at", int, timeout_seconds=SOON))
    begins.set()
    first = await waiting
    waiting = asyncio.create_task(run.published("at", int, after=first.seq))
    ahead = asyncio.create_task(run.published("at", int, after=1_000))  # nothing is newer
    assert (await run.published("at", int)).value == 1
    goes_on.set()
    second = await waiting
    assert (first.value, second.value) == (1, 2)
    late = asyncio.create_task(run.published("at", int, after=second.seq))
    ends.set()
    with pytest.raises(NotPublished, match="is finished, and has published nothing as 'at' after step") as over:
        await late
    assert not isinstance(over.value, TimeoutError)
    with pytest.raises(NotPublished):
        await ahead
    assert f"step {second.seq}" in over.value.repair


async def test_the_values_are_iterated_until_the_run_is_over(runner: Runner) -> None:
    """The newest comes first, or all after a step; the others as they are published."""
    run = runner.start(alone(State, tell, "n"), {})
    values = [each.value.done async for each in run.publications("progress", Progress, after=0)]
    assert values == [1, 2]
    assert [each.value.done async for each in run.publications("progress", Progress)] == [2]
    last = await run.published("progress")
    assert [each async for each in run.publications("progress", after=last.seq)] == []


async def test_an_error_says_what_was_published(runner: Runner) -> None:
    """The names, if it is another one; the difference, if it is another type."""
    run = runner.start(alone(State, tell, "n"), {})
    with pytest.raises(NotPublished, match="is finished, and has published nothing as 'progres'") as caught:
        await run.published("progres", Progress)
    assert caught.value.repair == "did you mean 'progress'?"
    with pytest.raises(
        InputError, match=r"published as 'progress' is not of type int: value: Input should be a valid integer"
    ):
        await run.published("progress", int)
    with pytest.raises(NotPublished) as caught:
        await run.published("progress", item="work[1]")
    assert caught.value.repair.startswith("read an earlier value; the newest ones are of step")
    silent = runner.start(alone(State, lambda: 1, "n"), {})
    with pytest.raises(NotPublished, match="nothing") as caught:
        await silent.published("progress", Progress)
    assert "ctx.publish(name, value)" in caught.value.repair
    with pytest.raises(UnknownRun):
        await runner.get("none").published("progress")
    with pytest.raises(DefinitionError, match="timeout_seconds=-1"):
        await run.published("progress", timeout_seconds=-1)


async def test_what_cannot_be_published_is_refused_in_the_node(runner: Runner) -> None:
    """A name of the engine's own, what is no JSON, what is too large."""
    refused: list[BaseException] = []

    async def work(ctx: Context) -> int:
        for name, given_ in (("ge:x", 1), ("x", object()), ("x", "x" * (1 << 21))):
            try:
                await ctx.publish(name, given_)
            except (DefinitionError, InputError, NotRecordable, TooLarge) as error:
                refused.append(error)
        return 1

    run = runner.start(alone(State, work, "n"), {})
    assert (await run.result()).status == "finished"
    assert [type(each) for each in refused] == [InputError, NotRecordable, TooLarge]


async def test_a_secret_is_not_published(runner: Runner) -> None:
    """It is refused as in a call's result."""

    class Sealed(BaseModel):
        key: Annotated[str, Secret] = ""
        n: int = 0

    async def work(ctx: Context, key: str) -> int:
        await ctx.publish("open", [key])
        return 1

    graph = alone(Sealed, work, "n", secret_key=secrets.token_urlsafe(32))
    run = runner.start(graph, {"key": "hunter2-hunter2-hunter2"})
    refused = "'open', or its key, contains the clear text of a secret field"
    await failing(run.result(), refused)
    await failing(anext(run.publications("open", after=0)), refused)


async def test_a_log_that_is_trimmed_keeps_what_was_published(runner: Runner) -> None:
    """The newest is found, although its step is gone, also by who iterates and saw only what was before it."""

    async def work(ctx: Context, n: int) -> int:
        if n == 0:
            await ctx.publish("first", 7)
        return n + 1

    run = runner.start(repeated(State, work, "n", value("n") >= 700), {})
    await run.result()
    assert await runner.store.trim(run.id, 0, 1000)
    assert (await run.history())[1].kind == "removed"
    found = await run.published("first", int)
    assert (found.value, found.seq) == (7, 2)
    for after, seen in ((0, [7]), (1, [7]), (2, []), (600, [])):
        assert [each.value async for each in run.publications("first", after=after)] == seen


async def test_a_node_that_runs_again_publishes_nothing_twice(runner: Runner) -> None:
    """A wait begins it again: what it has published is known by its name and value; a changed value is new."""
    visits: list[int] = []

    async def work(ctx: Context) -> str:
        visits.append(1)
        await ctx.publish("a", "same")
        await ctx.publish("a", "same")
        await ctx.publish("b", len(visits))
        return await ctx.ask("What?", str)

    graph = alone(State, work, "word")
    run = runner.start(graph, {})
    await run.result()
    await (await runner.answer(run.id, "this", graph)).result()
    assert [each.value async for each in run.publications("a", after=0)] == ["same", "same"]
    assert [each.value async for each in run.publications("b", after=0)] == [1, len(visits)][: len(visits)]
    (node,) = [step.data for step in await run.history() if isinstance(step.data, Node)]
    assert not node.unused


async def test_an_attempt_that_begins_afresh_publishes_again(runner: Runner) -> None:
    """Its recorded work is forgotten, as for a call; what was published before the failure stands until then."""

    async def work(ctx: Context) -> int:
        await ctx.publish("attempt", ctx.attempt)
        if ctx.attempt == 1:
            raise ValueError
        return 1

    run = runner.start(alone(State, work, "n", retry=Retry(attempts=2, initial_seconds=0)), {})
    await run.result()
    assert [each.value async for each in run.publications("attempt", after=0)] == [1, 2]


async def test_a_failed_run_has_what_it_published(runner: Runner) -> None:
    """It can be read after the failure."""

    async def work(ctx: Context) -> int:
        await ctx.publish("near", "the end")
        raise ValueError

    run = runner.start(alone(State, work, "n"), {})
    await failing(run.result())
    assert (await run.published("near", str)).value == "the end"
    with pytest.raises(NotPublished, match="is failed"):
        await run.published("far", str)


async def test_each_item_of_a_map_has_its_newest(runner: Runner) -> None:
    """And the name has the newest of all; what is published outside of maps is asked for by an empty item."""

    async def work(ctx: Context, item: int) -> int:
        await ctx.publish("item", item)
        await ctx.publish("item", item * 10)
        return item

    async def after(ctx: Context) -> int:
        await ctx.publish("item", 0)
        return 0

    graph = Graph("maps", State)
    graph.add_node("work", work, each={"item": "items"}, writes="found")
    graph.add_node("after", after, writes="n")
    graph.add_path(START, "work", "after", END)
    run = runner.start(graph, {})
    await run.result()
    values = [(await run.published("item", int, item=f"work[{index}]")).value for index in range(3)]
    assert values == [10, 20, 30]
    newest, outside = await run.published("item", int), await run.published("item", int, item="")
    assert newest == outside
    assert (newest.value, newest.item) == (0, "")


async def test_in_arms_and_subgraphs_the_newest_of_the_log_counts(runner: Runner) -> None:
    """They have no value of their own; the path says where it was published."""
    first = asyncio.Event()

    async def left(ctx: Context) -> int:
        await ctx.publish("arm", "left")
        first.set()
        return 1

    async def right(ctx: Context) -> int:
        await first.wait()
        await ctx.publish("arm", "right")
        return 2

    run = runner.start(arms(State, ("left", left, "n"), ("right", right, "m")), {})
    await run.result()
    found = await run.published("arm", str)
    assert (found.value, found.path, found.item) == ("right", "right", "")
    inner = alone(State, tell, "n", name="inner", result="n")
    outer = alone(State, inner, "n", name="outer", node="inside", inputs={})
    nested = runner.start(outer, {})
    await nested.result()
    assert (await nested.published("progress", Progress)).path == "inside/work"


async def test_a_branch_has_what_was_published_before_it(runner: Runner) -> None:
    """And then its own; the run that it branched from keeps its own."""

    async def speak(ctx: Context, word: str) -> int:
        await ctx.publish("word", word)
        return 1

    async def first(ctx: Context) -> str:
        await ctx.publish("word", "first")
        return "one"

    graph = row(State, ("first", first, "word"), ("sure", ask("Sure?", int), "m"), ("speak", speak, "n"))
    run = runner.start(graph, {})
    await run.result()
    branch = runner.branch(run.id, graph, "first:1", update={"word": "two"})
    await branch.result()
    assert (await branch.published("word", str)).value == "first"
    await (await runner.answer(branch.id, 1, graph)).result()
    assert (await branch.published("word", str)).value == "two"
    assert (await run.published("word", str)).value == "first"
    assert not await branch.unread("word")


async def test_a_run_that_is_removed_ends_the_wait(runner: Runner) -> None:
    """Who waits for a value of it is told that it is gone."""
    graph = alone(State, ask("What?", str), "word")
    run = runner.start(graph, {})
    await run.result()
    waiting = asyncio.create_task(run.published("never"))
    await asyncio.sleep(0)
    await runner.stop(run.id, final=True)
    assert not await runner.store.remove([await runner.store.info(run.id)])
    with pytest.raises((UnknownRun, NotPublished)):
        async with asyncio.timeout(SOON):
            await waiting


async def test_the_cost_of_reading_does_not_depend_on_the_length(runner: Runner) -> None:
    """The snapshot has the newest value alone, and its node's record of what it published has no value."""

    async def work(ctx: Context) -> str:
        for number in range(20):
            await ctx.publish("number", "x" * 1000 + str(number))
        return await ctx.ask("What?", str)

    run = runner.start(alone(State, work, "word"), {})
    await run.result()
    snapshot = await load_snapshot(runner.store, run.id, None)
    assert len(str(snapshot.mailbox)) < 1500
    assert "xxx" not in str(snapshot.root.recorded_results)
    assert [each.value[-2:] for each in find_published(copy_of(snapshot))] == ["19"]  # type: ignore[index]


async def test_progress_is_read_without_publishing(runner: Runner) -> None:
    """How far each map is that runs: done, failed, waiting, of how many; none once it is over."""

    async def work(ctx: Context, item: int) -> int:
        if item == 2:
            await ctx.ask("Two?", int)
        if item == 3:
            raise ValueError
        return item

    graph = Graph("maps", State)
    graph.add_node("work", work, each={"item": "items"}, writes="found")
    graph.add_path(START, "work", END)
    run = runner.start(graph, {})
    await run.result()
    (found,) = await run.progress()
    assert (found.path, found.of, found.done, found.failed, found.waiting) == ("work", 3, 1, 1, 1)
    over = runner.start(alone(State, tell, "n"), {})
    await over.result()
    assert await over.progress() == []


# -- the fold

NAMES = st.sampled_from(["a", "b", "3 a", "a]b"])
FRAMES = st.sampled_from(["", "work[0]", "work[1]", "sub/", "~x", "~x/work[0]/~y"])


def published(*values: tuple[str, str, Any]) -> list[Step]:
    """Return the log of a run that published these values: name, frame, value."""
    started = Started(run_id="r", graph="g", fingerprint="f", limits=LimitsRecord(), to=("work",))
    steps = [Step(1, 1.0, started)]
    for seq, (name, frame, number) in enumerate(values, start=2):
        facts = Recorded(key=f"ge:publish {name}|{seq}|1", name=f"ge:publish {name}", value=number)
        steps.append(Step(seq, float(seq), facts, frame, "work", 1, 1))
    return steps


@given(st.lists(st.tuples(NAMES, FRAMES, st.integers()), max_size=12))
def test_what_is_read_is_what_was_published_last(values: list[tuple[str, str, int]]) -> None:
    """For each name, and each name and item, whatever the names are, also from a snapshot that was stored."""
    snapshot = fold(published()[:1], Snapshot())
    for frame in {frame for _, frame, _ in values if frame}:
        snapshot.frames[frame] = type(snapshot.root)(id=frame, kind="arm", up=snapshot.root, base=snapshot.root)
    snapshot = copy_of(fold(published(*values)[1:], snapshot))
    items = {"": "", "sub/": "", "~x": "", "work[0]": "work[0]", "work[1]": "work[1]", "~x/work[0]/~y": "work[0]"}
    for name, item in {(name, items[frame]) for name, frame, _ in values}:
        expected = [value for each, frame, value in values if (each, items[frame]) == (name, item)][-1]
        (found,) = find_published(snapshot, name, item)
        assert found.value == expected
        assert find_published(snapshot, name)[-1].value == [value for each, _, value in values if each == name][-1]


def test_a_renamed_node_takes_its_items_along() -> None:
    """The values of items of ended and running visits are found under the new paths, inner names first."""
    snapshot = fold(published()[:1], Snapshot())
    snapshot.frames["work[0]"] = type(snapshot.root)(id="work[0]", kind="item", up=snapshot.root, base=snapshot.root)
    fold(published(("a", "work[0]", 1), ("a", "", 2))[1:], snapshot)
    rename_published(snapshot, {"": {"work": "study"}})
    assert [(each.item, each.path) for each in find_published(snapshot, "a")] == [
        ("study[0]", "study[0]"),
        ("", "study"),
    ]


def test_nodes_that_take_each_others_name_take_their_items_along() -> None:
    """No value is lost, or found under the name that a third node has taken."""
    snapshot = fold(published()[:1], Snapshot())
    for each in ("a[0]", "b[0]"):
        snapshot.frames[each] = type(snapshot.root)(id=each, kind="item", up=snapshot.root, base=snapshot.root)
    fold(published(("v", "a[0]", 1), ("v", "b[0]", 2))[1:], snapshot)
    rename_published(snapshot, {"": {"a": "b", "b": "a"}})
    assert [(each.item, each.value) for each in find_published(snapshot, "v")] == [("b[0]", 1), ("a[0]", 2)]
    rename_published(snapshot, {"": {"a": "b", "b": "c"}})
    assert [(each.item, each.value) for each in find_published(snapshot, "v")] == [("c[0]", 1), ("b[0]", 2)]


def test_inner_nodes_are_renamed_before_those_around_them() -> None:
    """In an item's graph, whose paths have the old name of its map."""
    snapshot = fold(published()[:1], Snapshot())
    snapshot.frames["a[0]/in[1]"] = type(snapshot.root)(id="a[0]/in[1]", kind="item", up=snapshot.root)
    fold(published(("v", "a[0]/in[1]", 1))[1:], snapshot)
    rename_published(snapshot, {"": {"a": "b"}, "a[0]/": {"in": "within"}})
    assert [each.item for each in find_published(snapshot, "v")] == ["b[0]/within[1]"]
