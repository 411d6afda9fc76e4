"""Drive one run from the command line: start it, show it, stop it on a signal, and report its outcome."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from graphengine.agents.model_routing import Models
from graphengine.api.runner import Runner
from graphengine.cli import options
from graphengine.cli.context import Exit, Interrupted, as_json
from graphengine.cli.models import as_begun, in_force
from graphengine.cli.observing import line_of, observed
from graphengine.cli.places import read_settings
from graphengine.cli.progress import Progress
from graphengine.cli.project import extensions_of, file_of, graph_of, graphs_to_drive
from graphengine.cli.report import DriveJob, StoredOutcome, check_output, report
from graphengine.cli.terminal import WIPE
from graphengine.errors import CompileError, StoreCorrupt
from graphengine.kernel.extension import Limits, RunFailed, StepRecorded
from graphengine.kernel.inside import (
    ROOT,
    allows_unknown_cost,
    copy_of,
    life_of,
    lives_of,
    load_specs,
)
from graphengine.kernel.reader import load_snapshot
from graphengine.records.base_documents import error_document
from graphengine.records.spending import load_spent_below
from graphengine.records.visits import Visits
from graphengine.records.words import when

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from types import FrameType, TracebackType
    from typing import Self

    from graphengine.agents.model_routing import AsBegun
    from graphengine.api.graph import Graph
    from graphengine.cli.context import CommandContext
    from graphengine.cli.project import Found
    from graphengine.kernel.extension import Event, Extension, Retention, Run
    from graphengine.kernel.reader import At, Snapshot
    from graphengine.telemetry import Telemetry


Begin: TypeAlias = "Callable[[Runner], Awaitable[Run[Any]]]"
"""A function that starts, resumes or branches a run on a runner."""

GRACE_SECONDS: Final = 8.0
"""How long nodes in flight may take to finish after SIGTERM. Most systems kill the process after 10 s or more."""
_STOPPING: Final = "stopping after the node in flight"
_BEGINNING: Final = "the command was interrupted while the run was being started"
_LOOK: Final = "check with `graphengine runs` whether the run was recorded"
_SAFE: Final = "the command was interrupted; everything that was recorded is safe"
_LEAVING: Final = "leaving the run waiting"


def recorded_job(context: CommandContext, run_id: str, reference: str | None, at: At | None = None) -> DriveJob:
    """Find a recorded run and its graph, and return what is needed to continue the run: a `DriveJob`.

    If the log of the run is damaged and `at` names a step, the state after this step is used, so that the run can be
    branched from there.

    Raises:
        GraphEngineError: The run or its graph does not exist, or the result cannot be written.
    """
    if context.output is not None:
        check_output(context.output)
    context.use(file_of(reference), writes=True)
    full_id = context.find(run_id).id
    try:
        snapshot = context.read(lambda store: load_snapshot(store, full_id, None))
    except StoreCorrupt:
        if at is None:
            raise
        snapshot = context.read(lambda store: load_snapshot(store, full_id, at))
    found = graph_of(snapshot.graph, reference)
    return DriveJob(context, found, full_id, snapshot, limits_of(context, snapshot))


def limits_of(context: CommandContext, snapshot: Snapshot) -> Limits | None:
    """Return the limits of a run, changed by the command's options `--limit`; None if there is no such option."""
    if not context.limits:
        return None
    recorded = snapshot.limits
    limits = Limits(
        recorded.get("visits"),
        recorded.get("tokens"),
        recorded.get("cost_usd"),
        recorded.get("seconds"),
        unknown_cost=allows_unknown_cost(recorded),
        depth=recorded.get("depth", Limits().depth),
    )
    return options.limits_from(context.limits, limits)


def resume(job: DriveJob, *, retry_failed: bool = False) -> int:
    """Resume a run until it ends or waits, report its outcome, and return the exit code."""
    return report(job, resume_to_rest(job, retry_failed=retry_failed))


