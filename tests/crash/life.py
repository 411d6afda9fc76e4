"""A program that uses the whole language of graphs, and is killed. For each line of its stdin, it forks a process.

Two rounds of a fork whose arms are a map of subgraphs, a fork with `need=2`, questions with recorded work around them
and a sleep, a sender that fails once, and a receiver; last a node that must not be repeated without permission. Each
external effect is a line `PID WHAT` in a file, on disk before the work continues; WHAT is the node's `idempotency_key`,
its attempt and a name, so it is unique among the work of the run.

A line is the orders (`Orders`) of that process: what to do (start or resume the run, or work as a worker) and when to
die. It kills itself with SIGKILL at a line or at an append, or the test does. The program writes what happens to its
processes to its stdout: a line of JSON (`News`) when one begins and when it has ended. It loads everything once, since
most of the time of a process is imports.
"""

import asyncio
import contextlib
import gc
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Generator
from typing import Annotated, Literal

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Retry, Runner, ask, iterations
from graphengine.databases import long_texts, snapshots
from graphengine.databases.sqlite import SQLiteStore
from graphengine.reducers import add, extend
from graphengine.stores.base import Append

RUN = "life"
TOPICS = [f"t{number}" for number in range(8)]
STUCK_SECONDS = 0.02

SNAPSHOT_ROWS = 16
"""Low, so that deaths meet many snapshots. With the default, a run this short has none."""

TEXT_BYTES = 12
"""Low, so that there are texts that several rows hold."""

Moment = Literal["never", "line", "before", "submitted", "durable", "asleep", "stuck"]
"""When to die: after a line of work is on disk; before, during or directly after an append, or after one with which the
run sleeps.

At `stuck` the disk accepts no more appends, and the work in flight continues for a while: no work may then begin that
depends on what was not written.
"""


class Orders(BaseModel):
    """What a process has to do.

    Attributes:
        database: The SQLite file.
        lines: The file of the lines of work.
        errors: The file of its stderr.
        what: `work` is a worker, until the run is finished.
        stays: Whether the process stays when the run waits.
        nap_seconds: How long the run sleeps.
        die: At which kind of moment to die; at its `number`th occurrence, `late_seconds` after it.
        spare: Visits (frame, node, number) that were interrupted before: the process does not die before they are
            over, since after three crashes in a row the engine gives a node up.
    """

    database: str
    lines: str
    errors: str
    what: Literal["start", "resume"]
    stays: bool = False
    nap_seconds: float = 0.005
    die: Moment = "never"
    number: int = 1
    late_seconds: float = 0.0
    spare: list[tuple[str, str, int]] = []


class Death:
    """The end of this process when its time has come."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self._left = orders.number
        self._spare = set(orders.spare)
        self._counting = threading.Lock()

    def is_due(self, moment: Moment) -> bool:
        """Return whether this is the moment."""
        with self._counting:
            if self._spare or moment != self.orders.die:
                return False
            self._left -= 1
            return self._left == 0

    def strike(self) -> None:
        """Die, as late as ordered: another thread can be writing meanwhile."""
        until = time.perf_counter() + self.orders.late_seconds
        while time.perf_counter() < until:
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    def note_over(self, batch: Append) -> None:
        """Note which of the spared visits are over."""
        for step in batch.steps:
            if step.kind in ("node", "item", "attempt", "failed"):
                self._spare.discard((step.frame, step.node, step.visit))
            if step.kind == "joined":
                self._spare = {visit for visit in self._spare if not visit[0].startswith(f"{step.frame}~")}


class MortalStore(SQLiteStore):
    """A store that can die at an append."""

    def __init__(self, death: Death) -> None:
        # The thread writes, or the event loop. Either way, everything survives the death of a process.
        super().__init__(death.orders.database, synchronous="NORMAL" if death.orders.what == "start" else "FULL")
        self.death = death
        self._stuck = False

    def append(self, batch: Append) -> asyncio.Future[None] | None:
        """Append, or die."""
        if self.death.is_due("before"):
            self.death.strike()
        loop = asyncio.get_running_loop()
        if self.death.is_due("stuck"):
            self._stuck = True
            loop.call_later(STUCK_SECONDS, self.death.strike)
        if self._stuck:
            return loop.create_future()
        pending = super().append(batch)
        if self.death.is_due("submitted"):
            loop.call_soon(self.death.strike)  # when the writing thread has the batch
        is_asleep = batch.status == "waiting" and batch.due_at is not None
        dies = self.death.is_due("durable") or (is_asleep and self.death.is_due("asleep"))
        # A visit is over once that is durable. 1. Its step is submitted. 2. The process dies at the next append, before
        # the writing thread has the step. 3. The visit was in flight once more, and may be given up.
        if pending is None:
            self.death.note_over(batch)
        else:
            pending.add_done_callback(lambda _: self.death.note_over(batch))
        if dies and pending is None:
            self.death.strike()
        return pending if pending is None or not dies else asyncio.ensure_future(self._die_after(pending))

    async def _die_after(self, pending: asyncio.Future[None]) -> None:
        await pending
        self.death.strike()


death = Death(Orders(database="", lines="", errors="", what="start"))


def done(what: str) -> str:
    """Cause an external effect that cannot be undone."""
    file = os.open(death.orders.lines, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{os.getpid()} {what}\n".encode())
    os.fsync(file)
    os.close(file)
    if death.is_due("line"):
        death.strike()
    return what


async def done_later(what: str) -> str:
    """Do the same after a while."""
    await asyncio.sleep(0.002)
    return done(what)


def tag(ctx: Context, name: str) -> str:
    """Return a name that no other piece of work has."""
    return f"{ctx.idempotency_key} {ctx.attempt} {name}"


class Trouble(Exception):
    """The failure that some nodes raise."""


@contextlib.contextmanager
def work(ctx: Context, *, fails: bool = False) -> Generator[None]:
    """Do the work of a node that records nothing itself, and then fail if it is due."""
    done(tag(ctx, "whole"))
    yield
    if fails:
        message = "as it was to be"
        raise Trouble(message)


# -- the map of subgraphs


class Article(BaseModel):
    """The state of one item's graph."""

    topic: str
    parts: list[str] = []
    polished: Annotated[int, add] = 0


