"""Record the runs of `checkpoints/`, and a database of them: `python -m tests.kit.record [FOLDER]`.

Clock and ids are fixed, so that the same code writes the same files. An existing file is never overwritten: it is
history, and tests open, fold and replay it. To add a run, add it to `RUNS` and run the program once.
"""

import asyncio
import re
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from graphengine import Graph, Limits, RunFailed, Runner, __version__
from graphengine.databases.sqlite import SQLiteStore
from graphengine.databases.sqlite.files import APPLICATION_ID
from graphengine.databases.sqlite.queries import latest_format
from graphengine.errors import StoreError
from graphengine.kernel.fake_clock import FakeClock
from graphengine.records.export import FORMAT, Exported, export_run, import_run, to_json_text
from graphengine.runner import ids
from graphengine.stores.memory import InMemoryStore
from graphs.review_loop import example, review_loop
from tests.kit.dying import Dying
from tests.kit.facts import resaid, said
from tests.kit.recorded import GRAPHS, Talk, Text, Workshop
from tests.kit.waiting import answer_unchecked

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "checkpoints"
RECORDED = FOLDER / f"format_{FORMAT}"
"""The runs of the present format."""
REFUSED = FOLDER / "format_1"
"""What a development version wrote, before the first release."""
BEGAN = 1_800_000_000.0
_TRACE = re.compile(r'File "[^"]*/([^/"]+)", line \d+')

Recording = Callable[[], Awaitable[Exported]]


def runner(store: InMemoryStore) -> Runner:
    """Return a runner whose time passes by itself."""
    return Runner(store, clock=FakeClock(BEGAN))


async def ended(name: str, *, as_: str | None = None, state: Text | Talk | None = None) -> Exported:
    """Record a run from its beginning to its end or its first wait."""
    store = InMemoryStore()
    async with runner(store) as made:
        with suppress(RunFailed):
            await made.start(GRAPHS[name], state or Text(), run_id=as_ or name).result()
        return await export_run(store, as_ or name)


async def reviewed() -> Exported:
    """Record the bundled workflow on its example."""
    store = InMemoryStore()
    async with runner(store) as made:
        await made.start(review_loop(), example(), run_id="review_loop").result()
        return await export_run(store, "review_loop")


async def answered() -> Exported:
    """Record a question that was answered twice: no, then yes."""
    store, graph = InMemoryStore(), GRAPHS["question"]
    async with runner(store) as made:
        await made.start(graph, Text(), run_id="answered").result()
        for answer in (False, True):
            await made.answer("answered", answer)
            await made.resume("answered", graph).result()
        return await export_run(store, "answered")


async def waiting() -> Exported:
    """Record a question whose answer is in the inbox."""
    store, graph = InMemoryStore(), GRAPHS["question"]
    async with runner(store) as made:
        await made.start(graph, Text(), run_id="waiting").result()
        await made.answer("waiting", value=True)
        return await export_run(store, "waiting")


async def worked() -> Exported:
    """Record work, a sleep, a message, and another message that waits."""
    store, graph = InMemoryStore(), GRAPHS["work"]
    async with runner(store) as made:
        await made.start(graph, Text(), run_id="work").result()
        await made.send("work", "tips", "look closer", idempotency_key="1")
        await made.resume("work", graph).result()
        return await export_run(store, "work")


async def failed_and_resumed() -> Exported:
    """Record a run that failed, was repaired, and resumed."""
    store, graph = InMemoryStore(), GRAPHS["failing"]
    async with runner(store) as made:
        with suppress(RunFailed):
            await made.start(graph, Text(), run_id="failed_resumed").result()
        Workshop.is_repaired = True
        try:
            await made.resume("failed_resumed", graph).result()
        finally:
            Workshop.is_repaired = False
        return await export_run(store, "failed_resumed")


async def branched() -> Exported:
    """Record a branch of a loop, with another title."""
    store, graph = InMemoryStore(), GRAPHS["loop"]
    async with runner(store) as made:
        await made.start(graph, Text(), run_id="loop").result()
        await made.branch("loop", graph, 2, update={"title": "Bees"}, run_id="branch").result()
        return await export_run(store, "branch")


async def limited_and_resumed() -> Exported:
    """Record a run that its limit stopped and that was resumed with a higher one."""
    store, graph = InMemoryStore(), GRAPHS["limited"]
    async with runner(store) as made:
        await made.start(graph, Text(), run_id="limited").result()
        await made.resume("limited", graph, limits=Limits(visits=10)).result()
        return await export_run(store, "limited")


