"""Child runs with workers, crashes, other processes and no effects; `sessions` has how they start, wait and stop."""

import asyncio
import gc
import secrets
import sqlite3
import weakref
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    START,
    ChildFailed,
    Context,
    Graph,
    Limits,
    Retry,
    RunFailed,
    Runner,
    Secret,
    ask,
    value,
)
from graphengine.kernel.fake_clock import FakeClock
from graphengine.runner.attempt import Attempt
from graphengine.runner.starters import topic_of
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import alone, arms, failing, row


class Word(BaseModel):
    """A word and its length."""

    word: str = ""
    length: int = 0


class Words(BaseModel):
    """Words and their lengths."""

    words: list[str] = []
    lengths: list[int] = []
    told: str = ""


broken: set[str] = set()


@pytest.fixture(autouse=True)
def _nothing_is_broken() -> None:
    broken.clear()


async def measure(ctx: Context, word: str) -> int:
    """Return a length; ask for that of an unknown word."""
    if word in broken:
        raise ValueError(word)
    return await ctx.ask("how long?", int) if word == "?" else len(word)


child = alone(Word, measure, "length", name="measures", node="measure")


def parent_of(function: object, retry: Retry | None = None) -> Graph[Words]:
    """Return a graph with this one node."""
    return alone(Words, function, "lengths", name="parents", node="node", retry=retry)


async def all_of(ctx: Context, words: list[str]) -> list[int]:
    """Return the lengths, each from a child."""
    runs = [await ctx.start(child, {"word": word}) for word in words]
    return [result.state.length for result in await asyncio.gather(*(run.result() for run in runs))]


parent = parent_of(all_of)


async def children(runner: Runner, run_id: str) -> list[str]:
    """Return the ids of the children of a run, oldest first."""
    return [info.id for info in reversed(await runner.store.runs(starter=run_id))]


async def test_a_parent_waits_for_a_failed_child_only_once_it_is_resumed() -> None:
    """Else a process that dies in between leaves a parent that waits for a child that nobody resumes."""
    statuses = []

    class Slow(InMemoryStore):
        async def claim(self, run_id: str) -> int:
            for _ in range(20):
                await asyncio.sleep(0)
            if run_id != "p":
                statuses.append((await self.info("p")).status)
            broken.clear()
            return await super().claim(run_id)

    broken.add("bee")
    graph = parent_of(all_of, Retry(attempts=2, initial_seconds=0, on=(ChildFailed,)))
    async with Runner(Slow()) as runner:
        assert (await runner.start(graph, {"words": ["bee"]}, run_id="p").result()).state.lengths == [3]
    assert statuses == ["running"]


async def test_a_resumed_parent_looks_after_its_children_also_if_it_has_mail(database: Path | str) -> None:
    """In another process nobody drives a child that sleeps, and mail for one node wakes no other."""

    async def sleeps(ctx: Context) -> int:
        await ctx.sleep(0.05)
        return 5

    async def one(ctx: Context) -> list[int]:
        return [(await (await ctx.start(sleeper)).result()).state.length]

    async def asks(ctx: Context) -> str:
        return await ctx.ask("who?", str)

    sleeper = alone(Word, sleeps, "length", name="sleeper", node="sleeps")
    graph = arms(Words, ("starts", one, "lengths"), ("asks", asks, "told"))
    async with Runner(database) as first:
        assert (await first.start(graph, run_id="p", wait_out=False).result()).status == "waiting"
    async with Runner(database) as second:
        await second.answer("p", "me")
        state = (await second.resume("p", graph).result()).state
        assert (state.lengths, state.told) == ([5], "me")


async def test_where_effects_are_refused_children_run_here_and_theirs_are_refused(runner: Runner) -> None:
    """Not in a queue, whose worker would let them act."""

    async def acts(ctx: Context) -> int:
        return await ctx.call(len, "four", effect="once")

    acting = alone(Word, acts, "length", name="acting", node="acts")

    async def one(ctx: Context) -> list[int]:
        return [(await (await ctx.start(acting, queue="q")).result()).state.length]

    async with Runner(effects={}) as refusing:
        with pytest.raises(RunFailed, match="effect_refused"):
            await refusing.start(parent_of(one)).result()
        assert not await refusing.store.queue_counts()


@pytest.mark.parametrize("is_driven", [True, False])
async def test_a_parent_is_stopped_though_a_child_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, is_driven: bool
) -> None:
    """Whether the parent waits or a node of it runs; the log names the child, which is left."""

    async def one(ctx: Context) -> list[int]:
        kid = await ctx.start(child, {"word": "?"}, run_id="kid", queue="words")
        if is_driven:
            begun.set()
            await asyncio.Event().wait()
        return [(await kid.result()).state.length]

    begun, path = asyncio.Event(), tmp_path / "runs.db"
    async with Runner(path) as runner:
        run = runner.start(parent_of(one), run_id="p", wait_out=False)
        await (begun.wait() if is_driven else run.result())
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE steps SET body = '{}' WHERE run = (SELECT key FROM runs WHERE id = 'kid')")
        await runner.stop("p", now=True)
        assert [(await runner.info(each)).status for each in ("p", "kid")] == ["stopped", "interrupted"]
    assert "run kid below run p is not stopped with it" in caplog.text


