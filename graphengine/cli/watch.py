"""`graphengine watch`: follow a run that another process drives.

It only reads: it takes no lease, writes nothing, and works beside any driver. The run's row is looked at a few times a
second; the log is read where its seq has moved, and folded, so that the core says what is at work and what is waited
for.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, Protocol

import click

from graphengine.cli import completing, helping, options
from graphengine.cli.session import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from graphengine.cli.places import Place
    from graphengine.cli.session import Session
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import Step
    from graphengine.runner.live_events import NodeBegan
    from graphengine.state.json_values import JsonValue
    from graphengine.stores.base import RunInfo, Store

_POLL_SECONDS: Final = 0.2
_LAST: Final = 5
"""So many steps of the past are shown where --from does not say otherwise."""
_OVER: Final = ("finished", "stopped", "failed")


@click.command(
    "watch",
    cls=helping.Command,
    examples="""
        graphengine watch tides
        graphengine watch post --no-wait  # ends waiting, with 3
        graphengine watch tides --from 1 --json
    """,
    exits={
        Exit.FINISHED: "the run finished",
        Exit.FAILED: "it failed",
        Exit.WAITING: "with `--no-wait`: it waits",
        Exit.STOPPED: "it was stopped; with `--no-wait`: no process drives it",
        Exit.INTERRUPTED: "no longer watched; the run itself is left alone",
    },
)
@click.argument("run_id", metavar="RUN_ID", shell_complete=completing.runs)
@click.option(
    "--from",
    "first",
    type=click.IntRange(min=1),
    metavar="SEQ",
    help="Begin with this step; with the last 5 if not given.",
)
@click.option(
    "--no-wait",
    is_flag=True,
    help="Where the run waits, or no process drives it, end with exit code 3 or 4 instead of watching on.",
)
@options.database
@options.common
@click.pass_obj
def command(
    session: Session,
    run_id: str,
    first: int | None,
    no_wait: bool,  # noqa: FBT001 - as click gives it
    database: Path | None,
) -> int:
    """Follow a run that another process drives, live, until it is over.

    The database is only read: the run and its driver notice nothing of it. Shown are steps once they are recorded, what
    is at work, what is waited for with the command that answers it, and where its driver is gone how to go on.

    The exit code is that of the run's outcome: 0 finished, 1 failed, 4 stopped. Ctrl-C ends the watching alone (130).
    Under --json each line is a document.
    """
    from graphengine.cli.places import place_of
    from graphengine.cli.recorded import read, run_id_of
    from graphengine.cli.session import Interrupted

    place = place_of(database)
    found = run_id_of(session, place, run_id)
    view: _View = _Documents(session) if session.json else _Lines(session, place)
    watching = _Watching(view, first, ends_idle=no_wait)
    try:
        return read(place, lambda store: watching.follow(store, found))
    except KeyboardInterrupt:
        told = "no longer watched; the run itself is left alone"
        raise Interrupted(told, where=f"run {found}", repair=_again(found, place)) from None
    finally:
        session.out.wipe()


def _again(run_id: str, place: Place) -> str:
    from graphengine.cli.places import command as to_paste

    return to_paste("watch", run_id, place=place)


class _View(Protocol):
    """Shows what is seen of a run."""

    def begins(self, info: RunInfo) -> None:
        """The run is found."""

    def step(self, step: Step, snapshot: Snapshot, *, is_past: bool) -> None:
        """A step is recorded that leads on from the snapshot; one of the past is not shown."""

    def joins(self, snapshot: Snapshot) -> None:
        """The steps after this snapshot are shown."""

    def stands(self, info: RunInfo, snapshot: Snapshot) -> None:
        """All steps up to here were shown."""

    def tick(self) -> None:
        """Nothing has moved for a moment."""

    def ends(self, info: RunInfo, snapshot: Snapshot) -> None:
        """The run is over, or is not watched any longer."""


class _Watching:
    """Follows one run.

    Args:
        view: Who shows it.
        first: The first step to show; None for the last few.
        ends_idle: Whether to end where nothing moves it.
    """

    def __init__(self, view: _View, first: int | None, *, ends_idle: bool) -> None:
        self._view = view
        self._first = first
        self._ends_idle = ends_idle

    async def follow(self, store: Store, run_id: str) -> int:
        """Show the run until it is over; gives the exit code.

        Raises:
            UnknownRun: It was removed meanwhile.
            StoreError: It cannot be read.
        """
        import asyncio

        from graphengine.cli.selecting import status_of

        info = await store.info(run_id)
        self._view.begins(info)
        snapshot = await self._past(store, info)
        told: tuple[object, ...] = ()
        while True:
            for step in await store.steps(run_id, snapshot.seq, info.seq):
                self._take(step, snapshot)
            status = status_of(info)
            if status in _OVER or (self._ends_idle and status != "running"):
                self._view.ends(info, snapshot)
                return _exit_code(status)
            standing = (status, info.seq, info.driver)
            if standing != told:
                told = standing
                self._view.stands(info, snapshot)
            else:
                self._view.tick()
            await asyncio.sleep(_POLL_SECONDS)
            before, info = info, await store.info(run_id)
            if info.created_at != before.created_at or info.seq < before.seq:
                raise _removed(run_id)

    async def _past(self, store: Store, info: RunInfo) -> Snapshot:
        """Where the run stood before the first step that is shown."""
        from graphengine.engine.snapshot import Snapshot
        from graphengine.history.load import load_snapshot

        first = max(1, info.seq - _LAST + 1) if self._first is None else min(self._first, info.seq + 1)
        begin = max(0, first - 1 - _LAST)  # a few before it tell when the shown ones began
        snapshot = await load_snapshot(store, info.id, begin) if begin else Snapshot()
        for step in await store.steps(info.id, begin, first - 1):
            self._take(step, snapshot, is_past=True)
        self._view.joins(snapshot)
        return snapshot

    def _take(self, step: Step, snapshot: Snapshot, *, is_past: bool = False) -> None:
        from graphengine.engine.fold import evolve

        self._view.step(step, snapshot, is_past=is_past)
        evolve(snapshot, step)


def _removed(run_id: str) -> Exception:
    from graphengine.errors import UnknownRun

    return UnknownRun(f"run {run_id} was removed while it was watched", where=f"run {run_id}")


def _exit_code(status: str) -> int:
    from graphengine.cli.report import CODES

    return Exit.STOPPED if status == "interrupted" else CODES[status]


def _at_work(info: RunInfo, snapshot: Snapshot, now: float) -> Iterator[NodeBegan]:
    """The nodes that the driver has in flight, as far as the log tells."""
    from graphengine.engine.ready import ready
    from graphengine.engine.steps import path_of
    from graphengine.runner.live_events import NodeBegan

    if info.status != "running" or info.driver is None:
        return
    for task in ready(snapshot):
        if task.mode in ("run", "fallback") and task.due <= now:
            at = max(snapshot.frames[task.frame].arrived, task.due) or snapshot.now
            path = path_of(task.frame, task.node)
            yield NodeBegan(path, task.node, task.visit, task.attempt, at, snapshot.seq)


class _Lines:
    """Shows a run as text: as `run` shows one that it drives itself, and below that where it stands."""

    def __init__(self, session: Session, place: Place) -> None:
        from graphengine.cli.progress import Progress

        self._out = session.out
        self._place = place
        self._progress = Progress(session.out)
        self._waits: set[tuple[str, str]] = set()
        self._is_idle = False

    def begins(self, info: RunInfo) -> None:
        from graphengine.cli.times import when

        self._out.line("run ", (info.id, "bold"), f" of {info.graph}, begun {when(info.created_at)}")

    def step(self, step: Step, snapshot: Snapshot, *, is_past: bool) -> None:
        if snapshot.status == "waiting":
            self._progress.idles()
        if is_past:
            self._progress.skip(step)
        else:
            self._progress.recorded(step)

    def joins(self, snapshot: Snapshot) -> None:
        """Show maps and graphs that were begun before as started, so that their ends have a beginning."""
        from graphengine.engine.phases import Collecting, Inside
        from graphengine.engine.steps import path_of

        for frame in snapshot.frames.values():
            path = path_of(frame.id, frame.at)
            if isinstance(frame.phase, (Collecting, Inside)) and "[" not in path:
                self._progress.began(path, frame.visit, frame.attempt)

    def stands(self, info: RunInfo, snapshot: Snapshot) -> None:
        from graphengine.cli.show import driven
        from graphengine.cli.times import when

        if info.status == "running" and info.driver is not None:
            self._is_idle = False
            for began in _at_work(info, snapshot, time.time()):
                self._progress.show(began)
        elif not self._is_idle:
            self._is_idle = True
            self._progress.idles()
            if info.status == "running":
                self._out.line(*driven(info, self._place))
            else:
                self._out.line(("waiting", "bold yellow"), f" since {when(info.updated_at)}")
        self._tell_waits(info, snapshot)

    def _tell_waits(self, info: RunInfo, snapshot: Snapshot) -> None:
        """Show what is waited for where something new is, and how each is answered."""
        from graphengine.cli.places import graph_words
        from graphengine.cli.waits import tell_waits

        waits = {(frame.id, name) for frame in snapshot.frames.values() for name in frame.waits}
        if waits - self._waits:
            tell_waits(self._out, snapshot, graph_words(info.graph), self._place)
        self._waits = waits

    def tick(self) -> None:
        self._progress.tick(time.time())

    def ends(self, info: RunInfo, snapshot: Snapshot) -> None:
        from graphengine.cli.places import command as to_paste
        from graphengine.cli.places import graph_words
        from graphengine.cli.report import raised_limit, tell_cost, tell_end
        from graphengine.cli.show import driven

        self._progress.idles()
        if info.status == "running":
            self._out.line(*driven(info, self._place))
            return
        tell_end(self._out, snapshot)
        if info.status == "waiting":
            self._tell_waits(info, snapshot)
        tell_cost(self._out, snapshot)
        if info.status in ("stopped", "failed"):
            words = [*raised_limit(snapshot), *graph_words(info.graph)]
            self._out.line(("resume: ", "dim"), to_paste("resume", info.id, *words, place=self._place))
        self._out.line(("look:   ", "dim"), to_paste("show", info.id, place=self._place))


class _Documents:
    """Shows a run as JSON documents, one to a line."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._told: tuple[object, ...] = ()
        self._whose: dict[str, JsonValue] = {}

    def begins(self, info: RunInfo) -> None:
        self._whose = {"run_id": info.id, "graph": info.graph}

    def step(self, step: Step, snapshot: Snapshot, *, is_past: bool) -> None:
        from graphengine.history.json_document import step_document

        del snapshot
        if not is_past:
            self._line("step", {"step": step_document(step)})

    def joins(self, snapshot: Snapshot) -> None:
        pass

    def stands(self, info: RunInfo, snapshot: Snapshot) -> None:
        """Tell where it stands whenever its status, its driver or its waits are others than before."""
        from graphengine.history.json_document import waits_document

        waits = waits_document(snapshot)
        standing = (info.status, info.driver, waits)
        if standing != self._told:
            self._told = standing
            self._line("stands", {"status": info.status, "driver": info.driver, "waits": waits})

    def tick(self) -> None:
        pass

    def ends(self, info: RunInfo, snapshot: Snapshot) -> None:
        from graphengine.history.json_document import failure_document, waits_document

        error = failure_document(snapshot.failure) if snapshot.failure is not None else None
        stop = asdict(snapshot.stop) if snapshot.stop is not None else None
        outcome: Mapping[str, JsonValue] = {"seq": info.seq, "stop": stop, "error": error}
        ended = {"status": info.status, "driver": info.driver, **outcome, "waits": waits_document(snapshot)}
        self._line("ended", ended)

    def _line(self, event: str, content: Mapping[str, JsonValue]) -> None:
        from graphengine.history.json_document import SCHEMA

        self._session.line({"schema": SCHEMA, "event": event, **self._whose, **content})
