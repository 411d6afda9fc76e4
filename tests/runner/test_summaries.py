"""What a list shows of a run: it follows the run's log without being folded from it."""

import contextlib
from pathlib import Path

from pydantic import BaseModel

from graphengine import END, START, Graph, Limits, RunFailed, Runner, ask
from graphengine.engine.steps import WaitRecord
from graphengine.history.load import load_snapshot
from graphengine.records.export import export_run, import_run
from graphengine.stores.base import Summary
from graphengine.stores.summaries import summary_of, wait_words


class State(BaseModel):
    text: str = ""
    ok: bool = False


def flow() -> Graph[State]:
    """Return a graph that fails for `bad`, and else asks."""

    def write(text: str) -> str:
        if text == "bad":
            raise ValueError("no\nsuch text")
        return text.upper()

    graph = Graph("flow", State)
    graph.add_node("write", write, writes="text")
    graph.add_node("approve", ask("Publish\nit?", bool), writes="ok")
    graph.add_path(START, "write", "approve")
    graph.add_edge("approve", END, label="published")
    return graph


async def summary(runner: Runner, run_id: str) -> Summary:
    """Return the stored summary of a run that is not driven: it is that of its log."""
    info = (await runner.store.infos([run_id]))[0]
    assert info.summary == summary_of(await load_snapshot(runner.store, run_id, None))
    assert info.summary is not None
    return info.summary


async def test_a_run_from_wait_to_end(runner: Runner) -> None:
    """A run shows its question while it waits, then the label of the edge to the end."""
    await runner.start(flow(), {"text": "good"}, run_id="r").result()
    found = await summary(runner, "r")
    assert (found.reason, found.kind, found.waits, found.visits) == ("approve: Publish it?", "ask", 1, 1)
    await runner.answer("r", value=True)
    await runner.resume("r", flow()).result()
    found = await summary(runner, "r")
    assert (found.reason, found.kind, found.waits, found.visits) == ("published", "end", 0, 2)


async def test_a_run_that_fails_is_stopped_or_reaches_a_limit(runner: Runner) -> None:
    """The reason is the error, the words of the person, or the limit."""
    with contextlib.suppress(RunFailed):
        await runner.start(flow(), {"text": "bad"}, run_id="bad").result()
    found = await summary(runner, "bad")
    assert (found.kind, found.reason) == ("failed", "write: ValueError: no such text")
    await runner.start(flow(), run_id="stopped").result()
    await runner.stop("stopped", "not needed")
    found = await summary(runner, "stopped")
    assert found.kind == "asked"
    assert "not needed" in found.reason
    await runner.start(flow(), run_id="limited", limits=Limits(visits=0)).result()
    assert (await summary(runner, "limited")).kind == "limit"


async def test_an_imported_run_has_one(runner: Runner, tmp_path: Path) -> None:
    """Files have no summary; it is made of the steps."""
    await runner.start(flow(), {"text": "good"}, run_id="r").result()
    async with Runner(tmp_path / "other.db") as other:
        await import_run(other.store, await export_run(runner.store, "r"))
        assert await summary(other, "r") == await summary(runner, "r")


def test_a_long_reason_is_cut() -> None:
    """A question of many lines is one line of at most 200 characters."""
    words = wait_words("a", WaitRecord(kind="ask", id="1", question="word\n" * 500), characters=50)
    assert len(words.removeprefix("a: ")) == 50
    assert words.endswith("…")
