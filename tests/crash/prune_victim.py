"""A program that kills itself while it prunes, at every point in turn: `prune_victim.py FOLDER STEPS HOW`.

Each time a child process begins a prune of a fresh copy of one database and is killed with SIGKILL at one of its
points: before and after the removal of the runs, and before and after each stride that frees rows, each in its own
transaction. With the HOW `at_once` all runs are removed in one transaction, with `in_bites`, as workers do, each in its
own. Then the database is opened again. Kept runs must read as before, a removed run must exist completely or
not at all, and once the store has swept none of its rows may be left. Prints how many kills there were.
"""

import asyncio
import shutil
import sqlite3
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

from pydantic_core import to_json

from graphengine.databases import long_texts
from graphengine.databases.sqlite import SQLiteStore, reads, removal
from graphengine.databases.sqlite.doctor.checks import STRAYS
from graphengine.engine.step_json import encode_step
from graphengine.kernel.testing.kit import append, batch, branch, new_run, step
from graphengine.records import retention
from graphengine.records.retention import Rule, bites, prune
from graphengine.stores.base import Append
from tests.crash.in_turn import dies

OLD, KEPT = ("old", "old child", "short"), ("parent", "child", "new")
RULE = Rule(None, 0.0, frozenset(["keep"]), None, ("finished",))
STEPS = int(sys.argv[2])
IN_BITES = sys.argv[3] == "in_bites"


async def build(path: Path) -> None:
    """Record runs to remove, with snapshots, messages and a branch among them, and runs to keep."""
    store = SQLiteStore(path, synchronous="NORMAL")
    await store.open()
    for run_id in ("old", "parent", "new"):
        fence = await new_run(store, run_id)
        for seq in range(1, STEPS + 1):
            await append(store, Append(run_id, fence, [step(seq)], "running", snapshot=partial(to_json, {"seq": seq})))
        await append(store, batch(run_id, fence, [], "finished"))
        await store.post(run_id, "message", 1, "k")
    await new_run(store, "short", count=2)
    await store.tag("new", ["keep"])
    for run_id, parent in (("old child", "old"), ("child", "parent")):
        await branch(store, run_id, parent, at=STEPS - 1, count=2)
    for run_id in ("short", "old child", "child"):
        await append(store, batch(run_id, 1, [], "finished"))
    await store.tag("child", ["keep"])
    await store.close()


async def logs(path: Path) -> dict[str, list[bytes]]:
    """Return every step of every run, once by the list of steps and once by the snapshot."""
    store = SQLiteStore(path, read_only=True)
    await store.open()
    found = {}
    for info in await store.runs():
        loaded = await store.load(info.id)
        found[info.id] = [*map(encode_step, await store.steps(info.id)), *map(encode_step, loaded.steps)]
    await store.close()
    return found


async def pruned(path: Path) -> None:
    """Prune it."""
    store = SQLiteStore(path, synchronous="NORMAL")
    await store.open()
    if IN_BITES:
        async for _ in bites(store, RULE, 1e12):
            pass
        await store.sweep()
    else:
        await prune(store, RULE, 1e12, dry_run=False)
    await store.close()


async def pruned_in_pieces(path: Path) -> None:
    """Prune it in as many transactions as possible."""
    retention._BITE = 1  # type: ignore[misc]  # noqa: SLF001 - a transaction for each run
    removal.STRIDE_SECONDS = 0  # type: ignore[misc]  # a transaction for each piece
    removal._STEPS_AT_ONCE = 64  # type: ignore[misc]  # noqa: SLF001 - more pieces
    await pruned(path)


async def opened(path: Path) -> None:
    """Open the store, as the next process does, and wait until it has swept by itself."""
    store = SQLiteStore(path, synchronous="NORMAL")
    await store.open()
    assert await new_run(store, "begun meanwhile", count=3) == 1
    while await store._run(reads.has_trash):  # noqa: ASYNC110, SLF001  # what is waited for happens in a file
        await asyncio.sleep(0.001)
    await store.close()


def orphans(path: Path) -> int:
    """Return rows of runs that do not exist, and texts that no row holds."""
    with closing(sqlite3.connect(path)) as connection:
        stray = [
            connection.execute(f"SELECT count(*) FROM {table} WHERE {STRAYS[table]}").fetchone()[0]  # noqa: S608
            for table in ("text_uses", "texts")
        ]
        rows: int = sum(
            connection.execute(f"SELECT count(*) FROM {table} WHERE run NOT IN (SELECT key FROM runs)").fetchone()[0]  # noqa: S608
            for table in ("steps", "snapshots", "inbox", "tags")
        )
        return rows + int(sum(stray))


def main(folder: Path) -> None:
    """Kill at each point until a prune survives."""
    setattr(long_texts, "LEAST_BYTES", 4)  # noqa: B010 - it is Final for other code; all steps hold the same text
    original, path = folder / "original.db", folder / "runs.db"
    asyncio.run(build(original))
    whole = asyncio.run(logs(original))
    kill_at, half_done = 1, 0
    while True:
        for left in folder.glob("runs.db*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        shutil.copyfile(original, path)
        if not dies(
            kill_at, removal, ("remove", "_delete_some_rows", "drop_spare_specs"), partial(pruned_in_pieces, path)
        ):
            break
        found = asyncio.run(logs(path))
        assert set(KEPT) <= set(found) <= set(whole), (kill_at, set(found))
        assert IN_BITES or set(found) in (set(whole), set(KEPT)), (kill_at, set(found))
        assert "old child" not in found or "old" in found, kill_at
        assert all(whole[run_id] == found[run_id] for run_id in found), kill_at
        half_done += orphans(path) > 0
        asyncio.run(opened(path))
        assert orphans(path) == 0, kill_at
        after = asyncio.run(logs(path))
        assert after.pop("begun meanwhile")
        assert after == found, kill_at
        asyncio.run(pruned(path))
        assert {run_id: log for run_id, log in asyncio.run(logs(path)).items() if run_id in whole} == {
            run_id: whole[run_id] for run_id in KEPT
        }, kill_at
        kill_at += 1
    assert set(asyncio.run(logs(path))) == set(KEPT)
    assert orphans(path) == 0
    sys.stdout.write(f"{kill_at - 1} kills, {half_done} of them with rows left to free, 0 steps lost\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
