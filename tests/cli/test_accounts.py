"""Commands, the story, the page and telemetry say of a step what its account says."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, Runner, ScriptedModel, value
from graphengine.cli.progress import Progress
from graphengine.cli.show import _because, _build_step_row
from graphengine.cli.terminal import Channel
from graphengine.kernel.inside import load_specs
from graphengine.kernel.reader import Recorded
from graphengine.kernel.store import InMemoryStore, RunInfo
from graphengine.models.scripted import calls
from graphengine.records.account import Account, account_of
from graphengine.records.export import import_run, read_file
from graphengine.records.visits import Visits
from graphengine.records.words import seconds
from graphengine.render.story import story_of
from graphengine.serve.reads.run_cache import RunCache
from graphengine.telemetry import names
from graphengine.telemetry.work import describe_work
from tests.kit.record import FOLDER, RECORDED
from tests.render.stories import document_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.kernel.store import Store

FILES = sorted([*RECORDED.glob("*.json"), *FOLDER.glob("gallery/*.json"), *FOLDER.glob("kept_*/runs/*.json")])
ODD = 'a; b: c, d → e -> f · "g" [h] (i)'
"""A text with everything that stands between the parts of a line."""


class State(BaseModel):
    """What the odd run works on."""

    topic: str = ODD
    text: str = ""
    ok: bool | None = None


async def asks(ctx: Context) -> bool:
    """Ask a question that has everything that stands between parts."""
    return await ctx.ask(f"Publish {ODD}?", bool)


def odd() -> Graph[State]:
    """Return a graph whose names, texts and labels have separators in them."""

    def look(place: str) -> str:
        """Look."""
        raise ValueError(f"nothing at {place}")

    def about(answer: str) -> None:
        if "tides" not in answer:
            raise ValueError(f"no word of {ODD}")

    model = ScriptedModel([calls(("look", {"place": ODD})), f"First {ODD}", f"The tides; {ODD}"])
    graph = Graph("odd", State)
    graph.add_node("write", Agent("writer", prompt="{topic}", tools=[look], check=about, model=model), writes="text")
    graph.add_node("ask", asks, writes="ok")
    graph.add_edge(START, "write")
    graph.add_edge("write", "ask", when=value("topic") == ODD, label="on; to: it")
    graph.add_edge("write", END)
    graph.add_edge("ask", END)
    return graph


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER).with_suffix("")))
async def test_readers_of_recorded_runs_say_what_the_account_says(file: Path) -> None:
    """The kind, who did it, what it cost and why it went where it did."""
    store = InMemoryStore()
    await store.open()
    run = read_file(file)
    await import_run(store, run)
    await agree(store, await store.info(run.info.id))


async def test_texts_with_separators_are_said_whole() -> None:
    """No reader takes a line apart: what a text has between its parts changes nothing."""
    async with Runner() as runner:
        await runner.start(odd(), run_id="odd").result()
        await runner.answer("odd", True, odd(), by="ann; bob", reason=f"because {ODD}")  # noqa: FBT003 - the answer
        await runner.get("odd").result()
        info = await runner.info("odd")
        accounts = await agree(runner.store, info)
    tones = [each.tone for each in accounts if each.kind == "recorded"]
    assert tones == ["call", "broken", "call", "rejected"]
    turn, tool = [each for each in accounts if each.tone in ("broken", "rejected")][::-1]
    assert (tool.name, tool.said) == ("tool look", f"ValueError: nothing at {ODD}")
    assert (turn.agent, turn.said) == ("writer", f"The tides; {ODD}")
    assert ODD in turn.sent_back
    assert [each.edge for each in accounts if each.edge] == ["on; to: it"]
    (given,) = [each for each in accounts if each.ended_by]
    assert (given.by, given.said, given.facts) == ("ann; bob", "true", [f"because: because {ODD}"])


async def agree(store: Store, info: RunInfo) -> Sequence[Account]:
    """Compare what the readers say of a run's steps, and return the accounts."""
    steps = await store.steps(info.id)
    visits = Visits.of(steps, specs=await load_specs(store, steps, ""))
    rows = (await RunCache(store).book(info)).rows
    (story,) = document_of(await story_of(store, info.id, None, 0.0))["runs"]
    told = {each["seq"]: each for each in story["accounts"]}
    found: list[Account] = []
    for entry, row in zip(visits.entries, rows, strict=True):
        account, short = account_of(entry), row.account
        found.append(account)
        same = ("seq", "kind", "at", "path", "visit", "attempt", "took", "tone", "targets", "edge", "usage", "losses")
        for name in (*same, "agent", "model", "by", "ended_by", "child", "name", "choice", "withdrawn", "count"):
            assert getattr(short, name) == getattr(account, name), name
        line = " ".join((*_build_step_row(entry, account)[:6], _because(entry, account, is_last=False)))
        said = [account.path, account.event, account.edge, account.error, account.why, account.agent, account.model]
        for text in (*said, *account.targets, *account.lines):
            assert text in line
        if account.took is not None:
            assert seconds(account.took) in line
        if account.agent:
            assert account.cost
            assert account.cost in line
        if account.seq in told:  # a story leaves some out, and has values in words
            left = {"said", "why", "facts", "sent", "error", "sent_back"}
            plain = {name: each for name, each in msgspec.to_builtins(account).items() if name not in left}
            assert {name: each for name, each in told[account.seq].items() if name not in left} == plain
            assert told[account.seq].get("sent_back", "").startswith(account.sent_back[:60])
        elif account.agent or account.ended_by == "answer":
            assert story["left_out"]
        if isinstance(entry.step.data, Recorded):
            spans(account, entry.step.data)
    return found