async def test_a_run_whose_runner_nobody_has_starts_children() -> None:
    """Its handle is enough."""

    async def one(ctx: Context) -> list[int]:
        gc.collect()
        return [(await (await ctx.start(child, {"word": "bee"})).result()).state.length]

    run = Runner().start(parent_of(one))
    assert (await run.result()).state.lengths == [3]


async def test_the_end_of_a_child_that_failed_keeps_nothing_of_the_node() -> None:
    """Its error has the node's frames in the traceback."""
    held: weakref.WeakSet[asyncio.Event] = weakref.WeakSet()
    broken.add("bee")

    async def one(ctx: Context) -> list[int]:
        here = asyncio.Event()
        held.add(here)
        kid = await ctx.start(child, {"word": "bee"})
        for _ in range(2):
            with pytest.raises(ChildFailed, match="ValueError: bee"):
                await kid.result()
        return [int(here.is_set())]

    async with Runner() as runner:
        assert (await runner.start(parent_of(one)).result()).state.lengths == [0]
        gc.collect()
        assert not held


async def test_what_started_children_is_freed_with_its_run() -> None:
    """A process that lives long would grow with each run: what is known of them must not keep the attempt."""
    async with Runner() as runner:
        run = runner.start(parent_of(all_of), {"words": ["bee", "ant"]})
        assert (await run.result()).state.lengths == [3, 3]
        gc.collect()
        left = [each for each in gc.get_objects() if type(each) is Attempt]
        assert not [each for each in left if each.services.run_id == run.id]


def parent_of_queued(graph: Graph[Word]) -> Graph[Words]:
    """Return a graph whose node starts the run `kid` of a graph for a worker, and waits for it."""

    async def one(ctx: Context, words: list[str]) -> list[int]:
        kid = await ctx.start(graph, {"word": words[0]}, run_id="kid", queue="words")
        return [(await kid.result()).state.length]

    return parent_of(one)


async def test_a_child_whose_end_was_trimmed_since_is_waited_for(runner: Runner) -> None:
    """It failed, went on, and no longer has that step when its parent looks."""

    async def count(word: str, length: int) -> int:
        if word in broken:
            raise ValueError(word)
        return length + 1

    long = Graph("long", Word, limits=Limits(visits=1000))
    long.add_node("count", count, writes="length")
    long.add_node("ask", ask("How long?", int), writes="length")
    long.add_edge(START, "count")
    long.add_edge("count", "ask", when=value("length") > 300)
    long.add_edge("count", "count")
    long.add_edge("ask", END)
    graph = parent_of_queued(long)
    broken.add("bee")
    await runner.start(graph, {"words": ["bee"]}, run_id="p", wait_out=False).result()
    await failing(runner.resume("kid", long).result())
    broken.clear()
    await runner.resume("kid", long).result()
    assert await runner.store.trim("kid", 0, 500)
    assert (await runner.resume("p", graph).result()).status == "waiting"
    await runner.answer("kid", 7)
    await runner.resume("kid", long).result()
    assert (await runner.resume("p", graph).result()).state.lengths == [7]


async def test_a_child_that_is_gone_before_its_parent_looked_is_a_failure(runner: Runner) -> None:
    """No prune removes it, but a database can lack it; the node can handle that."""
    graph = parent_of_queued(child)
    await runner.start(graph, {"words": ["bee"]}, run_id="p", wait_out=False).result()
    await runner.resume("kid", child).result()
    await runner.store.remove([await runner.info("kid")])
    over = await failing(runner.resume("p", graph).result())
    assert (over.error.kind, over.error.message) == (
        "child_failed",
        "child run 'kid' was removed: its end was not read before",
    )
    again = await runner.branch("p", graph, 1, run_id="q").result()
    assert (again.status, await children(runner, "q")) == ("waiting", ["kid"])


async def test_a_message_to_look_at_a_child_is_not_taken_for_its_end(runner: Runner) -> None:
    """It is left from before the child failed; what starts the child again must be told its end after that."""
    retry = Retry(attempts=2, initial_seconds=0)
    around = alone(Words, parent_of_queued(child), {"lengths": "lengths"}, name="around", node="in", retry=retry)
    broken.add("bee")
    await runner.start(around, {"words": ["bee"]}, run_id="p", wait_out=False).result()
    await failing(runner.resume("kid", child).result())
    look = {"topic": topic_of("kid"), "payload": {"run_id": "kid", "seq": 1}}
    await runner.store.post("p", "message", look, "look")
    broken.clear()
    assert (await runner.resume("p", around).result()).state.lengths == [3]