def resume_to_rest(job: DriveJob, *, retry_failed: bool = False) -> StoredOutcome:
    """Resume a run until it ends or waits, and show its progress."""

    async def begin(runner: Runner) -> Run[Any]:
        pauses = job.context.pauses or None  # without --pause-before, the run keeps its own nodes
        if job.snapshot is not None:  # the display goes on using the snapshot, so the Runner gets a copy
            lives_of(runner).shared.kept.hand_over(copy_of(job.snapshot))
        how: Any = {"retry_failed": retry_failed, "wait_out": job.sleeps}
        return runner.resume(job.run_id, job.found.graph, limits=job.limits, pause_before=pauses, **how)

    return drive_to_rest(job, begin)


def drive(job: DriveJob, begin: Begin) -> int:
    """Drive a run until it ends or waits, tell the user how it ended, and return the exit code of the command.

    Raises:
        GraphEngineError: The run cannot be started or recorded.
    """
    return report(job, drive_to_rest(job, begin))


def drive_to_rest(job: DriveJob, begin: Begin) -> StoredOutcome:
    """Drive the run of a command until it ends or waits, and show its progress meanwhile.

    Raises:
        GraphEngineError: The run cannot be started or recorded.
    """
    with stopper_of(job.context) as stopper, observed(job.context) as telemetry:
        stopper.wipes = job.context.err.is_live and not job.context.json
        stopper.last_words = last_words(job.context, Interrupted(_BEGINNING, repair=_LOOK))
        job.context.has_driven = True
        return job.context.drive(_drive(job, begin, stopper, telemetry))


def stopper_of(context: CommandContext) -> Stopper:
    """Return the handler of a command's signals. Its messages are lines of JSON if the command's log is JSON."""
    return Stopper(line_of if context.log_format == "json" else None)


@contextmanager
def until_stopped(
    context: CommandContext, repair: str, action: str = "releasing the runs after the nodes in flight"
) -> Iterator[tuple[Stopper, Telemetry | None]]:
    """Run a command that works until a signal stops it, such as a worker, inside a `with` block.

    The block gets the handler of the signals, and the telemetry for `--otel`.

    Args:
        context: The context of the command.
        repair: Advice to the user for the case that a second Ctrl-C ends the process at once.
        action: What the command does after the first signal, as the user reads it.
    """
    with stopper_of(context) as stopper, observed(context) as telemetry:
        stopper.action = action
        stopper.last_words = last_words(context, Interrupted(_SAFE, repair=repair))
        try:
            yield stopper, telemetry
        except asyncio.CancelledError:
            if not stopper.asked_by:  # otherwise a signal stopped the command while it was opening
                raise


class Fleet(NamedTuple):
    """What a command needs to drive runs of several graphs: the graphs, their models, executors and extensions.

    Attributes:
        found: The graphs by name.
        unread: For each graph that is left out, a message with the reason.
        models: The models of the runs.
        executors: Functions that create the executors in which nodes run, by name.
        extensions: The extensions that act in the runs.
        retention: How long the project keeps the runs; None if the project does not set it.
    """

    found: Mapping[str, Found]
    unread: Sequence[str]
    models: AsBegun
    executors: Mapping[str, Callable[[], Executor]]
    extensions: Sequence[Extension] = ()
    retention: Retention | None = None

    @property
    def for_runner(self) -> dict[str, Any]:
        """The arguments for the Runner that drives the runs, except for its telemetry."""
        return {"models": self.models, "executors": self.executors, "extensions": self.extensions}

    @property
    def graphs(self) -> Mapping[str, Graph[Any]]:
        return {name: found.graph for name, found in self.found.items()}


def fleet_of(
    context: CommandContext, references: Sequence[str], *, writes: bool = False, only_able: bool = False
) -> Fleet:
    """Collect everything that a command needs to drive runs of the given graphs, or of all graphs of the project.

    Also choose the database, and warn about each graph that is left out.

    Args:
        context: The context of the command.
        references: The values of `--graph`.
        writes: Whether the command itself records something.
        only_able: Whether to leave out the graphs of the project whose executors are not available here.

    Raises:
        GraphNotFound: There is no graph.
        GraphEngineError: A given graph or model cannot be used.
    """
    file = file_of(references[0]) if references else None
    (found, unread), executors = graphs_to_drive(references), read_settings("executors", file)
    if only_able and not references:
        lacking = list_lacking_executors(found, executors)
        found = {name: each for name, each in found.items() if name not in lacking}
        unread += lacking.values()
    for problem in unread:
        context.err.prose(("warning ", "bold yellow"), problem)
    context.use(file, writes=writes)
    models = as_begun(context.models, found)
    _warn_of_missing_models(context, models, found)
    return Fleet(found, unread, models, executors, extensions_of(file), read_settings("retention", file))


