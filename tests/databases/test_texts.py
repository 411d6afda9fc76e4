"""Long texts are stored once, whatever holds them: steps, snapshots, runs; and are deleted with their last use."""

# these tests are alone on their loop

from __future__ import annotations

import random
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import BaseModel, SecretStr
from pydantic_core import from_json, to_json

from graphengine import END, START, Agent, Graph, Runner, value
from graphengine.databases import long_texts
from graphengine.databases.long_texts import cut
from graphengine.databases.sqlite import SQLiteStore, texts
from graphengine.databases.sqlite.doctor import examine
from graphengine.databases.sqlite.queries import SQL
from graphengine.databases.sqlite.reads import KEY_BITS, SEQ_MASK
from graphengine.errors import GraphEngineError, StoreCorrupt
from graphengine.kernel.testing.kit import append as write
from graphengine.kernel.testing.kit import batch, new_run, refused, same, step
from graphengine.records.export import export_run, import_run
from graphengine.reducers import append
from graphengine.stores.memory import InMemoryStore
from tests.databases.recorded import small_snapshots
from tests.databases.support import OpenStore, change, opened, rows, together

LONG = 'She said: "No\\"." Then — nothing.\n' * 300
MEGABYTE = "lorem ipsum dolor sit amet, " * 37_500


# -- where a body is cut


