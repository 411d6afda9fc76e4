"""Recorded runs stay readable: the runs and databases in `checkpoints/`, opened by the current code."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic_core import from_json, to_json

from graphengine import Limits, RunFailed, Runner, __version__
from graphengine.databases.sqlite import SQLiteStore
from graphengine.databases.sqlite.queries import FIRST, latest_format
from graphengine.engine.fold import fold
from graphengine.engine.steps import Kind, Step
from graphengine.engine.stored import from_record, to_record
from graphengine.errors import UnknownRun
from graphengine.history.load import load_snapshot
from graphengine.kernel.fake_clock import FakeClock
from graphengine.records.export import Exported, export_run, import_run, read_file, to_json_text
from graphengine.stores.base import Store
from graphengine.stores.memory import InMemoryStore
from graphengine.testing import replay
from tests.kit.facts import said
from tests.kit.record import BEGAN, FOLDER, RECORDED, RUNS, graph_for, recorded
from tests.kit.recorded import GRAPHS, Workshop
from tests.kit.session import place

FILES = sorted(RECORDED.glob("*.json"))
DUMPS = [FOLDER / "databases" / f"format_{number}.sql" for number in range(FIRST, latest_format() + 1)]
EACH = pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
OLD = pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)


def plain(value: object) -> object:
    """Return a value as it reads back from JSON."""
    return from_json(to_json(value))


@asynccontextmanager
async def database_of(dump: Path, folder: Path) -> AsyncIterator[Runner]:
    """Return a runner on a kept database."""
    path = folder / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(dump.read_text(encoding="utf-8"))
    async with Runner(path, clock=FakeClock(BEGAN + 86_400)) as runner:
        yield runner


def test_every_kind_of_step_is_in_a_file() -> None:
    """Every recording has a file, and no file contains a path of the machine it was made on."""
    assert {file.stem for file in FILES} >= set(RUNS)
    kinds = {step.kind for file in FILES for step in read_file(file).steps}
    assert kinds == set(get_args(Kind)) - {"removed"}  # a store removes steps: tests/worker/test_trimming.py
    for file in (*FILES, *DUMPS):
        text = file.read_text(encoding="utf-8")
        assert not any(place in text for place in ("/home", "/root", "site-packages", "\\Users", str(Path.cwd()))), file


@EACH
def test_a_run_folds_to_a_snapshot_that_can_be_written(file: Path) -> None:
    """A run of any format folds; the snapshot equals the one from its own record."""
    run = read_file(file)
    snapshot = fold(run.steps)
    assert (snapshot.run_id, snapshot.seq) == (run.info.id, run.info.seq)
    assert to_record(from_record(to_record(snapshot))) == to_record(snapshot)


@EACH
def test_the_current_graph_replays_a_run(file: Path) -> None:
    """The current graph replays a run, and no step differs."""
    run = read_file(file)
    found = replay(graph_for(run), file)
    assert found.steps == len(run.steps)
    assert not found.reasons


@EACH
def test_an_imported_run_is_exported_unchanged(file: Path) -> None:
    """Export of an imported run gives the same file except for the version."""
    run = read_file(file)
    assert read_file(file) == run
    again = to_json_text(run, run.version)
    assert from_json(again) == from_json(file.read_bytes())


async def test_the_runs_are_recorded_the_same_today() -> None:
    """The program that made the files records runs with the same steps, at the same times."""
    for name, run in (await recorded()).items():
        kept = read_file(RECORDED / f"{name}.json")
        assert [summary(step) for step in run.steps] == [summary(step) for step in kept.steps], name


def summary(step: Step) -> object:
    """Return what a step did, without the engine's explanations."""
    facts = said(step)
    return plain([place(step), step.update, facts.get("to"), facts.get("edge"), facts.get("status")])


def test_every_format_of_the_database_has_a_file() -> None:
    """A database of each format is kept, with messages, tags, and long texts in rows of their own."""
    for dump in DUMPS:
        text = dump.read_text(encoding="utf-8")
        assert all(f'INSERT INTO "{table}"' in text for table in ("inbox", "tags", "texts"))


