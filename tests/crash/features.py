"""A program that uses every feature once, and dies where it is ordered to: `features.py`, with its orders on stdin.

Each line of its stdin is an `Order`. For each it forks a child that runs `live`: four runs that use every feature,
started or resumed. The child passes the crash points of `tests.kit.crash_points`, and dies at the ordered
one. When it has ended its exit code is written to stdout and, if it survived, the points that it passed are in its
folder. The forking process has loaded everything and opened nothing, so that a life costs a few hundredths of a second.

The external effect of a node is a line `PID WHAT` in a file, written before the node continues; WHAT is the node's
`idempotency_key`, its attempt and a name.

A new method of the `Store` protocol must be called here, through the feature that uses it: see `live`.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import jsonschema  # noqa: F401 - here, so that no child has to import it
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Limits, Retry, Run, Runner, ask, value
from graphengine.databases import long_texts, snapshots
from graphengine.databases.sqlite import SQLiteStore, direct
from graphengine.errors import InputError, UnknownRun
from graphengine.reducers import add
from graphengine.runner import ids
from graphengine.stores.base import ClaimQuery, QueueLimits, StoredSchedule
from tests.kit.crash_points import CrashPoints, Point
from tests.kit.runs import alone

RUNS: Final = ("main", "branch", "after", "short")
FEW_STEPS: Final = 1
"""The limit that stops the run first: before the fork, one arm of which would not let it stop."""
SNAPSHOT_ROWS: Final = 16
"""Low, so that there are snapshots. With the default, runs this short have none."""

TEXT_BYTES = 12
"""Low, so that there are texts that several rows hold."""
COMMIT_SECONDS: Final = 0.002
ANSWERS: Final = {"christen": "Ada", "agree": True, "publish": True, "sure": "yes"}


class Order(BaseModel):
    """One life.

    Attributes:
        folder: The folder of its files.
        die_at: The point, by name and number; None to survive.
        queued: Whether the writing thread makes all writes, and the event loop none.
    """

    folder: Path
    die_at: tuple[str, int] | None = None
    queued: bool = False


EFFECTS: list[Path] = []
"""The one file of this life."""


def effect(what: str) -> str:
    """Cause an external effect that cannot be undone."""
    file = os.open(EFFECTS[0], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{os.getpid()} {what}\n".encode())  # the system has it, and outlives any process
    os.close(file)
    return what


def tag(ctx: Context, name: str = "whole") -> str:
    """Return a name that no other piece of work has."""
    return f"{ctx.idempotency_key} {ctx.attempt} {name}"


class Trouble(Exception):
    """The failure that some nodes raise."""


# -- the graph of most features


class Article(BaseModel):
    """The state of the subgraph."""

    topic: str
    text: str = ""
    length: int = 0


async def draft(ctx: Context, topic: str) -> str:
    """Do recorded work; for one topic, fail after it."""
    text = await ctx.call(effect, tag(ctx, f"draft of {topic}"))
    if topic == "b" and ctx.attempt == 1:
        raise Trouble
    return text.partition(" ")[2]


def measure(ctx: Context, text: str) -> int:
    """Work in a thread."""
    effect(tag(ctx))
    return len(text)


def article() -> Graph[Article]:
    """Return a graph of two nodes in a row."""
    graph = Graph("article", Article, result="text")
    graph.add_node("draft", draft, writes="text", retry=Retry(attempts=2, initial_seconds=0.003))
    graph.add_node("measure", measure, writes="length")
    graph.add_path(START, "draft", "measure", END)
    return graph


class State(BaseModel):
    """The results of the runs."""

    topics: list[str] = ["a", "b"]
    sizes: list[int] = []
    articles: list[str] = []
    note: str = ""
    facts: dict[str, str] = {}
    total: Annotated[int, add] = 0
    heard: list[str] = []
    name: str = ""
    agreed: bool = False
    published: int = 0
    lessons: list[str] = []


async def plan(ctx: Context) -> int:
    """Fail once; the next attempt is due a little later."""
    effect(tag(ctx))
    if ctx.attempt == 1:
        raise Trouble
    return 1


def size(ctx: Context, topic: str) -> int:
    """Measure one item of a map."""
    effect(tag(ctx))
    return len(topic)


async def quick(ctx: Context) -> str:
    """Arrive at the join."""
    effect(tag(ctx))
    return "found"


async def dawdle(ctx: Context) -> str:
    """Be cancelled; the work of this arm is never recorded."""
    effect(tag(ctx))
    await asyncio.get_running_loop().create_future()
    return ""


async def tell(ctx: Context) -> int:
    """Send a message."""
    effect(tag(ctx))
    ctx.send("gossip", 7)
    return 10


async def hear(ctx: Context) -> list[str]:
    """Receive a message of a node, and one from outside."""
    return [str(await ctx.receive("gossip", int)), await ctx.receive("news", str)]


async def christen(ctx: Context) -> str:
    """Do recorded work, ask a question, sleep, do recorded work, and publish how far it is."""
    await ctx.publish("christened", "not yet")
    await ctx.call(effect, tag(ctx, "before"))
    name = await ctx.ask("What is it called?", str)
    await ctx.publish("christened", name)
    await ctx.sleep(0.003)
    await ctx.call(effect, tag(ctx, "after"))
    return name


async def broken(ctx: Context) -> str:
    """Fail on every attempt; the fallback takes over."""
    effect(tag(ctx))
    raise Trouble


def publish(ctx: Context) -> int:
    """Do work that must not be repeated without permission."""
    effect(tag(ctx))
    return 1


def main_graph() -> Graph[State]:
    """Return a graph with forks, maps, subgraphs, waits and all other features."""
    graph = Graph("main", State)
    graph.add_node("plan", plan, writes="total", retry=Retry(attempts=2, initial_seconds=0.003))
    graph.add_node("sizes", size, each={"topic": "topics"}, writes="sizes")
    graph.add_node("articles", article(), each={"topic": "topics"}, inputs={"topic": "topic"}, writes="articles")
    graph.add_node("note", article(), inputs={"topic": "topics[0]"}, writes="note")
    graph.add_node("research", writes=())
    graph.add_node("quick", quick, writes="facts[quick]")
    graph.add_node("dawdle", dawdle, writes="facts[never]")
    graph.add_node("size_of", writes=())
    graph.add_node("broken", broken, writes="facts[broken]", fallback="stood in")
    graph.add_node("tell", tell, writes="total")
    graph.add_node("hear", hear, writes="heard")
    graph.add_node("christen", christen, writes="name")
    graph.add_node("merge", writes=())
    graph.add_node("agree", ask("Publish {name}?", bool), writes="agreed")
    graph.add_node("publish", publish, writes="published", effect="once")
    graph.add_edge(START, "plan")
    graph.add_fork(
        "plan", ["sizes", "articles", "note", "research", "broken", "tell", "hear", "christen"], join="merge"
    )
    graph.add_fork("research", ["quick", "dawdle"], join="size_of", need=1)
    for node in ("quick", "dawdle"):
        graph.add_edge(node, "size_of")
    for node in ("sizes", "articles", "note", "size_of", "broken", "tell", "hear", "christen"):
        graph.add_edge(node, "merge")
    graph.add_path("merge", "agree", "publish")
    graph.add_edge("publish", END, when=value("published") >= 1, label="published")
    graph.add_edge("publish", "agree")
    return graph


# -- the other graphs


async def remember(ctx: Context) -> list[str]:
    """Read earlier runs."""
    return sorted(run.run_id for run in await ctx.runs("main"))


def diary() -> Graph[State]:
    """Return a graph whose run follows another one."""
    return alone(State, remember, "lessons", name="diary", node="remember")


async def first(ctx: Context) -> int:
    """Work for a moment, during which the run is asked to stop."""
    effect(tag(ctx))
    await asyncio.sleep(0.01)
    return 1


def short(*, later: bool) -> Graph[State]:
    """Return two versions of a graph; the later one has one more node."""
    graph = Graph("short", State)
    graph.add_node("first", first, writes="total")
    graph.add_node("sure", ask("Sure?", str), writes="note")
    graph.add_path(START, "first", "sure")
    if later:
        graph.add_node("last", tell, writes="total")
        graph.add_path("sure", "last", END)
    else:
        graph.add_edge("sure", END)
    return graph


def spare() -> Graph[State]:
    """Return a graph whose run has no effects."""
    graph = Graph("spare", State)
    graph.add_node("pass_by")
    graph.add_path(START, "pass_by", END)
    return graph


MAIN: Final = main_graph()
SPARE: Final = spare()
DIARY: Final = diary()
SHORT: Final = short(later=False)
LATER: Final = short(later=True)


# -- the life of the four runs


async def live(runner: Runner) -> None:
    """Finish all four runs, from any state."""
    for run in await runner.recover(MAIN, DIARY):
        await run.result()
    await to_the_end(runner, MAIN, "main", lambda: begin_main(runner))
    at = await step_of_merge(runner)
    update = {"name": "Eve"}
    await to_the_end(runner, MAIN, "branch", lambda: runner.branch("main", MAIN, at, update=update, run_id="branch"))
    await to_the_end(runner, DIARY, "after", lambda: runner.start(DIARY, {"total": 1}, after="main", run_id="after"))
    await live_short(runner)
    await tidy(runner)


async def tidy(runner: Runner) -> None:
    """Poll runs as sleepers and the inspector do, tag one, trim and remove one that is not needed, and free its space.

    Also look at queues and schedules, as a worker does; nothing is due.
    """
    store = runner.store
    assert await store.stop_over("main") is None
    await store.limit_queue("default", QueueLimits(concurrency=9))
    await store.set_role({"queues": None})
    assert not await store.take(ClaimQuery(time.time(), 1, aside=await store.ids("")))
    await store.queue_limits()
    await store.queue_counts()
    await store.owners()
    await store.keep_schedule(StoredSchedule("daily", {}, 1.0))
    assert [each.name for each in await store.schedules()] == ["daily"]
    await store.move_schedule("daily", 1.0, 2.0)
    await store.drop_schedule("daily")
    await runner.store.change_token()
    await runner.store.counts()
    await runner.store.infos(["main", "branch", "after", "short"])
    await runner.store.moved({"main": 1})
    await runner.store.ids("ma")
    await store.message_keys("main", 9)
    assert await store.former_lease("main") is None
    assert await store.code("of nobody") is None
    assert [info.id for info in await store.branches(["main"])] == ["branch"]
    await runner.tag("main", add=["kept"])
    await to_the_end(runner, SPARE, "spare", lambda: runner.start(SPARE, run_id="spare"))
    await store.post("spare", "message", None, "turn 1", "turn ")
    await store.trim("spare", 0, 100)
    await runner.admin.prune(keep_last=0, graph="spare")
    await runner.admin.vacuum()


async def to_the_end(runner: Runner, graph: Graph[State], run_id: str, begin: Callable[[], Run[State]]) -> None:
    """Start or resume a run, raise its limit and answer its questions, until it is finished."""
    while (status := await status_of(runner, run_id)) != "finished":
        limits = Limits(visits=1000) if status == "stopped" else None
        if status == "waiting":
            await answer_all(runner, run_id)
        run = runner.resume(run_id, graph, limits=limits) if status else begin()
        if run_id == "main":
            with contextlib.suppress(InputError):  # only its last step was missing
                await runner.send(run_id, "news", "good", idempotency_key="1")  # while it is driven; it counts once
        await run.result()


def begin_main(runner: Runner) -> Run[State]:
    """Start the run with most features."""
    return runner.start(MAIN, run_id="main", limits=Limits(visits=FEW_STEPS), pause_before=["publish"])


async def step_of_merge(runner: Runner) -> int:
    """Return where the branch begins: the seq of the step that merged the arms."""
    return next(step.seq for step in await runner.history("main") if step.kind == "node" and step.node == "merge")


async def live_short(runner: Runner) -> None:
    """Stop a run during its node, resume it with a later version of its graph, stop its wait, and finish it."""
    while (status := await status_of(runner, "short")) != "finished":
        stops = sum(step.kind == "stopped" for step in await runner.history("short")) if status else 0
        if not status:
            runner.start(SHORT, run_id="short")
        elif status != "waiting":
            going = runner.resume("short", LATER)
            if stops > 0:
                await going.result()
        if stops < 2:
            await runner.stop("short")
        elif await status_of(runner, "short") == "waiting":
            await answer_all(runner, "short")
            await runner.resume("short", LATER).result()


async def status_of(runner: Runner, run_id: str) -> str:
    """Return a run's status; "" if there is no such run."""
    try:
        return (await runner.store.info(run_id)).status
    except UnknownRun:
        return ""


