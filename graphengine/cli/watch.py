"""`graphengine watch`: follow a run that another process drives.

The command only reads. It takes no lease, writes nothing, and does not affect the process that drives the run. When the
seq of the run has changed, the command reads the new steps and applies them to its snapshot, from which the engine
determines the nodes at work and the waits of the run.
"""

from __future__ import annotations

import time
from contextlib import aclosing, nullcontext
from typing import TYPE_CHECKING, Final

import click

from graphengine.cli import options
from graphengine.cli.context import Exit, Interrupted
from graphengine.cli.places import graph_words
from graphengine.records.words import when

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from graphengine.cli.context import CommandContext
    from graphengine.kernel.reader import Snapshot
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.records.spending import SpentBelow
    from graphengine.records.visit_tree import Entry
    from graphengine.records.visits import Visits

_LAST: Final = 5
"""The number of past steps that are shown without --from."""


@options.command(
    "watch",
    options.DATABASE,
    examples="""
        graphengine watch tides
        graphengine watch post --no-wait  # exits with 3, waiting
        graphengine watch tides --from 1 --json
    """,
    exits={
        Exit.FINISHED: "the run finished",
        Exit.FAILED: "the run failed",
        Exit.WAITING: "with --no-wait: the run waits",
        Exit.STOPPED: "the run was stopped or cancelled; or, with --no-wait, no process drives it",
        Exit.INTERRUPTED: "Ctrl-C ended the command; the run itself is not affected",
    },
)
@options.run_id
@click.option(
    "--from",
    "first",
    type=click.IntRange(min=1),
    metavar="SEQ",
    help="Begin with the step of this number. By default, the output begins with the last 5 steps.",
)
@click.option(
    "--no-wait",
    is_flag=True,
    help="Do not wait for others: exit with code 3 if the run waits, and with code 4 if no process drives it.",
)
def watch(
    context: CommandContext,
    run_id: str,
    first: int | None,
    no_wait: bool,  # noqa: FBT001 - as click gives it
) -> int:
    """Follow a run live while another process drives it, until it is over.

    The command only reads the database, so it does not affect the run or the process that drives it. The output shows:

    - the recorded steps, and the nodes that are at work
    - what the run waits for, with the command that answers
    - how to resume the run, if the process that drove it has died

    If a node of the watched run is in a loop, the command shows its first visits one by one. Later visits that went the
    same way are only counted.

    When the run is over, the exit code tells its outcome: 0 if the run finished, 1 if it failed, 4 if it was stopped.
    Ctrl-C ends only this command, with exit code 130. With --json, each line of the output is a document.
    """
    found = context.find(run_id).id
    view = _Documents(context) if context.json else _RunLines(context)
    try:
        return context.read(lambda store: follow(store, found, view, first, ends_idle=no_wait))
    except KeyboardInterrupt:
        message = "the command was interrupted, and no longer follows the run; the run itself is not affected"
        raise Interrupted(message, where=f"run {found}", repair=context.place.command("watch", found)) from None
    finally:
        context.out.wipe()


async def follow(store: Store, run_id: str, view: _RunLines | _Documents, first: int | None, *, ends_idle: bool) -> int:
    """Show a run that another process drives until the run is over, and return the exit code.

    Args:
        store: The open store.
        run_id: The id of the run.
        view: The object that shows the run, as text or as JSON.
        first: The number of the first step to show; None for the last few steps.
        ends_idle: Whether to end as soon as the run waits or no process drives it.

    Raises:
        UnknownRun: The run was removed in the meantime.
        StoreError: The run cannot be read.
    """
    from graphengine.cli.report import CODES
    from graphengine.kernel.inside import StepReasons, polled
    from graphengine.kernel.reader import OVER, status_of
    from graphengine.records.visits import Visits, load_start

    info = await store.info(run_id)
    shown = max(1, info.seq - _LAST + 1) if first is None else min(first, info.seq + 1)
    # A few earlier steps are needed to know when the shown steps began.
    start = await load_start(store, run_id, shown - 1 - _LAST)
    visits = Visits(start, keeps=False)
    for step in await store.steps(run_id, visits.snapshot.seq, shown - 1):
        visits.feed(step)
    view.begins(info, visits)
    reasons = StepReasons(store, run_id)
    reported: tuple[object, ...] = ()
    from graphengine.records.spending import load_spent_below

    async with view.ticking(), aclosing(polled(store, info, visits.snapshot.seq)) as polls:
        async for info, steps, posted in polls:
            for step in steps:
                view.step(visits.feed(step), await reasons.why(step))
            visits.snapshot.posted = posted
            status = status_of(info)
            if status in OVER or (ends_idle and status != "running"):
                view.ends(info, visits.snapshot, await load_spent_below(store, run_id))
                return Exit.STOPPED if status in ("interrupted", "queued") else CODES[status]
            standing = (status, info.seq, info.driver, [*posted])
            if standing != reported:
                reported = standing
                view.status(info, visits.snapshot)
            view.tick()
    return Exit.FINISHED  # never reached: the loop above ends with a return or an error