async def died(name: str, run_id: str, left: int, *answers: Any) -> Exported:
    """Record a run whose process died after some number of appends; resume it once for each of the answers."""
    store, graph = Dying(), GRAPHS[name]
    store.left = left
    first = runner(store)
    await store.open()
    with suppress(StoreError):
        await first.start(graph, Text(), run_id=run_id).result()
    found = await export_run(store, run_id)
    store.left, store.died = 10**9, True
    for answer in answers:
        if answer is not None:
            await first.answer(run_id, answer)
        await first.resume(run_id, graph).result()
        store.died = False
    if answers:
        found = await export_run(store, run_id)
    await first.close()
    return found


async def refused() -> Exported:
    """Record answers that match the schema and not the type, to a question node and to a question inside a node."""
    store, graph = InMemoryStore(), GRAPHS["odd"]
    async with runner(store) as made:
        await made.start(graph, Text(), run_id="refused").result()
        for n in (2, 3, 4, 5):
            await answer_unchecked(made, "refused", {"n": n})
            await made.resume("refused", graph).result()
        return await export_run(store, "refused")


async def stuck() -> Exported:
    """Record a run without an outgoing edge, also on resume."""
    store, graph = InMemoryStore(), GRAPHS["stuck"]
    async with runner(store) as made:
        with suppress(RunFailed):
            await made.start(graph, Text(), run_id="stuck").result()
        with suppress(RunFailed):
            await made.resume("stuck", graph).result()
        return await export_run(store, "stuck")


RUNS: Mapping[str, Recording] = {
    "review_loop": reviewed,
    "loop": lambda: ended("loop"),
    "fork": lambda: ended("fork"),
    "map": lambda: ended("map"),
    "subgraph": lambda: ended("subgraph"),
    "choice": lambda: ended("choice"),
    "surviving": lambda: ended("surviving"),
    "failed": lambda: ended("failing", as_="failed"),
    "failed_resumed": failed_and_resumed,
    "answered": answered,
    "waiting": waiting,
    "work": worked,
    "memory": lambda: ended("memory", state=Talk()),
    "branch": branched,
    "limited": limited_and_resumed,
    "refused": refused,
    "stuck": stuck,
    "interrupted": lambda: died("fork", "interrupted", 1),
    "crash_resumed": lambda: died("map", "crash_resumed", 2, None),
    "crash_asked": lambda: died("careful", "crash_asked", 1, None, "rerun"),
}
"""How each run is recorded."""


def clean(run: Exported) -> Exported:
    """Return the run without what differs between machines: the paths of files in tracebacks."""

    def scrubbed(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: _TRACE.sub(r'File "\1"', part) if name == "traceback" else scrubbed(part)
                for name, part in value.items()
            }
        return [scrubbed(part) for part in value] if isinstance(value, (list, tuple)) else value

    steps = [resaid(step, **scrubbed(said(step))) for step in run.steps]
    return replace(run, steps=steps)


async def recorded() -> Mapping[str, Exported]:
    """Record all the runs."""
    return {name: clean(await recording()) for name, recording in RUNS.items()}


async def database(runs: Mapping[str, Exported]) -> str:
    """Return a database of the present format as SQL: these runs, two that share a long text, and one of a queue."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.db"
        store = SQLiteStore(path, clock=lambda: BEGAN)
        async with Runner(store, clock=FakeClock(BEGAN)) as made:
            for run in runs.values():
                if run.info.graph != "review_loop":
                    await import_run(store, run)
            await made.start(GRAPHS["loop"], Text(title="Ants" * 2000), run_id="long", tags=["kept"]).result()
            await made.branch("long", GRAPHS["loop"], 4, run_id="long_branch").result()
            await made.start(
                GRAPHS["loop"], Text(), run_id="queued", queue="slow", priority=2, tenant="tenant"
            ).result()
        with closing(sqlite3.connect(path)) as connection:
            lines = connection.iterdump()
            title = f"-- A database of format {latest_format()}; no process drives its runs."
            marks = f"PRAGMA application_id = {APPLICATION_ID};", f"PRAGMA user_version = {latest_format()};"
            return "\n".join([title, *lines, *marks, ""])


def write_files(folder: Path) -> list[str]:
    """Write the missing files and return their names."""
    runs = asyncio.run(recorded())
    wanted = {f"{RECORDED.name}/{name}.json": to_json_text(run, __version__) for name, run in runs.items()}
    wanted[f"databases/format_{latest_format()}.sql"] = asyncio.run(database(runs))
    written = []
    for name, text in wanted.items():
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(name)
    return written


def graph_for(run: Exported) -> Graph[Any]:
    """Return the graph of a recorded run."""
    return review_loop() if run.info.graph == "review_loop" else GRAPHS[run.info.graph]


if __name__ == "__main__":
    with patch.object(ids, "new_nonce", lambda: "k3x9ab"):
        sys.stdout.writelines(f"{name}\n" for name in write_files(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
