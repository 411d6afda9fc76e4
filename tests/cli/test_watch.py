import asyncio
import io
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner, ask
from graphengine.cli.context import CommandContext
from graphengine.cli.terminal import Channel
from graphengine.cli.watch import _Documents, _RunLines, follow
from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import UnknownRun
from graphengine.history.changes import Polled
from graphengine.history.load import load_snapshot
from graphengine.records.visits import Visits
from graphengine.stores.base import RunInfo
from tests.cli.programs import GATED, WAITING, Invoke, call, read_line, read_until, start
from tests.cli.screens import plain
from tests.cli.test_live_text import Telling


class Work(BaseModel):
    text: str = ""
    items: list[int] = [1, 2, 3]
    sums: list[int] = []


@pytest.fixture(autouse=True)
def _is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")


def lines_of(text: str) -> list[dict[str, Any]]:
    """Return the documents, one per line."""
    return [json.loads(line) for line in text.splitlines()]


def test_the_watched_database_is_not_touched(invoke: Invoke, project: Path) -> None:
    """`watch` changes neither a file of the database nor the list of files."""
    (project / "flows" / "waiting.py").write_text(WAITING)
    invoke("run", "waiting", "--run-id", "desk")
    files = project / "checkpoints"
    before = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    assert invoke("watch", "desk", "--no-wait", "--from", "1").exit_code == 3
    assert {path: path.read_bytes() for path in files.rglob("*") if path.is_file()} == before


def test_a_queued_run_that_nobody_drives_is_not_waited_for(invoke: Invoke, project: Path) -> None:
    """With `--no-wait`, the exit code of a run that no worker has begun says that no process drives it."""
    (project / "flows" / "waiting.py").write_text(WAITING)
    invoke("run", "waiting", "--run-id", "desk", "--queue", "mail")
    shown = invoke("watch", "desk", "--no-wait")
    assert (shown.exit_code, shown.stderr) == (4, "")


class Held(SQLiteStore):
    """A database to read from, whose runs are not looked up while `free` is cleared."""

    def __init__(self, database: Path) -> None:
        super().__init__(database, read_only=True)
        self.free = asyncio.Event()
        self.free.set()

    async def infos(self, run_ids: Sequence[str]) -> list[RunInfo]:  # type: ignore[override]  # as `read` in databases/sql.py
        await self.free.wait()
        return await super().infos(run_ids)


