"""A process that has a database open goes on beside runs that a newer version continued: only those are too new."""

from contextlib import suppress
from pathlib import Path

import pytest

from graphengine import END, START, Context, Graph, Runner
from graphengine.errors import StoreCorrupt, StoreTooNew
from graphengine.history.load import load_snapshot
from graphengine.serve.callers import Caller, acting
from graphengine.serve.notifications import OUTBOX, Notifications, Webhook
from tests.databases.runs.test_newer_versions import later_version, with_a_key
from tests.runner.waits.test_elsewhere import State
from tests.serve import exchanges
from tests.serve.service.client import service_of
from tests.serve.webhook_receiver import SECRET


async def ask_twice(ctx: Context) -> str:
    """Ask two questions."""
    return f"{await ctx.ask('1?', str)} {await ctx.ask('2?', str)}"


async def start_two(ctx: Context) -> str:
    """Start two runs, and wait for both."""
    started = [await ctx.start(asking, run_id=f"{ctx.run_id}-{each}", queue="later") for each in "ab"]
    return " ".join([(await each.result()).state.word for each in started])


def graph_of(name: str, work: object) -> Graph[State]:
    """Return a graph of one node."""
    graph = Graph(name, State)
    graph.add_node("work", work, writes="word")  # type: ignore[arg-type]
    graph.add_path(START, "work", END)
    return graph


asking, starting = graph_of("asking", ask_twice), graph_of("starting", start_two)


async def answered(runner: Runner, run_id: str) -> None:
    """Answer a question of a run, and continue it; a version that is only made up cannot read what it writes then."""
    await runner.answer(run_id, "yes")
    with suppress(StoreCorrupt):
        await runner.resume(run_id, asking).result()


async def test_what_concerns_several_runs_goes_on_beside_newer_ones(
    database: Path | str, caplog: pytest.LogCaptureFixture
) -> None:
    """Lists, the inbox of answers, news, prune, and a stop of a tree do all that they can do."""
    news = Notifications(Webhook("hook", "http://localhost:1/", SECRET))
    async with Runner(database) as first:
        for run_id, graph in {"p": starting, "q": starting, "r": asking, "s": asking}.items():
            await first.start(graph, run_id=run_id, wait_out=False).result()
        for run_id in ("p-a", "p-b", "q-a"):
            await first.resume(run_id, asking).result()
        for run_id in ("q-a", "q-a", "s", "s"):
            await answered(first, run_id)
    async with Runner(database) as old:
        await old.runs()  # SQLite's connection for reads is opened at the first one
        with later_version(steps=with_a_key):
            async with Runner(database, extensions=[news]) as new:
                for run_id in ("p-a", "r"):
                    await answered(new, run_id)
                with suppress(StoreCorrupt):
                    await new.resume("q", starting, wait_out=False).result()
                await new.store.post("r", "answer", {"id": "work#2@4", "value": "yes"}, "answer work#2@4")
        for run_id in ("p-a", "q", "r"):
            with pytest.raises(StoreTooNew):
                await load_snapshot(old.store, run_id, None)
        with acting(Caller("chief", None, frozenset(["read"]))):
            shown = await exchanges.request(service_of(old, asking).application(), "GET", "/runs", b"", {})
        ids = {"p-a", "p-b", "q-a", "q-b", "r", "s"}
        assert {run["run_id"] for run in shown.json["runs"]} == ids
        assert {info.id for info in await old.runs(graph="asking")} == ids
        assert {wait.run_id for wait in await old.waits()} == {"p", "p-b"}
        assert await news.hand_on(old) == 2
        assert not await old.store.inbox([OUTBOX])
        pruned = await old.admin.prune(older_than=0)
        assert (pruned.runs, list(pruned.kept)) == (("s",), ["q-a"])
        await old.stop("p")
        assert [(await old.info(each)).status for each in ("p", "p-a", "p-b")] == ["stopped", "waiting", "stopped"]
    assert "run p-a below run p is not stopped with it" in caplog.text
