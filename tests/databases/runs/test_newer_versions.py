"""A process that has a database open reads what a newer version writes there: it is too new, and not damaged."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from graphengine import Context, Runner
from graphengine.databases import snapshots, sql
from graphengine.databases.postgres import queries as postgres_queries
from graphengine.databases.sqlite import queries as sqlite_queries
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.step_json import encode_step
from graphengine.engine.steps import FORMAT, Step
from graphengine.engine.stored import encode_snapshot, to_record
from graphengine.errors import StoreCorrupt, StoreTooNew
from graphengine.history.load import load_snapshot
from graphengine.records.export import export_run
from graphengine.records.visits import load_visits
from graphengine.runner import driving
from tests.databases import made_up
from tests.runner.waits.test_elsewhere import one


async def work(ctx: Context) -> str:
    """Record a call, and wait."""
    for n in range(4):
        await ctx.call(str, n, key=str(n))
        await ctx.receive("news", str)
    return "done"


NEWER = FORMAT + 1
"""The format of the next version's snapshots."""
TOO_NEW = f"format ({NEWER}|{sqlite_queries.latest_format() + 1}|{postgres_queries.latest_format() + 1})"
"""What a row says that a newer version wrote; the numbers of databases are higher."""
GRAPH = one(work)


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a snapshot follow every second step: it then covers what a newer version wrote, and is read in its place."""
    monkeypatch.setattr(snapshots, "MIN_ROWS", 2)
    monkeypatch.setattr(snapshots, "MIN_RATIO", 0)


@contextmanager
def later_version(
    *,
    steps: Callable[[Step], bytes] = encode_step,
    snapshot: Callable[[Snapshot], bytes] = encode_snapshot,
) -> Iterator[None]:
    """Be a version of the next format, which writes what this one does not know."""
    with made_up.formats(made_up.SECOND), pytest.MonkeyPatch.context() as patch:
        migrations = [*postgres_queries.MIGRATIONS, "ALTER TABLE runs ADD COLUMN note text"]
        patch.setattr(postgres_queries, "MIGRATIONS", migrations)
        patch.setattr(sql, "encode_step", steps)
        patch.setattr(driving, "encode_snapshot", snapshot)
        yield


def with_a_key(step: Step) -> bytes:
    """Write a key that only a newer version knows."""
    return json.dumps({**json.loads(encode_step(step)), "novel": 1}).encode()


def with_a_fact(step: Step) -> bytes:
    """Write a fact that only a newer version knows."""
    row = json.loads(encode_step(step))
    return json.dumps({**row, "data": {**row.get("data", {}), "novel": [1]}}).encode()


def of_another_kind(step: Step) -> bytes:
    """Write a kind of step that only a newer version knows."""
    return json.dumps({**json.loads(encode_step(step)), "kind": "novel"}).encode()


def of_a_newer_format(snapshot: Snapshot) -> bytes:
    """Write a snapshot with a field that only a newer version knows, which therefore has another format."""
    return json.dumps({**to_record(snapshot), "format": NEWER, "novel": 1}).encode()


@asynccontextmanager
async def continued(database: Path | str, **later: Any) -> AsyncIterator[Runner]:
    """Yield a Runner that has a waiting run, which a later version continued since."""
    async with Runner(database) as old:
        await old.start(GRAPH, run_id="r").result()
        with later_version(**later):
            async with Runner(database) as new:
                for n in range(2):
                    await new.send("r", "news", str(n))
                    with suppress(StoreCorrupt, StoreTooNew):  # it is not made to read what it writes
                        await new.resume("r", GRAPH).result()
        yield old


async def resumed(old: Runner) -> None:
    """Resume the run."""
    await old.send("r", "news", "x")
    await old.resume("r", GRAPH).result()


async def exported(old: Runner) -> None:
    """Export the run."""
    await export_run(old.store, "r")


READS: list[Callable[[Runner], Awaitable[object]]] = [
    lambda old: load_snapshot(old.store, "r", None),
    lambda old: load_visits(old.store, "r"),
    lambda old: old.store.steps("r"),
    resumed,
    exported,
]


@pytest.mark.parametrize("steps", [with_a_key, with_a_fact, of_another_kind])
async def test_a_step_with_what_only_a_newer_version_knows(
    database: Path | str, steps: Callable[[Step], bytes]
) -> None:
    """Each way to read it says that it is too new, and what to do."""
    async with continued(database, steps=steps) as old:
        for read in READS:
            with pytest.raises(StoreTooNew, match=TOO_NEW) as caught:
                await read(old)
            assert "update graphengine" in caught.value.repair


@pytest.mark.usefixtures("_short")
async def test_a_snapshot_of_a_newer_version(database: Path | str) -> None:
    """It is too new too."""
    async with continued(database, snapshot=of_a_newer_format) as old:
        for read in (READS[0], resumed):
            with pytest.raises(StoreTooNew, match=f"format {NEWER}") as caught:
                await read(old)
            assert "update graphengine" in caught.value.repair


async def test_a_run_that_a_newer_version_did_not_touch_is_readable(database: Path | str) -> None:
    """Its rows are of the old format, and it goes on in the old process."""
    async with Runner(database) as old:
        await old.start(GRAPH, run_id="r").result()
        with later_version(steps=with_a_key):
            async with Runner(database):
                pass
        await resumed(old)
        assert (await old.store.info("r")).status == "waiting"