@pytest.mark.parametrize("seed", range(30))
def test_any_json_is_put_together_unchanged(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random JSON, with a low limit: each string of that length or more is cut, unless it looks like numbers."""
    monkeypatch.setattr(long_texts, "LEAST_BYTES", 8)
    chance = random.Random(seed)  # noqa: S311 - for a test

    def some(depth: int) -> object:
        kind = chance.randrange(7 if depth else 4)
        if kind < 2:
            return "".join(chance.choice('a"\\,:é\n 0') for _ in range(chance.randrange(25)))
        if kind < 4:
            return chance.choice([0, -1.5, True, None, 10**12])
        if kind < 6:
            return [some(depth - 1) for _ in range(chance.randrange(6))]
        return {str(some(0)): some(depth - 1) for _ in range(chance.randrange(6))}

    for _ in range(100):
        body = to_json(some(4))
        short, found = cut(body)
        assert together(body) == body
        from_json(short)
        for _, text in found:
            assert len(text) >= long_texts.LEAST_BYTES
            assert isinstance(from_json(b'"' + text + b'"'), str)


# -- what runs record

KEY = "a key of many different letters: 0123456789"


class State(BaseModel):
    """The state of the loop."""

    source: str = ""
    draft: str = ""
    token: SecretStr = SecretStr("")
    log: Annotated[list[str], append] = []
    n: int = 0


def drafts(rounds: int = 10) -> Graph[State]:
    """Return a loop that sets its draft again and again."""
    graph = Graph("drafts", State, secret_key=KEY)

    def draft(source: str, n: int) -> dict[str, object]:
        return {"draft": source, "n": n + 1, "log": source if n % 2 else "short"}

    graph.add_node("write", draft, writes=("draft", "n", "log"), thread=False)
    graph.add_edge(START, "write")
    graph.add_edge("write", END, when=value("n") >= rounds)
    graph.add_edge("write", "write")
    return graph


async def test_a_run_is_loaded_by_reading_its_first_step_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That step, which can have the whole state, is compared with the run's row as it was read."""
    read: list[int] = []
    whole = texts.Texts.whole

    def reading(reader: texts.Texts, row: int, body: bytes | None, recorded: int, listed: str | None) -> bytes:
        if threading.current_thread() is not threading.main_thread():  # the event loop leaves what is long
            read.append(row & SEQ_MASK)
        return whole(reader, row, body, recorded, listed)

    monkeypatch.setattr(texts.Texts, "whole", reading)
    async with Runner(SQLiteStore(path)) as runner:
        await runner.start(drafts(), State(source=LONG, token=SecretStr("t")), run_id="r").result()
        steps = (await runner.store.load("r")).steps
        assert [step.seq for step in steps] == read
        read.clear()
        assert (await runner.history("r"), read) == (steps, [step.seq for step in steps])


async def test_a_loop_of_ten_drafts_writes_its_source_once(path: Path) -> None:
    """The input, ten drafts and a list that grows by it hold a text of 1 MB: the database has it once."""
    async with Runner(SQLiteStore(path, synchronous="NORMAL")) as runner:
        result = await runner.start(drafts(), State(source=MEGABYTE, token=SecretStr("t" * 9000)), run_id="r").result()
        again = (await runner.history("r"))[-1].update
    assert path.stat().st_size < len(MEGABYTE) + 335_000  # an empty database has 311 KB
    assert rows(path, "SELECT count(*), max(length(body)) FROM texts") == [(1, len(MEGABYTE))]
    async with Runner() as runner:
        other = await runner.start(drafts(), State(source=MEGABYTE, token=SecretStr("t" * 9000)), run_id="r").result()
        assert result.state == other.state
        assert to_json(again) == to_json((await runner.history("r"))[-1].update)


async def test_a_hundred_runs_over_one_source_take_its_place_once(open_store: OpenStore, path: Path) -> None:
    """The database of 100 runs that begin with the same 1 MB stays below 5 MB."""
    store = await open_store()
    for number in range(100):
        fence = await new_run(store, f"r{number}")
        await write(store, batch(f"r{number}", fence, [step(1, value=MEGABYTE), step(2)], "finished"))
    assert all(run.size < 1000 for run in await store.ended("finished"))
    await store.close()
    assert path.stat().st_size < 2_000_000


async def test_a_reader_keeps_only_some_of_the_texts_that_it_meets(
    open_store: OpenStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check of a run of many drafts does not hold all of them, and reads each step whole."""
    monkeypatch.setattr(texts, "_KEPT_BYTES", 13_000)
    store = await open_store()
    fence = await new_run(store, "r")
    drafts = [f"draft {number} " * 700 for number in range(4)]
    await write(store, batch("r", fence, [step(at + 1, value=draft) for at, draft in enumerate(drafts)], "finished"))
    await store.close()
    asked: list[str] = []
    with closing(sqlite3.connect(path)) as connection:
        reader = texts.Texts(connection)
        found = connection.execute(SQL["steps"], (1 << KEY_BITS, 2 << KEY_BITS)).fetchall()
        connection.set_trace_callback(asked.append)
        for row, body, recorded, listed in [*found, found[0], found[0]]:
            assert drafts[(row & SEQ_MASK) - 1].encode() in reader.whole(row, body, recorded, listed)
    assert len(asked) == len(drafts) + 1  # the first was not kept until it was wanted again


async def test_a_text_is_deleted_with_the_last_row_that_holds_it(open_store: OpenStore, path: Path) -> None:
    """Runs share a text: it counts for no run's bytes, stays while one run is left, and goes with that one."""
    store = await open_store()
    for run_id in ("a", "b"):
        fence = await new_run(store, run_id)
        await write(store, batch(run_id, fence, [step(1, value=MEGABYTE), step(2, value=MEGABYTE)], "finished"))
    assert all(run.size < 1000 for run in await store.ended("finished"))
    assert await store.remove([await store.info("a")]) == {}
    await store.sweep()
    assert len(rows(path, "SELECT key FROM texts")) == 1
    assert [run.size > len(MEGABYTE) for run in await store.ended("finished")] == [True]
    assert (await store.steps("b"))[1].update[0][2] == MEGABYTE
    await store.remove([await store.info("b")])
    await store.sweep()
    assert rows(path, "SELECT * FROM texts") == rows(path, "SELECT * FROM text_uses") == []


async def test_a_failed_write_leaves_no_text(open_store: OpenStore, path: Path) -> None:
    """A text is written in the transaction of its row: if that fails, both are missing."""
    store = await open_store()
    fence = await new_run(store, count=1)
    change(path, "INSERT INTO snapshots (id, body, sum) SELECT id + 1, body, 0 FROM steps")  # the next one has no place
    with small_snapshots(1), refused(GraphEngineError):
        await write(store, replace(batch("r", fence, [step(2, value=LONG)]), snapshot=lambda: b"{}"))
    assert rows(path, "SELECT * FROM texts") == rows(path, "SELECT * FROM text_uses") == []


async def test_secrets_stay_encrypted_in_their_rows(path: Path) -> None:
    """An encrypted record of any length is in no text that rows share."""
    async with Runner(SQLiteStore(path, synchronous="NORMAL")) as runner:
        await runner.start(drafts(2), State(source=LONG, token=SecretStr("t" * 90_000)), run_id="r").result()
    assert rows(path, "SELECT count(*) FROM texts") == [(1,)]
    assert rows(path, "SELECT count(*) FROM steps WHERE body LIKE '%$secret%' AND length(body) > 90000") == [(1,)]


async def test_exports_hold_the_texts_and_imports_share_them(path: Path, tmp_path: Path) -> None:
    """An export is complete without the database; where it is imported, its texts are stored once."""
    async with Runner(SQLiteStore(path, synchronous="NORMAL")) as runner:
        await runner.start(drafts(), State(source=LONG), run_id="r").result()
        exported = await export_run(runner.store, "r")
    memory = InMemoryStore()
    await memory.open()
    await import_run(memory, exported)
    async with opened(tmp_path / "other.db") as other:
        await import_run(other, exported)
        assert same(await memory.steps("r"), await other.steps("r"))
    assert rows(tmp_path / "other.db", "SELECT count(*) FROM texts") == [(1,)]


async def test_snapshots_share_the_texts_of_steps(path: Path) -> None:
    """A snapshot holds the whole state, and no text of it a second time."""
    with small_snapshots(2):
        async with Runner(SQLiteStore(path, synchronous="NORMAL")) as runner:
            await runner.start(drafts(), State(source=MEGABYTE), run_id="r").result()
            resumed = await runner.resume("r", drafts()).result()
    assert resumed.state.draft == MEGABYTE
    assert rows(path, "SELECT count(*) > 1 FROM snapshots WHERE texts IS NOT NULL") == [(1,)]
    assert path.stat().st_size < len(MEGABYTE) + 400_000
    assert examine(path).is_sound


async def test_a_text_that_would_unfold_beyond_the_limit_is_refused(
    open_store: OpenStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small file cannot make a step of any size: the limit is that of a row."""
    monkeypatch.setattr(long_texts, "LARGEST_BYTES", 3_000_000)
    store = await open_store()
    await write(store, batch("r", await new_run(store), [step(1, value=MEGABYTE)]))
    change(path, "UPDATE steps SET texts = '[[5,1],[5,1],[5,1]]'")
    with refused(StoreCorrupt) as caught:
        await store.steps("r")
    assert "more than 3000000 bytes" in caught[0].message


ITEMS = st.recursive(
    st.none() | st.integers() | st.text(max_size=40) | st.sampled_from([LONG, "ends in },{", '"},{"role":"', '},{"a']),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.sampled_from(["role", "text", "$secret"]), inner),
    max_leaves=30,
)


@given(item=st.lists(ITEMS, min_size=1, max_size=6), times=st.integers(1, 300))
def test_any_body_that_is_cut_between_items_is_put_together_again(item: list[object], times: int) -> None:
    """Whatever is in it: texts that look like the places between items, and encrypted records, which stay in it."""
    body = to_json({"messages": [{"role": "user", "text": each} for each in item * times]})
    assert together(body, repeats=True) == body
    assert all(b'"$secret":' not in text or text in to_json(LONG) for _, text in cut(body, repeats=True).texts)


def talk(turns: int, *, run: str = "r") -> bytes:
    """Return the body of a state with a conversation."""
    said = [{"role": "user", "text": f"{turn} " + f"word{turn * 7919 % 1000} " * 250} for turn in range(turns)]
    return to_json({"kind": "started", "run": run, "update": [["set", "messages", said], ["set", "n", turns]]})


def test_bodies_share_what_they_repeat() -> None:
    """Of a conversation that has grown by a turn, all but its end is the same texts, whatever stands before it."""
    seen: set[bytes] = set()
    written = 0
    for turns in range(1, 200):
        short, found = cut(talk(turns, run="r" * (turns % 17)), repeats=True)
        written += len(short) + sum(len(text) for _, text in found if text not in seen)
        seen |= {text for _, text in found}
    assert written < 12 * len(talk(199))


async def test_a_conversation_over_many_runs_is_stored_about_once(tmp_path: Path) -> None:
    """Each turn is a run that begins with all that was said: the database grows with what is new."""
    chatty = Agent("chatty", messages="messages", by_rules=lambda question: question.upper())
    rng = random.Random(7)  # noqa: S311 - of a test
    said = ["".join(rng.choices("abcdefgh ", k=2000)) for _ in range(80)]
    path = tmp_path / "talk.db"
    async with Runner(path) as runner:
        last: str | None = None
        for turn, question in enumerate(said):
            await runner.run(chatty, question=question, run_id=f"r{turn}", after=last)
            last = f"r{turn}"
        found = (await runner.state_at("r79"))["messages"]
    assert [each["text"] for each in found][1::2] == [question.upper() for question in said]
    assert path.stat().st_size < 10 * sum(map(len, said)) * 2
    assert examine(path).is_sound