def spans(account: Account, facts: Recorded) -> None:
    """Compare the span of recorded work with its account."""
    piece = describe_work(account, facts, {}, content=False)
    if account.agent:
        assert piece.attributes[names.AGENT] == account.agent
        assert account.model.endswith(str(piece.attributes[names.REQUEST_MODEL]))
        cost: float | None = account.usage.get("cost_usd", 0.0)
        assert piece.attributes.get(names.COST, None if cost is None else 0.0) == cost
        assert bool(piece.attributes.get(names.COST_UNKNOWN)) == (cost is None)
    elif names.TOOL in piece.attributes:
        assert account.name == f"tool {piece.attributes[names.TOOL]!s}"
        assert bool(piece.error) == (account.tone == "broken")
    else:
        assert piece.name == f"step {account.name}"


async def other(ctx: Context) -> str:
    """Ask two questions, and another one in place of the second."""
    first = asyncio.ensure_future(ctx.ask("one?", name="one"))
    second = asyncio.ensure_future(ctx.ask("two?", name="two"))
    await first
    second.cancel()
    return str(await ctx.ask("else?", name="else"))


async def test_a_withdrawn_question_is_seen() -> None:
    """The log, live progress and the story name it; the page has its id."""
    graph = Graph("press", State)
    graph.add_node("work", other, writes="text")
    graph.add_path(START, "work", END)
    stream = io.StringIO()
    async with Runner() as runner:
        first, second = (await runner.start(graph, run_id="r").result()).waits
        await (await runner.answer("r", "a", graph, wait=first)).result()
        accounts = await agree(runner.store, await runner.info("r"))
        progress = Progress(Channel(stream, must_arrive=False))
        for step in await runner.history("r"):
            progress.recorded(progress.visits.feed(step), "")
        (story,) = document_of(await story_of(runner.store, "r", None, 0.0))["runs"]
    (account,) = [each for each in accounts if each.withdrawn]
    assert [*account.withdrawn] == [second.id]
    assert account.lines == ["else: else?", f"asks no longer: {second.id}"]
    assert f"waits    work: asks no longer: {second.id}" in stream.getvalue()
    assert [each["withdrawn"] for each in story["accounts"] if each.get("withdrawn")] == [[second.id]]