def list_lacking_executors(graphs: Mapping[str, Found], executors: Collection[str]) -> dict[str, str]:
    """Return the graphs that this process cannot drive, because it lacks an executor that they need.

    Each graph comes with a message that names the executor.

    If all graphs need such an executor, the result is empty, and the worker raises an error instead.
    """
    lacking: dict[str, str] = {}
    for name, found in graphs.items():
        missing = {on for plan in found.graph.compile().nest for _, on, _ in plan.heavy}.difference(executors)
        if missing:
            names = ", ".join(sorted(map(repr, missing)))
            lacking[name] = (
                f"the graph {name!r} is left out, because it needs the executor {names}: add the executor to "
                "[tool.graphengine.executors]"
            )
    return lacking if len(lacking) < len(graphs) else {}


def _warn_of_missing_models(context: CommandContext, models: AsBegun, graphs: Mapping[str, Found]) -> None:
    """Warn about agents of the graphs for which this process has no model.

    This process does not drive the runs that need such a model, so that another process can drive them. Runs that were
    started with a model of their own are driven.
    """
    for found in graphs.values():
        plan = found.graph.compile()
        try:
            Models(in_force(models, found, None)).checked(plan)
        except CompileError as error:
            lacking = "; ".join(problem.message for problem in error.problems)
            text = f"{lacking}; this process does not drive runs of {plan.graph!r} that were started without a model: "
            text += error.problems[0].repair
            context.err.prose(("warning ", "bold yellow"), text)


def last_words(context: CommandContext, error: Interrupted) -> list[tuple[int, str]]:
    """Return the messages to write when a second Ctrl-C ends the process at once, each with its file descriptor.

    The messages are made beforehand, because a signal handler can do little more than write.
    """
    if context.json:
        number = context.out.number
        return [] if number is None else [(number, as_json(error_document(error)) + "\n")]
    if context.log_format == "json":
        return [(2, line_of(error.message, code=error.code, where=error.where, repair=error.repair))]
    return [(2, f"{error.message}\n{'resume: ' if error.where else ''}{error.repair}\n")]


async def _drive(job: DriveJob, begin: Begin, stopper: Stopper, telemetry: Telemetry | None) -> StoredOutcome:
    async with Runner(
        job.context.store,
        models=job.models,
        executors=read_settings("executors", job.found.file),
        telemetry=telemetry,
        effects=job.effects,
        run_again=True,
        extensions=extensions_of(job.found.file),
    ) as runner:
        run = await begin(runner)
        events = life_of(run).audience.joined()  # joined before the first step, so that no event is missed
        display = _EventDisplay(job, stopper, runner, run)
        displaying = asyncio.create_task(display.show(events))
        try:
            result = await run.result()
        except RunFailed as failed:
            result = failed.result
        finally:
            stopper.over()
            await displaying
        if result.status in ("finished", "waiting") and not job.is_announced:
            job.announce(run.id)  # the run had already ended or waited, so no event announced it
        info = await runner.store.info(run.id)
        snapshot = display.snapshot
        if snapshot.seq != info.seq:
            snapshot = await load_snapshot(runner.store, run.id, None)
        steps = await runner.store.steps(run.id) if job.needs_steps else ()
        below = await load_spent_below(runner.store, run.id)
        specs = await load_specs(runner.store, steps)
        return StoredOutcome(result, info, snapshot, stopper.asked_by, steps, display.before_last, below, specs)