@pytest.mark.parametrize("topic", ["", "kids"])
async def test_an_end_is_told_again_beside_other_messages(runner: Runner, topic: str) -> None:
    """The child has finished, and what comes after its node fails once: the graph around both is tried again."""

    async def one(ctx: Context, words: list[str]) -> list[int]:
        kid = await ctx.start(child, {"word": words[0]}, run_id="kid", queue="words", topic=topic)
        if not topic:
            return [(await kid.result()).state.length]
        told: Any = ""
        while not isinstance(told, dict):
            told = await ctx.receive(topic)
        return [told["state"]["length"]]

    async def then(lengths: list[int]) -> list[int]:
        if "then" in broken:
            broken.clear()
            raise ValueError(lengths)
        return lengths

    both = row(Words, ("one", one, "lengths"), ("then", then, "lengths"), name="both")
    retry = Retry(attempts=2, initial_seconds=0)
    around = alone(Words, both, {"lengths": "lengths"}, name="around", node="in", retry=retry)
    await runner.start(around, {"words": ["bee"]}, run_id="p", wait_out=False).result()
    await runner.resume("kid", child).result()
    other = {"topic": topic or topic_of("kid"), "payload": "hello" if topic else {"run_id": "kid", "seq": 1}}
    await runner.store.post("p", "message", other, "other")
    broken.add("then")
    result = await runner.resume("p", around).result()
    assert (result.status, result.state.lengths, broken) == ("finished", [3], set())


async def test_a_message_of_others_is_no_end_of_a_child(runner: Runner) -> None:
    """Only the child's own run says whether it has ended."""
    await runner.start(parent, {"words": ["?"]}, run_id="p").result()
    (kid,) = await children(runner, "p")
    for number, payload in enumerate(("over", {"seq": "1"}, {"seq": 99}, {"seq": 1})):
        await runner.store.post("p", "message", {"topic": topic_of(kid), "payload": payload}, str(number))
    assert (await runner.resume("p", parent).result()).status == "waiting"
    await runner.answer(kid, 7)
    await runner.resume(kid, child).result()
    assert (await runner.resume("p", parent).result()).state.lengths == [7]


@pytest.mark.parametrize("where", ["word", "run_id", "topic", "queue", "tags"])
async def test_a_secret_is_not_given_to_a_child_that_would_record_it(runner: Runner, where: str) -> None:
    """The start is refused before anything is recorded of the child, in whichever part it is."""

    class Holder(BaseModel):
        token: Annotated[str, Secret]
        length: int = 0

    async def node(ctx: Context, token: str) -> int:
        tags = [token] if where == "tags" else []
        given: Any = {where: token} if where in ("run_id", "topic", "queue") else {}
        run = await ctx.start(child, {"word": token if where == "word" else ""}, tags=tags, **given)
        return len(run.id)

    graph = alone(Holder, node, "length", name="holders", node="node", secret_key=secrets.token_urlsafe(32))
    over = await failing(runner.start(graph, {"token": "sk-very-secret-0001"}, run_id="p").result())
    assert over.error.kind == "not_recordable"
    assert [info.id for info in await runner.store.runs()] == ["p"]
    assert "sk-very-secret" not in repr(await runner.history("p"))


async def test_the_end_of_a_child_is_told_with_its_lists(runner: Runner) -> None:
    """Also within one process, where its state is still partly encoded."""

    async def starts(ctx: Context) -> list[int]:
        await ctx.start(lists, {"words": ["bee", "wasp"]}, topic="ends")
        told = await ctx.receive("ends", dict[str, Any])
        return list(told["state"]["lengths"])

    lists = alone(Words, lambda words: [len(word) for word in words], "lengths", name="lists", node="measure")
    result = await runner.start(parent_of(starts), run_id="p").result()
    if result.status == "waiting":
        result = await runner.resume("p", parent_of(starts)).result()
    assert result.state.lengths == [3, 4]


async def test_a_child_that_would_begin_while_its_runner_closes_begins_later(tmp_path: Path) -> None:
    """The node that starts it is cut off, and does not fail: it runs again when the run is resumed."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def starts(ctx: Context) -> list[int]:
        entered.set()
        await leave.wait()
        run = await ctx.start(child, {"word": "bee"})
        return [(await run.result()).state.length]

    async with Runner(tmp_path / "runs.db", grace_seconds=60, clock=FakeClock()) as runner:
        run = runner.start(parent_of(starts), run_id="p")
        await entered.wait()
        asyncio.get_running_loop().call_soon(leave.set)
    assert (await run.result()).status == "running"
    async with Runner(tmp_path / "runs.db") as runner:
        [run] = await runner.recover(parent_of(starts))
        assert (await run.result()).state.lengths == [3]
