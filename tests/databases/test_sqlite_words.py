"""The index of words in SQLite: what is in it, when, and that it can always be made anew."""

import itertools
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from graphengine.databases.postgres import PostgresStore
from graphengine.databases.postgres import reads as postgres_reads
from graphengine.databases.sql import fold_words
from graphengine.databases.sqlite import SQLiteStore, reads, words
from graphengine.databases.sqlite.doctor.rebuild import rebuild
from graphengine.engine.graph_spec import GraphSpec
from graphengine.kernel.testing.kit import append, run_info, step
from graphengine.stores.base import Append, Status, Summary
from tests.databases.support import opened

UP_TO_DATE = """
SELECT key FROM runs WHERE key <= (SELECT upto FROM words_due WHERE run = 0) AND key NOT IN (SELECT run FROM words_due)
"""
STATUSES: tuple[Status | None, ...] = None, "running", "failed"
SPEC: GraphSpec = {"nodes": [{"name": "write"}]}


def indexed(path: Path) -> dict[str, str]:
    """Return the words in the index by run."""
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT r.id, w.words FROM run_words AS w JOIN runs AS r ON r.key = w.rowid"))


def derived(path: Path) -> dict[str, str]:
    """Return the words by which runs should be found, of those that are not to be indexed yet left out."""
    with closing(sqlite3.connect(path)) as connection:
        known = [key for (key,) in connection.execute(UP_TO_DATE)]
        return {str(texts[0]): fold_words(texts) for _, texts in words.texts_of(connection, known)}


async def add(store: SQLiteStore, run_id: str, text: str, why: str = "") -> None:
    """Add a run with an input, which has ended if there is a reason."""
    fence = await store.create(run_info(run_id), [step(1, value=text)], SPEC)
    if why:
        await append(store, Append(run_id, fence, [step(2)], "failed", summary=Summary(why, "failed")))


async def found(store: SQLiteStore, text: str) -> list[str]:
    """Return the runs that a text finds."""
    return [info.id for info in await store.runs(text=text)]


async def test_words_of_long_inputs_are_found_and_those_of_removed_runs_are_gone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The beginning of an input that is stored apart is read; a removed run leaves the index in its transaction."""
    monkeypatch.setattr(words, "EVERY", 4)
    store = SQLiteStore(path)
    await store.open()
    for number in range(9):
        await add(store, f"r{number}", f"topic{number} {'water ' * 2000}", "no answer")
    assert await found(store, "TOPIC3 water answer") == ["r3"]
    assert len(indexed(path)) >= 8
    assert await store.remove([await store.info("r3")]) == {}
    assert "r3" not in indexed(path)
    assert await found(store, "topic3") == []
    assert max(map(len, indexed(path).values())) < 40, "each word once"
    await store.close()
    assert "r3" not in derived(path)


async def test_without_fts5_every_run_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then there is no index, and the same runs are found. The next batch indexes a database that had none."""
    monkeypatch.setattr(words, "EVERY", 4)
    monkeypatch.setitem(words.SQL, "has_fts5", "SELECT 1 WHERE 0")
    store = SQLiteStore(path)
    await store.open()
    for number in range(9):
        await add(store, f"r{number}", f"topic{number}", "no answer")
    assert await found(store, "answer topic3") == ["r3"]
    assert [count.runs for count in await store.counts(text="answer")] == [9]
    monkeypatch.undo()
    monkeypatch.setattr(words, "EVERY", 4)
    for number in range(9, 14):
        await add(store, f"r{number}", f"topic{number}")
    assert len(indexed(path)) >= 8
    assert await found(store, "answer topic3") == ["r3"]
    await store.close()


def test_a_rebuilt_database_has_an_index_of_all_runs(made: Path, tmp_path: Path) -> None:
    """The words are taken from the copied runs."""
    with closing(sqlite3.connect(made)) as source:
        rebuild(source, tmp_path / "rebuilt.db")
    assert indexed(tmp_path / "rebuilt.db") == derived(tmp_path / "rebuilt.db")
    assert len(indexed(tmp_path / "rebuilt.db")) == 5