class _RunLines:
    """Shows a watched run as text: its steps in the format of `graphengine run`, and what happens now."""

    def __init__(self, context: CommandContext) -> None:
        from graphengine.cli.progress import Progress

        self._out = context.out
        self._place = context.place
        self._progress = Progress(context.out)
        self._waits: set[tuple[str, str]] = set()
        self._is_idle = False

    def begins(self, info: RunInfo, visits: Visits) -> None:
        """Show which run is watched, before its first step is shown.

        Maps and nested graphs that began earlier are shown too. Otherwise the user would see them end without having
        seen them begin.
        """
        self._out.line("run ", (info.id, "bold"), f" of {info.graph}, begun {when(info.created_at)}")
        self._progress.continues(visits)
        for frame, track in visits.live.items():
            visit = track.visit
            if visit is not None and visit.nested is not None and "[" not in visit.path:
                self._progress.began(visit.path, visit.number, visits.snapshot.frames[frame].attempt)
        self._progress.counts()

    def step(self, entry: Entry, why: str) -> None:
        self._progress.recorded(entry, why)

    def status(self, info: RunInfo, snapshot: Snapshot) -> None:
        """Show what the run is doing now: which nodes are at work, or since when it waits and how to answer."""
        from graphengine.cli.show import driven
        from graphengine.kernel.extension import NodeBegan
        from graphengine.records.at_work import nodes_at_work

        if info.status == "running" and info.driver is not None:
            self._is_idle = False
            for node in nodes_at_work(snapshot):
                if node.due is None:
                    began = NodeBegan(node.path, node.node, node.visit, node.attempt, node.since, snapshot.seq)
                    self._progress.show(began)
        elif not self._is_idle:
            self._is_idle = True
            self._progress.idles()
            if info.status == "running":
                self._out.line(*driven(info, self._place))
            else:
                self._out.line(("waiting", "bold yellow"), f" since {when(info.updated_at)}")
        self._show_waits(info, snapshot)

    def _show_waits(self, info: RunInfo, snapshot: Snapshot) -> None:
        """Show what the run waits for and how to answer, if there is a wait that was not shown before."""
        from graphengine.cli.steps import show_waits

        waits = {(frame.id, name) for frame in snapshot.frames.values() for name in frame.waits}
        if waits - self._waits:
            show_waits(self._out, snapshot, graph_words(info.graph), self._place)
        self._waits = waits

    def ticking(self) -> AbstractAsyncContextManager[None]:
        """Redraw the progress line regularly, so that the shown durations grow between two steps."""
        return self._progress.ticking()

    def tick(self) -> None:
        self._progress.tick(time.time())

    def ends(self, info: RunInfo, snapshot: Snapshot, below: SpentBelow) -> None:
        from graphengine.cli.report import raised_limit, show_cost, show_end
        from graphengine.cli.show import driven

        self._progress.idles()
        if info.status == "running":
            self._out.line(*driven(info, self._place))
            return
        show_end(self._out, snapshot)
        if info.status == "waiting":
            self._show_waits(info, snapshot)
        show_cost(self._out, snapshot, below)
        if info.status in ("stopped", "failed"):
            words = [*raised_limit(snapshot), *graph_words(info.graph)]
            self._out.line(("resume: ", "dim"), self._place.command("resume", info.id, *words))
        self._out.line(("look:   ", "dim"), self._place.command("show", info.id))


class _Documents:
    """Shows a watched run as JSON documents, one per line."""

    def __init__(self, context: CommandContext) -> None:
        self._context = context
        self._reported: object = None
        self._run = "", ""

    def begins(self, info: RunInfo, visits: Visits) -> None:
        del visits
        self._run = info.id, info.graph

    def step(self, entry: Entry, why: str) -> None:
        from graphengine.records.json_document import Stepped
        from graphengine.records.step_document import step_document

        run_id, graph = self._run
        self._context.line(Stepped(run_id=run_id, graph=graph, step=step_document(entry.step, why)))

    def status(self, info: RunInfo, snapshot: Snapshot) -> None:
        """Write a JSON document about the run if its status, the process that drives it, or its waits have changed."""
        from graphengine.kernel.reader import status_of, waits_of
        from graphengine.records.json_document import StatusReported

        reported = StatusReported(
            run_id=info.id, graph=info.graph, status=status_of(info), driver=info.driver, waits=waits_of(snapshot)
        )
        if reported != self._reported:
            self._reported = reported
            self._context.line(reported)

    def ticking(self) -> AbstractAsyncContextManager[None]:
        """Do nothing, because a document is only written when something has changed."""
        return nullcontext()

    def tick(self) -> None:
        """Do nothing, because JSON documents contain no durations that grow."""

    def ends(self, info: RunInfo, snapshot: Snapshot, below: SpentBelow) -> None:  # noqa: ARG002 - of the other view
        from graphengine.records.json_document import ended_document

        self._context.line(ended_document(info, snapshot))