class Follower:
    """Watches a run of a database on a screen of its own, in this event loop."""

    def __init__(self, database: Path, *, json: bool = False) -> None:
        self.screen = Telling()
        channel = Channel(self.screen, must_arrive=True)
        context = CommandContext(channel, channel, json=json, debug=False, database=database)
        self._view = _Documents(context) if json else _RunLines(context)
        self._store = Held(database)

    def of(self, run_id: str) -> "asyncio.Task[int]":
        """Begin."""
        return asyncio.create_task(self._follow(run_id))

    async def _follow(self, run_id: str) -> int:
        await self._store.open()
        try:
            return await follow(self._store, run_id, self._view, 1, ends_idle=False)
        finally:
            await self._store.close()

    async def until(self, text: str) -> None:
        """Return when the text was written."""
        while text not in self.shown:
            await self.screen.written.wait()
            self.screen.written.clear()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let it see only what has become of the run at the end of the block. Enter it right after `until`."""
        self._store.free.clear()
        yield
        self._store.free.set()

    @property
    def shown(self) -> str:
        """The output so far, without colours."""
        return plain(self.screen.getvalue())


async def test_a_run_is_followed_from_its_first_node_over_a_question_to_its_end(tmp_path: Path) -> None:
    """A node is shown when it begins; a question with the command that answers it; then the outcome."""
    gate = asyncio.Event()

    async def work() -> str:
        await gate.wait()
        return "done"

    async def count(item: int) -> int:
        return item

    graph = Graph("followed", Work)
    graph.add_node("work", work, writes="text")
    graph.add_node("each", count, writes="sums", each={"item": "items"})
    graph.add_node("asked", ask("Enough?", str), writes="text")
    graph.add_path(START, "work", "each", "asked", END)
    async with asyncio.timeout(60), Runner(tmp_path / "runs.db") as runner:
        run = runner.start(graph, Work(), run_id="r")
        await run.begun()
        follower = Follower(tmp_path / "runs.db")
        watching = follower.of("r")
        await follower.until("started  work (visit 1)")
        await follower.until("at work  work ")
        gate.set()
        await run.result()
        await follower.until("answer r TEXT")
        assert follower.shown.count("Enough?") == 2  # the step, and below it the run's waits
        await runner.answer("r", "yes")
        await runner.resume("r", graph).result()
        assert await watching == 0
    shown = follower.shown
    assert "3 of 3 items done" in shown
    assert "waiting since" in shown
    assert "finished" in shown.splitlines()[-3]


async def test_the_transient_line_is_redrawn_at_each_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """The transient line is redrawn also if each poll finds steps, as with a map whose items end all the time."""
    ticks = []

    class Ticks(_Documents):
        def tick(self) -> None:
            ticks.append(time.monotonic())

    graph = Graph("mapped", Work)
    graph.add_node("each", lambda item: item, writes="sums", each={"item": "items"}, thread=False)
    graph.add_path(START, "each", END)
    async with Runner() as runner:
        await runner.start(graph, run_id="r").result()
        info, steps = await runner.store.info("r"), await runner.store.steps("r")

        async def polls(*_: object) -> AsyncIterator[Polled]:
            for step in steps:
                yield replace(info, status="running", driver="another", seq=step.seq), [step], {}
            yield info, [], {}

        monkeypatch.setattr("graphengine.kernel.inside.polled", polls)
        channel = Channel(io.StringIO(), must_arrive=False)
        view = Ticks(CommandContext(channel, channel, json=True, debug=False))
        assert await follow(runner.store, "r", view, 1, ends_idle=False) == 0
    assert len(ticks) == len(steps)


async def test_a_document_is_written_whenever_the_status_changes(tmp_path: Path) -> None:
    """A document is written once for each status: here that the run waits, and its end."""
    graph = Graph("asking", Work)
    graph.add_node("asked", ask("Enough?", str), writes="text")
    graph.add_path(START, "asked", END)
    async with asyncio.timeout(60), Runner(tmp_path / "runs.db") as runner:
        await runner.start(graph, Work(), run_id="r").result()
        follower = Follower(tmp_path / "runs.db", json=True)
        watching = follower.of("r")
        await follower.until('"stands"')
        with follower.held():  # else it may see that the run is taken over, to be stopped
            await runner.stop("r")
        assert await watching == 4
    reported = [(line["event"], line.get("status")) for line in lines_of(follower.shown)]
    assert reported == [("step", None), ("step", None), ("stands", "waiting"), ("step", None), ("ended", "stopped")]


async def test_a_run_that_is_removed_while_watched_is_reported(tmp_path: Path) -> None:
    """A new run with the same id is not mistaken for it."""
    graph = Graph("asking", Work)
    graph.add_node("asked", ask("Enough?", str), writes="text")
    graph.add_path(START, "asked", END)
    async with asyncio.timeout(60), Runner(tmp_path / "runs.db") as runner:
        await runner.start(graph, Work(), run_id="r").result()
        follower = Follower(tmp_path / "runs.db")
        watching = follower.of("r")
        await follower.until("answer r TEXT")
        with follower.held():  # else it may see the stopped run, and end
            await runner.stop("r")
            await runner.admin.prune(keep_last=0, statuses=["stopped"])
            await runner.start(graph, Work(), run_id="r").result()
        with pytest.raises(UnknownRun):
            await watching


def test_a_driver_that_dies_is_reported_and_the_next_one_is_followed(tmp_path: Path) -> None:
    """The interruption is shown with the resume command, then the steps of the next process and the exit code."""
    (tmp_path / "gated.py").write_text(GATED)
    driver = start(tmp_path, "run", "gated.py", "--run-id", "r")
    read_until(driver, "in second")
    watcher = start(tmp_path, "watch", "r")
    until(watcher, "started  second (visit 1)")
    driver.kill()
    until(watcher, "interrupted: no process drives it; resume: ")
    assert call(tmp_path, "watch", "r", "--no-wait").returncode == 4
    (tmp_path / "gate").touch()
    assert call(tmp_path, "resume", "r", "--graph", "gated.py").returncode == 0
    out, err = watcher.communicate(timeout=60)
    assert (watcher.returncode, err) == (0, "")
    assert "the process that drove it had died" in out
    assert "finished" in out


def test_ctrl_c_ends_the_watching_and_leaves_the_run_alone(tmp_path: Path) -> None:
    """Ctrl-C gives exit code 130 with the command that watches again; the driver continues."""
    (tmp_path / "gated.py").write_text(GATED)
    driver = start(tmp_path, "run", "gated.py", "--run-id", "r")
    read_until(driver, "in second")
    watcher = start(tmp_path, "watch", "r")
    until(watcher, "started  second (visit 1)")
    watcher.send_signal(signal.SIGINT)
    _, err = watcher.communicate(timeout=60)
    assert watcher.returncode == 130
    assert "no longer follows the run; the run itself is not affected" in err
    assert "graphengine watch r" in err
    (tmp_path / "gate").touch()
    out, _ = driver.communicate(timeout=60)
    assert (driver.returncode, out) == (0, "one two three\n")


def until(process: Any, text: str) -> None:
    """Read a process's stdout up to the line with the text."""
    while text not in plain(read_line(process)):
        pass


async def test_a_map_that_is_joined_midway_is_shown_as_started_first(tmp_path: Path) -> None:
    """A map joined midway is shown as started first, so that its end follows a start; no inner names are shown."""

    async def double(item: int) -> int:
        if item == first:
            raise ValueError("the first")
        return 2 * item

    async def more(ctx: Context) -> str:
        await ctx.runs("joined")
        return "done"

    graph = Graph("joined", Work)
    first = Work().items[0]
    graph.add_node("double", double, each={"item": "items"}, writes="sums", concurrency=1, fallback=0)
    graph.add_node("more", more, writes="text")
    graph.add_path(START, "double", "more", END)
    stream = io.StringIO()
    channel = Channel(stream, must_arrive=True)
    context = CommandContext(channel, channel, json=False, debug=False, database=tmp_path / "runs.db")
    async with Runner(tmp_path / "runs.db") as runner:
        await runner.start(graph, run_id="r").result()
        steps = await runner.history("r")
        mid = next(step.seq for step in steps if step.kind == "item")
        visits = Visits(await load_snapshot(runner.store, "r", mid), keeps=False)
        lines = _RunLines(context)
        lines.begins(await runner.info("r"), visits)
        for step in steps[mid:]:
            lines.step(visits.feed(step), "")
    output_text = stream.getvalue()
    order = [
        output_text.index(text) for text in ("started  double", "done     double", "started  more", "recorded more")
    ]
    assert order == sorted(order)
    total = len(Work().items)
    assert f"items    double: 1 of {total} items done\n" in output_text
    assert f"items    double: {total} of {total} items done\n" in output_text
    assert "recorded more: earlier_runs returned" in output_text
    assert "<locals>" not in output_text