@OLD
async def test_a_kept_database_is_read_unchanged(dump: Path, tmp_path: Path) -> None:
    """A database of an older format is upgraded when opened; every run loads and replays."""
    async with database_of(dump, tmp_path) as runner:
        infos = await runner.store.runs()
        assert {info.id for info in infos} >= {*RUNS, "long", "long_branch", "queued"} - {"review_loop"}
        queued, long = await runner.store.info("queued"), await runner.store.info("long")
        assert (queued.queue, queued.priority, queued.tenant, queued.queued) == ("slow", 2, "tenant", True)
        assert (long.tags, long.summary and long.summary.reason) == (("kept",), "no longer improving")
        for info in infos:
            snapshot = await load_snapshot(runner.store, info.id, None)
            assert (snapshot.seq, snapshot.run_id) == (info.seq, info.id)
            run = await export_run(runner.store, info.id)
            replay(graph_for(run), run)


@OLD
async def test_runs_of_a_kept_database_can_be_continued(dump: Path, tmp_path: Path) -> None:
    """Runs that were cut off, stopped, failed or waiting finish, and so does a branch of one."""
    async with database_of(dump, tmp_path) as runner:
        known = {info.id: info.graph for info in await runner.store.runs()}
        Workshop.is_repaired = True
        try:
            for run_id, graph in known.items():
                if run_id == "stuck":  # it fails again
                    continue
                result = await runner.resume(run_id, GRAPHS[graph], limits=Limits(visits=50)).result()
                assert result.status == "finished", run_id
        finally:
            Workshop.is_repaired = False
        branch = await runner.branch("loop", GRAPHS["loop"], 2, update={"title": "Wasps"}).result()
        assert branch.state.draft.startswith("Wasps")


# -- to another store and back


@asynccontextmanager
async def store_of(kind: str, folder: Path) -> AsyncIterator[Store]:
    """Return an open store of a kind."""
    store: Store = InMemoryStore() if kind == "memory" else SQLiteStore(folder / "other.db")
    await store.open()
    try:
        yield store
    finally:
        await store.close()


STORES = pytest.mark.parametrize("kind", ["memory", "sqlite"])


@EACH
@STORES
async def test_a_run_is_the_same_elsewhere(file: Path, kind: str, tmp_path: Path) -> None:
    """Imported and exported again it has the same steps, snapshot, inbox and graph specs; no process drives it."""
    run = read_file(file)
    async with store_of(kind, tmp_path) as store:
        assert await import_run(store, run)
        info = await store.info(run.info.id)
        assert (info.status, info.seq, info.driver, info.held) == (run.info.status, run.info.seq, None, False)
        assert (info.created_at, info.updated_at, info.due_at) == (
            run.info.created_at,
            run.info.updated_at,
            run.info.due_at if run.info.status == "waiting" else None,
        )
        snapshot = await load_snapshot(store, run.info.id, None)
        assert plain(to_record(snapshot)) == plain(to_record(fold(run.steps)))
        back = await export_run(store, run.info.id)
        assert to_json_text(back, __version__) == to_json_text(run, __version__)
        assert not await import_run(store, run)


@EACH
@STORES
async def test_a_run_continues_elsewhere(file: Path, kind: str, tmp_path: Path) -> None:
    """Resumed in the other store, a run reaches the end that it would have reached."""
    run = read_file(file)
    async with store_of(kind, tmp_path) as store:
        await import_run(store, run)
        async with Runner(store, clock=FakeClock(BEGAN + 86_400)) as runner:
            result = await resumed(runner, run)
        assert result.status == ("failed" if run.info.id == "stuck" else "finished")


async def resumed(runner: Runner, run: Exported) -> Any:
    """Resume a run in the repaired workshop and return its result."""
    Workshop.is_repaired = True
    try:
        return await runner.resume(run.info.id, graph_for(run)).result()
    except RunFailed as failed:
        return failed.result
    finally:
        Workshop.is_repaired = False


async def test_an_exported_branch_has_its_steps_without_its_parent() -> None:
    """The steps that it shares are its own in the other store; its origin is still recorded."""
    run = read_file(RECORDED / "branch.json")
    assert (run.info.parent, run.info.parent_seq) == ("loop", 2)
    async with Runner() as runner:
        await import_run(runner.store, run)
        assert (await runner.store.info("branch")).parent is None
        with pytest.raises(UnknownRun):
            await runner.store.info("loop")
        assert (await export_run(runner.store, "branch")).info.parent == "loop"
        child = await runner.branch("branch", GRAPHS["loop"], 3).result()
        assert child.status == "finished"
        with suppress(RunFailed):
            await runner.resume("branch", GRAPHS["loop"]).result()