KILLED = """
import asyncio, sys
from graphengine.databases.sqlite import SQLiteStore, reads, words
from tests.databases.test_sqlite_words import add
words.EVERY = 3
async def main():
    store = SQLiteStore(sys.argv[1], synchronous="NORMAL")
    await store.open()
    for number in range(10_000):
        await add(store, f"run-{number}", f"topic{number}", "no answer")
        print(number, flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("after", [10, 23, 41])
async def test_a_process_that_is_killed_leaves_an_index_that_fits(path: Path, after: int) -> None:
    """Words are indexed in the transactions of the runs: each that was written is found, and nothing else."""
    words_of_process = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(words_of_process, stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220 - alone here
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == after:
                process.kill()
                break
    async with opened(path) as store:
        every = [info.id for info in await store.runs(limit=10_000)]
        assert len(every) > after
        for number in range(after):
            assert (await found(store, f"answer topic{number} run"))[-1] == f"run-{number}"
        assert set(await found(store, "topic")) == set(every[:50])
    assert indexed(path).items() >= derived(path).items()


async def test_a_page_of_a_common_word_does_not_read_all_runs_that_have_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest runs are looked at one by one; the index, which yields all runs with a word, is not asked."""
    monkeypatch.setattr(words, "EVERY", 4)
    store = SQLiteStore(path)
    await store.open()
    for number in range(20):
        await add(store, f"r{number:02}", f"tides {'rare' if number == 0 else 'often'}")
    with monkeypatch.context() as patched:
        patched.setitem(words.SQL, "found", "SELECT 1 WHERE no_such_column")
        pages = [await store.runs(text="tid oft", limit=3)]
        pages += [await store.runs(text="tid oft", limit=3, before=pages[0][-1].id)]
    assert [info.id for page in pages for info in page] == ["r19", "r18", "r17", "r16", "r15", "r14"]
    monkeypatch.setattr(reads, "_NEWEST", 1)
    assert [info.id for info in await store.runs(text="rare", limit=3)] == ["r00"]
    await store.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_pages_are_the_same_however_they_are_found(
    kind: str, path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """One by one, and by the index: times go back, runs change or are not indexed yet, and pages are filtered.

    In PostgreSQL, the number of runs that are compared one by one does not depend on the page.
    """
    monkeypatch.setattr(words, "EVERY", 8)
    chance = random.Random(7)  # noqa: S311 - the same runs each time
    store = SQLiteStore(path) if kind == "sqlite" else PostgresStore(request.getfixturevalue("postgres"))
    await store.open()
    for number in range(60):
        info = replace(run_info(f"r{number:02}"), created_at=float(chance.randrange(40)), graph=f"g{number % 2}")
        text = " ".join(chance.sample(["tides", "tide", "harbour", "ebb"], 2))
        fence = await store.create(info, [step(1, value=text)], SPEC)
        if chance.random() < 0.5:
            why = Summary(chance.choice(["ebbing", "late"]), "failed")
            await append(store, Append(info.id, fence, [step(2)], "failed", summary=why))
    pages: dict[int, list[list[str]]] = {0: [], 2: [], 16: []}
    for times, found in pages.items():
        monkeypatch.setattr(reads, "_NEWEST", times)
        monkeypatch.setattr(postgres_reads, "_NEWEST", 4 * times)
        for text, graph, status, before in itertools.product(
            ("tid", "tide ebb", "ebbing", "none"), (None, "g1"), STATUSES, (None, "r30")
        ):
            some = await store.runs(text=text, graph=graph, status=status, before=before, limit=4, begun_before=35.0)
            found.append([info.id for info in some])
    assert pages[0] == pages[2] == pages[16]
    assert sum(map(len, pages[0])) > 90
    await store.close()