class _EventDisplay:
    """Shows the events of a run that this process drives, and decides what a signal does to the run.

    Attributes:
        before_last: Where a branch that the command suggests after the run would begin: just before the last visit that
            ended. The number is that of the step which ended the visit before the last one. The text is the first field
            that this step wrote, or "" if it wrote none.
    """

    def __init__(self, job: DriveJob, stopper: Stopper, runner: Runner, run: Run[Any]) -> None:
        self._job = job
        self._stopper = stopper
        self._runner = runner
        self._run = run
        self._progress = Progress(job.context.err, is_live=not job.context.json)
        self._is_begun = False
        self.before_last = self._last = (0, "")

    @property
    def snapshot(self) -> Snapshot:
        """The state of the run after the last step that was shown."""
        return self._progress.visits.snapshot

    async def show(self, events: asyncio.Queue[Event | None]) -> None:
        """Show the events of the run for as long as this process drives the run."""
        await life_of(self._run).until("begun")  # if the run never begins, awaiting its result raises the reason
        async with self._progress.ticking():
            await self._show(events)

    async def _show(self, events: asyncio.Queue[Event | None]) -> None:
        while True:
            until = await self._asleep_until() if events.empty() else None
            if until is not None and events.empty():  # no event has arrived during the await above
                self._begin_once()
                self._stopper.action = _LEAVING
                self._progress.sleeps(when(until))
            event = await events.get()
            if event is None:
                self._progress.idles()
                return
            self._stopper.action = _STOPPING
            self._begin_once()  # the first event shows that this process has recorded a step of the run
            await self._catch_up(event)
            self._progress.show(event)
            if isinstance(event, StepRecorded) and event.step.kind in ("started", "branched", "node"):
                # The suggested `branch --set` has no --path, so it can only set fields of the run's own state.
                is_whole = event.step.update and event.step.frame == ROOT
                written = event.step.update[0][1] if is_whole else ""
                self.before_last, self._last = self._last, (event.seq, written)

    async def _catch_up(self, event: Event) -> None:
        """Load the state that the run had before an event, if this process has not followed the run until then.

        This is the case for the first event of a run that is resumed.
        """
        if not isinstance(event, StepRecorded) or event.seq == self.snapshot.seq + 1:
            return
        before = self._job.snapshot
        if before is None or (before.run_id, before.seq) != (self._run.id, event.seq - 1):
            before = await load_snapshot(self._runner.store, self._run.id, event.seq - 1)
        self._progress.continues(Visits(before, keeps=False))

    def _begin_once(self) -> None:
        if self._is_begun:
            return
        self._is_begun = True
        run_id = self._run.id
        resume = self._job.resume_command(run_id, *self._job.graph_words)
        safe = Interrupted(_SAFE, where=f"run {run_id}", repair=resume)
        self._stopper.last_words = last_words(self._job.context, safe)
        self._job.announce(run_id)
        self._stopper.drives(self._stop)

    async def _asleep_until(self) -> float | None:
        """Return the time at which a sleeping run wakes up, if this command waits for that; otherwise None.

        The result is also None if a part of the run waits for something else, such as an answer.
        """
        if not self._job.sleeps or not life_of(self._run).claim.may("sleep"):
            return None
        waits = await self._runner.waits(self._run.id)
        dues = [wait.due_at for wait in waits if wait.due_at is not None and wait.kind == "sleep"]
        return min(dues) if dues and len(dues) == len(waits) else None

    async def _stop(self) -> None:
        """Stop or release the run after a signal.

        Ctrl-C stops the run after the node in flight. SIGTERM releases the run, so that another process can continue
        it. A run that only waits is released in both cases. If the node in flight takes too long after SIGTERM, the
        node is cancelled.
        """
        is_driven, store = self._run.id in lives_of(self._runner).shared.driven, self._runner.store
        is_waiting = not is_driven and (await store.info(self._run.id)).status == "waiting"
        if is_waiting or self._stopper.asked_by == "SIGTERM":
            cutting = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._cut)
            await self._runner.release(self._run.id)
            cutting.cancel()
        else:
            await self._runner.stop(self._run.id)

    def _cut(self) -> None:
        self._cutting = asyncio.get_running_loop().create_task(self._runner.release(self._run.id, now=True))