async def draft(ctx: Context, topic: str) -> list[str]:
    """Do two pieces of work in parallel; one topic fails after them at first, another one always."""
    parts = await asyncio.gather(
        ctx.call(done, tag(ctx, f"left of {topic}")), ctx.call(done_later, tag(ctx, f"right of {topic}"))
    )
    if topic == "t7" or (topic == "t2" and ctx.attempt == 1):
        message = f"no draft of {topic}"
        raise Trouble(message)
    return list(parts)


def polish(ctx: Context, topic: str) -> int:
    """Work twice in a thread; fail for one topic, for which the fallback takes over."""
    with work(ctx, fails=topic == "t5"):
        return ctx.visit


def article() -> Graph[Article]:
    """Return a graph of two nodes, one of them in a loop."""
    graph = Graph("article", Article, result="parts")
    graph.add_node("draft", draft, writes="parts", retry=Retry(attempts=2, initial_seconds=0.003))
    graph.add_node("polish", polish, writes="polished", fallback=100)
    graph.add_path(START, "draft", "polish")
    graph.add_edge("polish", END, when=iterations("polish") >= 2)
    graph.add_edge("polish", "polish")
    return graph


# -- the run


class State(BaseModel):
    """The results of a life."""

    topics: list[str] = TOPICS
    articles: list[list[str]] = []
    facts: dict[str, str] = {}
    total: Annotated[int, add] = 0
    agreed: bool = False
    name: str = ""
    heard: Annotated[list[str], extend] = []
    notes: Annotated[list[str], extend] = []


async def plan(ctx: Context) -> int:
    """Begin a round; the second begins with a failure."""
    with work(ctx, fails=ctx.visit == 2 and ctx.attempt == 1):
        return ctx.visit


def web(ctx: Context) -> str:
    """Work in a thread."""
    with work(ctx):
        return tag(ctx, "found")


async def books(ctx: Context) -> str:
    """Do a recorded piece of work."""
    return await ctx.call(done, tag(ctx, "asked"))


async def shelve(ctx: Context) -> str:
    """Run as the second node of its arm."""
    with work(ctx):
        await asyncio.sleep(0.001)
        return tag(ctx, "shelved")


async def dawdle(ctx: Context) -> str:
    """Never reach the join."""
    with work(ctx):
        await asyncio.get_running_loop().create_future()
    return ""


async def size_of(ctx: Context, facts: dict[str, str]) -> list[str]:
    """Join the inner fork."""
    with work(ctx):
        return sorted(facts)


async def christen(ctx: Context, *, agreed: bool) -> str:
    """Do recorded work, ask a question, sleep, do recorded work."""
    before = await ctx.call(done, tag(ctx, "before"))
    name = await ctx.ask("What is it called?", str)
    await ctx.sleep(death.orders.nap_seconds)
    after = await ctx.call(done_later, tag(ctx, "after"))
    return f"{name} {agreed} ({before}, {after})"


async def tell(ctx: Context) -> int:
    """Send two messages, but fail at first: then nothing is sent."""
    ctx.send("gossip", 10 * ctx.visit + ctx.attempt)
    with work(ctx, fails=ctx.attempt == 1):
        ctx.send("gossip", 100 * ctx.visit)
    return 0