async def answer_all(runner: Runner, run_id: str) -> None:
    """Answer all questions of a run; again if an earlier answer no longer counts."""
    for wait in await runner.waits(run_id):
        with contextlib.suppress(InputError):  # it was answered already, and the run has not read it yet
            if wait.answerable:
                await runner.answer(run_id, "rerun" if wait.kind == "unknown" else ANSWERS[wait.name], wait=wait)


# -- processes


async def spend(order: Order, points: CrashPoints) -> None:
    """Live one life, in its folder. Lives are compared, so their runs have the same nonce."""
    ids.new_nonce = lambda: "k3x9ab"
    if order.queued:
        direct.MOST_BYTES = -1  # type: ignore[misc]  # a constant
    store = SQLiteStore(order.folder / "runs.db", synchronous="NORMAL")  # everything survives the death of a process
    async with Runner(points.watched(store)) as runner:
        await live(runner)


class SlowPoints(CrashPoints):
    """The points of a process with a slow disk: work that does not wait for a commit has time to show."""

    def passes(self, name: str) -> None:
        """Pass a point; commits are slow, in their own thread."""
        if name == "before commit":
            time.sleep(COMMIT_SECONDS)
        super().passes(name)


def be_born(order: Order) -> None:
    """Follow an order, and write the points that were passed."""
    EFFECTS[:] = [order.folder / "effects"]
    points = CrashPoints() if order.die_at is None else SlowPoints(Point(*order.die_at))
    with points.installed():
        asyncio.run(spend(order, points))
    (order.folder / "passed.json").write_text(json.dumps(points.passed), encoding="utf-8")


def main() -> None:
    """Fork a child for each line of stdin, and write how it ended."""
    setattr(snapshots, "MIN_ROWS", SNAPSHOT_ROWS)  # noqa: B010 - it is Final for other code
    setattr(long_texts, "LEAST_BYTES", TEXT_BYTES)  # noqa: B010
    for graph in (MAIN, DIARY, SHORT, LATER):
        graph.compile()  # here, so that no child has to
    for line in sys.stdin:
        order = Order.model_validate_json(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                be_born(order)
                code = 0
            except BaseException:  # noqa: BLE001 - the child must not continue as its parent
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{child} {os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