class Stopper:
    """Stops the runs that a command drives when a signal arrives.

    The first signal stops the runs cleanly. A second Ctrl-C ends the process at once. Other further signals request the
    stop again.

    A command that works until it is stopped, such as a worker, calls `opens` first, and `drives` when everything is
    open. A signal in between cancels the asyncio task that opens, because opening can take long: a database can be
    locked, far away, or be migrated.

    The handlers are Python's, not the event loop's, so that a second Ctrl-C works while a node blocks the loop. They
    only use `os.write`, because they can interrupt any other write. A socket wakes the event loop, because of this
    race:

    1. The loop is about to wait.
    2. A signal arrives. Its handler runs as soon as Python code continues.
    3. Without the socket, the loop would wait until something else happens.

    Attributes:
        action: What the command does after the first signal, for the message to the user.
        last_words: The texts to write before the process ends at once, each with its file descriptor.
        wipes: Whether to erase a transient line on the terminal before writing.
        line_of: Converts a message to a line of the JSON log; None if stderr is text.
        asked_by: The signal that requested the stop; "" before a signal arrives.
    """

    def __init__(self, line_of: Callable[[str], str] | None = None) -> None:
        self.line_of = line_of
        self.action = _STOPPING
        self.wipes = False
        self.last_words: Sequence[tuple[int, str]] = ()
        self._before: dict[int, Any] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waking: tuple[socket.socket, socket.socket] | None = None
        self._opening: asyncio.Task[Any] | None = None
        self._stop_it: Callable[[], Coroutine[Any, Any, None]] | None = None
        self.asked_by = ""
        self._stopping: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._take_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._waking is not None:
            signal.set_wakeup_fd(-1)
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(self._waking[0])
            for each in self._waking:
                each.close()

    def opens(self) -> None:
        """Let a signal cancel the current asyncio task, which opens the database, until `drives` is called.

        Opening can take long, for example because the database is locked.
        """
        self._join_loop()
        self._opening = asyncio.current_task()
        if self.asked_by:
            self._stop()

    def drives(self, stop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Set the function that a signal calls to stop the driven runs.

        The command calls this when the runs are recorded, or when everything is open. If a signal has already arrived,
        the function is called at once.
        """
        self._join_loop()
        self._opening, self._stop_it = None, stop
        if self.asked_by:
            self._stop()

    def _join_loop(self) -> None:
        """Let signals wake up the current event loop, through a socket. The docstring of the class explains why."""
        self._loop = asyncio.get_running_loop()
        if self._before and self._waking is None:
            self._waking = reader, writer = socket.socketpair()
            for each in self._waking:
                each.settimeout(0)
            with suppress(NotImplementedError):  # not on Windows, where the loop wakes by itself
                self._loop.add_reader(reader, reader.recv, 1 << 12)
                signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

    def over(self) -> None:
        """Remove the function that stops the runs, because no run is left to stop."""
        self._stop_it = None

    def _take_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        was_asked, self.asked_by = self.asked_by, self.asked_by or ("SIGTERM" if number == signal.SIGTERM else "Ctrl-C")
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed, so the command has ended
                # Request the stop before the message is written, because its reader may react at once.
                self._loop.call_soon_threadsafe(self._stop)
        if not was_asked:
            again = "Ctrl-C (SIGINT) ends at once" if number == signal.SIGTERM else "Ctrl-C again ends at once"
            wipe = WIPE if self.wipes else ""
            text = f"{'SIGTERM: ' if number == signal.SIGTERM else ''}{self.action}; {again}"
            _say(2, self.line_of(text) if self.line_of is not None else f"{wipe}{text}\n")
        elif number == signal.SIGINT:
            for descriptor, text in self.last_words:
                _say(descriptor, (WIPE if self.wipes else "") + text)
            os._exit(Exit.INTERRUPTED)

    def _stop(self) -> None:
        if self._opening is not None:
            # Forget the task, so that another signal does not interrupt its cleanup.
            opening, self._opening = self._opening, None
            opening.cancel()
        elif self._stop_it is not None and (self._stopping is None or self._stopping.done()):
            self._stopping = asyncio.get_running_loop().create_task(self._stop_it(), name="graphengine stop")


def _say(descriptor: int, text: str) -> None:
    with suppress(OSError):
        os.write(descriptor, text.encode())
