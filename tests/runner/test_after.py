"""Runs that begin with the state that another one ended with, over each store: what they share, and what they check."""

import gc
import secrets
import tracemalloc
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel

from graphengine import Graph, Runner, Secret
from graphengine.databases.postgres.doctor import examine as examine_server
from graphengine.databases.sqlite.doctor import examine
from graphengine.records.export import export_run, import_run
from graphengine.reducers import extend
from graphengine.stores.memory import MemoryStore
from tests.kit.runs import alone

KEY, TOKEN = secrets.token_urlsafe(32), secrets.token_urlsafe(32)


class Entry(BaseModel):
    text: str
    tags: list[str] = []


class Talk(BaseModel):
    said: str = ""
    entries: Annotated[list[Entry], extend] = []
    token: Annotated[str, Secret] = ""


def talking() -> Graph[Talk]:
    """Return a graph that adds what is said to the entries."""

    def note(said: str) -> list[Entry]:
        return [Entry(text=said)]

    return alone(Talk, note, "entries", name="talking", node="note", secret_key=KEY)


def text_of(turn: int) -> str:
    """Return a text of 4 KB that no other turn has."""
    return f"{turn} " + f"word{turn * 7919 % 1000} " * 500


async def talk(runner: Runner, turns: int) -> None:
    """Let runs `r0`, `r1`, … each begin with what the last one ended with."""
    graph = talking()
    await runner.start(graph, Talk(said=text_of(0), token=TOKEN), run_id="r0").result()
    for turn in range(1, turns):
        await runner.start(graph, {"said": text_of(turn)}, run_id=f"r{turn}", after=f"r{turn - 1}").result()


async def test_runs_that_others_began_after_can_be_removed(runner: Runner) -> None:
    """A run keeps all that it began with when the runs before it are removed."""
    await talk(runner, 30)
    pruned = await runner.prune(keep_last=1)
    assert len(pruned.runs) == 29
    result = await runner.start(talking(), {"said": "last"}, after="r29").result()
    assert [entry.text for entry in result.state.entries] == [*map(text_of, range(30)), "last"]
    assert result.state.token == TOKEN
    exported = await export_run(runner.store, "r29")
    other = MemoryStore()
    await other.open()
    assert await import_run(other, exported)
    assert await other.steps("r29") == await runner.store.steps("r29")


async def test_databases_are_sound_after_the_first_of_such_runs_are_removed(database: Path | str) -> None:
    """No text is lost or left over, and no secret is in clear."""
    async with Runner(database) as runner:
        await talk(runner, 30)
        await runner.prune(keep_last=2)
    report = examine(database) if isinstance(database, Path) else examine_server(database)
    assert report.is_sound, report
    if isinstance(database, Path):
        assert TOKEN.encode() not in b"".join(file.read_bytes() for file in database.parent.glob("runs.db*"))
        assert database.stat().st_size < 8 * len(text_of(0)) * 30


async def test_a_store_in_memory_keeps_what_such_runs_share_once() -> None:
    """Sixty runs, each with all that was said before it, take little more memory than what was said."""
    async with Runner() as runner:
        tracemalloc.start()
        try:
            await talk(runner, 60)
            gc.collect()
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert held < 12 * len(text_of(0)) * 60


async def test_what_the_next_run_changes_is_not_changed_in_the_one_before(runner: Runner) -> None:
    """Neither what a run begins with nor a caller's result is shared between two runs."""
    await talk(runner, 2)
    first = await runner.start(talking(), {"said": "a"}, run_id="a", after="r1").result()
    first.state.entries[0].text = "changed by the caller"
    second = await runner.start(talking(), {"said": "b"}, run_id="b", after="a").result()
    assert [entry.text for entry in second.state.entries] == [text_of(0), text_of(1), "a", "b"]
    for run_id in ("r1", "a"):
        assert (await runner.state_at(run_id))["entries"][0]["text"] == text_of(0)