async def hear(ctx: Context) -> list[str]:
    """Receive two messages of a node, and one from outside."""
    heard = [str(await ctx.receive("gossip", int)), str(await ctx.receive("gossip", int))]
    return [*heard, await ctx.receive("news", str), await ctx.call(done, tag(ctx, "heard"))]


def merge(ctx: Context, articles: list[list[str]], total: int) -> list[str]:
    """Join the outer fork."""
    with work(ctx):
        return [f"{len(articles)} articles, {total}"]


async def publish(ctx: Context) -> list[str]:
    """Do work that must not be repeated without permission."""
    with work(ctx):
        await asyncio.sleep(0.002)
        return ["published"]


def life() -> Graph[State]:
    """Return the whole graph."""
    graph = Graph("life", State)
    graph.add_node("plan", plan, writes="total", retry=Retry(attempts=2, initial_seconds=0))
    graph.add_node(
        "articles",
        article(),
        each={"topic": "topics"},
        concurrency=3,
        writes="articles",
        inputs={"topic": "topic"},
        fallback=["none"],
    )
    graph.add_node("research", writes=())
    graph.add_node("web", web, writes="facts[web]")
    graph.add_node("books", books, writes="facts[books]")
    graph.add_node("shelve", shelve, writes="facts[shelf]")
    graph.add_node("dawdle", dawdle, writes="facts[never]")
    graph.add_node("size_of", size_of, writes="notes")
    graph.add_node("agree", ask("Publish {total}?", bool), writes="agreed")
    graph.add_node("christen", christen, writes="name")
    graph.add_node("tell", tell, writes="total", retry=Retry(attempts=2, initial_seconds=0))
    graph.add_node("hear", hear, writes="heard")
    graph.add_node("merge", merge, writes="notes")
    graph.add_node("publish", publish, writes="notes", effect="once")
    graph.add_edge(START, "plan")
    graph.add_fork("plan", ["articles", "research", "agree", "tell", "hear"], join="merge")
    graph.add_fork("research", ["web", "books", "dawdle"], join="size_of", need=2)
    graph.add_path("books", "shelve", "size_of")
    for node in ("web", "dawdle"):
        graph.add_edge(node, "size_of")
    graph.add_edge("agree", "christen")
    for node in ("articles", "size_of", "christen", "tell", "hear"):
        graph.add_edge(node, "merge")
    graph.add_edge("merge", "publish", when=iterations("merge") >= 2, label="two rounds")
    graph.add_edge("merge", "plan")
    graph.add_edge("publish", END, label="published")
    return graph


async def drive(runner: Runner) -> None:
    """Drive the run until it ends or waits for an answer."""
    graph = life()
    run = runner.resume(RUN, graph) if death.orders.what == "resume" else runner.start(graph, run_id=RUN)
    result = await run.result()
    if result.status == "waiting" and death.orders.stays:
        await asyncio.get_running_loop().create_future()


async def main(orders: Orders) -> None:
    """Follow the orders."""
    global death  # noqa: PLW0603 - one process, one death
    death = Death(orders)
    async with Runner(MortalStore(death)) as runner:
        await drive(runner)


class News(BaseModel):
    """What happened to a process: it began, or it ended with this exit code (minus the signal that killed it)."""

    pid: int
    code: int | None = None


def _report(news: News) -> None:
    """Write a line of news."""
    os.write(1, news.model_dump_json().encode() + b"\n")


def next_orders() -> Orders:
    """Fork a process for each line of orders, and return these in it; in this process, exit at the end of the lines."""
    awake, wake = os.pipe()
    for end in (awake, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    gc.freeze()  # a child then copies fewer pages
    rest = b""
    while True:
        if 0 in select.select([0, awake], [], [])[0]:
            read = os.read(0, 65536)
            if not read:
                sys.exit()
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                orders = Orders.model_validate_json(line)
                pid = os.fork()
                if pid == 0:
                    _begin(orders)
                    return orders
                _report(News(pid=pid))
        with contextlib.suppress(BlockingIOError):
            os.read(awake, 65536)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                _report(News(pid=ended[0], code=os.waitstatus_to_exitcode(ended[1])))


def _begin(orders: Orders) -> None:
    """Give this process, a fork, signals and files of its own."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
    for stream, path in ((0, os.devnull), (1, os.devnull), (2, orders.errors)):
        os.dup2(os.open(path, os.O_RDONLY if stream == 0 else flags, 0o600), stream)


if __name__ == "__main__":
    setattr(snapshots, "MIN_ROWS", SNAPSHOT_ROWS)  # noqa: B010 - it is Final for other code
    setattr(long_texts, "LEAST_BYTES", TEXT_BYTES)  # noqa: B010
    asyncio.run(main(next_orders()))
