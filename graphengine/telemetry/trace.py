"""Make spans and metrics of the recorded steps of a run.

A process exports the spans of the steps that it records: each span once, when the step that ends it is durable. The ids
of spans are computed from positions in the run (see `place.py`). A run that continues in another process therefore
continues its trace, and a span can be the parent of other spans before it is exported itself.

The spans of a trace:

    run                       the root; exported by the process in which the run first ends
      visit                   of a node; only if it has several attempts
        attempt               of a node; the visits inside a map or nested graph are below it
          invoke_agent        the calls of one agent
            chat, execute_tool
          step                a recorded call of the node's own code
          wait                a question, a message or a sleep
"""

from __future__ import annotations

import logging
import os
from math import inf
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as contexts
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from graphengine.agents.asked import turn_of
from graphengine.agents.model_routing import agents_in
from graphengine.errors import StoreError
from graphengine.kernel.extension import Extension, Follower, spent_since
from graphengine.kernel.inside import WorkKey, copy_of, without_items
from graphengine.kernel.reader import (
    OVER,
    AttemptEnded,
    Branched,
    Collecting,
    Ended,
    Forked,
    Inside,
    Joined,
    Leaving,
    Recorded,
    Resumed,
    Started,
    Waiting,
    show,
    usage_of,
)
from graphengine.records.account import account_of
from graphengine.records.visits import Visits, load_visits
from graphengine.telemetry import names, spans
from graphengine.telemetry.metrics import Metrics
from graphengine.telemetry.place import AttemptPlace, Ids, see_resumes
from graphengine.telemetry.work import definitions, describe_around, describe_work, model_attributes, spent_attributes
from graphengine.wings import HasGauges

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Mapping, Sequence

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, SpanContext, TracerProvider
    from opentelemetry.util.types import AttributeValue

    from graphengine.kernel.extension import OpenRun, Plan
    from graphengine.kernel.reader import FailureRecord, Frame, GraphSpec, Snapshot, Step
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.records.visit_tree import Entry, Milestone, Visit, WaitTime
    from graphengine.telemetry.work import Described

log = logging.getLogger("graphengine.telemetry")

_PAGE: Final = 256
_CUT: Final = "the trace of run %s ends at step %d"
"""How many steps to read at a time."""
_CONTENT: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The environment variable that makes instrumentations of model clients include messages."""


class Telemetry(Extension):
    """Makes spans and metrics of the runs of a Runner: `Runner(telemetry=Telemetry())`.

    `Telemetry` computes the ids of traces and spans from the id of the run and from their place in the run. A process
    that resumes a run therefore continues the same trace. Sampling by the trace id also gives the same decision in all
    processes.

    If a run is resumed after it failed or was stopped, `Telemetry` adds another span `invoke_workflow` to the trace,
    below the first one. The span of a failed attempt has the status ERROR, the attribute `error.type`, and an event
    `exception`.

    Args:
        tracer_provider: The provider of spans, of opentelemetry-sdk; the global one if not given.
        meter_provider: The provider of metrics; the global one if not given.
        content: Whether to include what models and tools were given and returned, questions, and the messages and
            tracebacks of errors. By default only if OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is `true`.

    Example:
        >>> from opentelemetry.sdk.trace import TracerProvider
        >>> from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        >>> from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        >>> provider, exporter = TracerProvider(), InMemorySpanExporter()
        >>> provider.add_span_processor(SimpleSpanProcessor(exporter))
        >>> async def main() -> None:
        ...     async with Runner(telemetry=Telemetry(tracer_provider=provider)) as runner:
        ...         await runner.start(count).result()
        >>> asyncio.run(main())
        >>> [span.name for span in exporter.get_finished_spans()]
        ['more', 'more', 'more', 'invoke_workflow count']
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        content: bool | None = None,
    ) -> None:
        self._provider = tracer_provider
        self.metrics = Metrics(meter_provider)
        self.specs: dict[str, GraphSpec] = {}
        self.tools: dict[tuple[str, str], str] = {}
        self.content = os.environ.get(_CONTENT, "").lower() == "true" if content is None else content

    def checked(self, plan: Plan[Any], *, is_queued: bool) -> None:  # noqa: ARG002 - of the extension
        """Remember the prompts and tools of a graph's agents, which the spans of model calls then contain.

        This is done only if the spans include the content of model calls.
        """
        if self.content:
            self.specs[plan.fingerprint] = plan.graph_spec
            found = ((agent.name, definitions(agent.tools)) for agent in agents_in(plan))
            self.tools |= {(plan.fingerprint, name): tools for name, tools in found if tools}

    async def opened(self, run: OpenRun) -> RunTrace:
        """Return the object that makes spans and metrics from the steps of a run that this process begins to drive."""
        store, snapshot, info, parent, caller = run[:5]
        tracer = spans.Tracer(self._provider)
        links = [] if caller is None else [Link(found) for found in (caller.run(spans.current),) if found.is_valid]
        parent = parent if info is None else info.parent
        if parent is not None:
            try:
                ids = Ids.of(parent, (await store.info(parent)).created_at)
            except StoreError:  # it was removed
                pass
            else:
                links.append(Link(spans.context_of(ids.trace, ids.run), {names.PARENT: parent}))
        start = copy_of(snapshot) if snapshot.seq else None
        trace = RunTrace(self, store, tracer, Visits(start, keeps=False), caller)
        if info is None:
            trace.links = links
        else:
            await trace.resume(info, links)
        return trace

    async def polled(self, store: Store) -> None:
        """Measure how many runs are in queues."""
        self.metrics.queues(await store.queue_counts())

    def beside(self, extensions: Sequence[Extension]) -> Sequence[Extension]:
        """Return an extension that reports the numbers of other extensions, such as budgets, if they have any."""
        found = [each for each in extensions if isinstance(each, HasGauges)]
        return [_Gauges(self.metrics, found)] if found else ()


class _Gauges(Extension):
    def __init__(self, metrics: Metrics, extensions: Sequence[HasGauges]) -> None:
        self._metrics, self._extensions = metrics, extensions

    async def polled(self, store: Store) -> None:
        for each in self._extensions:
            self._metrics.show(await each.gauges(store))


class RunTrace(Follower):
    """Makes spans and metrics from the steps of one run, while this process drives the run.

    An error in this class is logged and ends the trace. The run is not affected.

    Attributes:
        links: The links from the run's span to other spans.
        labels: Contains the run's `trace_id` as 32 hexadecimal digits. It is empty if no spans are made.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        store: Store,
        tracer: spans.Tracer,
        visits: Visits,
        caller: contextvars.Context | None,
    ) -> None:
        self._telemetry = telemetry
        self._store = store
        self._metrics = telemetry.metrics
        self._tracer = tracer
        self._visits = visits
        self._caller = caller
        self._is_whole = not visits.snapshot.seq  # knows all steps of the run
        self._is_broken = False
        self._early: dict[int, Step] = {}
        self._root: Span | None = None
        self._context: SpanContext | None = None
        self._name = ""  # of the run's span
        self._graph: dict[str, AttributeValue] = {}
        self._run: dict[str, AttributeValue] = {}
        self._ids = Ids()
        self.links: Sequence[Link] = ()

    def begin(self, run_id: str, graph: str, created_at: float, links: Sequence[Link]) -> None:
        """Begin the span of the run, which is the root of the run's trace.

        Each process that drives the run begins this span, but only the process that ends the span exports it.
        """
        self._ids = Ids.of(run_id, created_at)
        self._name = f"invoke_workflow {graph}"
        self._graph = {names.GRAPH: graph}
        self._run = {names.RUN: run_id, names.CONVERSATION: run_id}
        attributes = {**self._run, **self._graph, names.OPERATION: "invoke_workflow", names.AGENT: graph}
        ids = self._ids.trace, self._ids.run
        root = self._tracer.start(self._name, ids, contexts.Context(), created_at, attributes, links=links)
        if root.get_span_context().is_valid:
            self._root, self._context = root, root.get_span_context()
            self.labels = {"trace_id": f"{self._ids.trace:032x}"}

    async def resume(self, info: RunInfo, links: Sequence[Link]) -> None:
        """Continue the trace of a run that already has recorded steps, for example because it is resumed.

        This begins the span of the run. The log of the run is read, because the ids of later spans depend on it.
        """
        try:
            self.begin(info.id, info.graph, info.created_at, links)
            await self._catch_up()
        except Exception:
            self._stop()
            log.exception(_CUT, info.id, info.seq)

    def _stop(self) -> None:
        self._is_broken = True
        self._early.clear()

    async def _catch_up(self) -> None:
        """Read from the run's log which resumes the attempts in progress have gone through.

        The ids of the attempts' spans depend on these resumes. The log is read back to the time at which the oldest
        open attempt began.
        """
        snapshot = self._visits.snapshot
        open_frames = [f for f in snapshot.frames.values() if not isinstance(f.phase, (Ended, Forked, Leaving))]
        since = min((frame.arrived for frame in open_frames), default=inf)
        steps: list[Step] = []
        upto, first = snapshot.seq, 0
        while upto > first and since < inf:
            part = await self._store.steps(snapshot.run_id, max(0, upto - _PAGE), upto)
            begin_seqs = [step.seq for step in part if isinstance(step.data, (Started, Branched))]
            first = begin_seqs[-1] if begin_seqs else 0
            steps[:0] = [step for step in part if step.seq >= first]
            upto = max(0, upto - _PAGE)
            if part and part[0].at < since:
                break
        see_resumes(self._ids, steps)

    def entered(self, frame: Frame) -> None:
        """Make the span of this attempt the current span, so that spans of other libraries become its children."""
        if self._context is not None:
            spans.enter(self._context, self._ids.attempt(frame))

    def recorded(self, steps: Sequence[Step]) -> None:
        """Export the spans that end with some steps, which this process has just recorded.

        Nodes that run in parallel record their steps in parallel. A step that arrives early is kept until the steps
        before it have arrived.
        """
        if self._is_broken:
            return  # the steps of a long run would be kept for nothing
        self._early |= {step.seq: step for step in steps}
        while (step := self._early.pop(self._visits.snapshot.seq + 1, None)) is not None:
            try:
                self._see(step)
            except Exception:
                self._stop()
                log.exception(_CUT, self._run.get(names.RUN), step.seq)

    def _see(self, step: Step) -> None:
        self._begins(step)
        before = self._before(step)
        waiting = [(place, wait) for place, visit in before for wait in visit.waiting]
        entry = self._visits.feed(step)
        self._metrics.steps.add(1, {**self._graph, names.KIND: step.kind})
        for place, wait in waiting:
            if wait.until is not None:
                self._wait(place, wait, wait.until)
        self._ends(entry, before)
        for place, visit in before:
            if place.frame != step.frame and visit.status == "dropped" and visit.ended == step.at:
                self._export_interrupted(place, visit, step.at, "dropped")
        if not isinstance(step.data, Recorded) and usage_of(step):
            self._metrics.spent(usage_of(step), self._graph)

    def _begins(self, step: Step) -> None:
        """Handle a step that starts, branches or resumes the run.

        A start or a branch begins the span of the run. A resume is remembered, because the ids of later spans depend on
        it.
        """
        facts, snapshot = step.data, self._visits.snapshot
        if isinstance(facts, (Started, Branched)) and not self._run:
            graph = facts.graph if isinstance(facts, Started) else snapshot.graph
            self.begin(facts.run_id, graph, step.at, self.links)
        if isinstance(facts, (Started, Branched, Resumed)):
            self._link_caller(step)
        if isinstance(facts, Resumed):
            self._note_resumed(step, facts, snapshot)

    def _ends(self, entry: Entry, before: Sequence[tuple[AttemptPlace, Visit]]) -> None:
        """Export the spans that end with a step: the span of a recorded call, or of an attempt.

        Args:
            entry: The step, with its place in the run's history.
            before: The attempts that were in progress before the step.
        """
        step, facts = entry.step, entry.step.data
        if isinstance(facts, Recorded):
            self._work(before[0][0], entry, facts)
        elif isinstance(facts, AttemptEnded) and step.node:
            self._attempt(before[0][0], entry)
        elif isinstance(facts, AttemptEnded):  # a graph failed, at a limit; arms in it may continue after a resume
            for place, visit in before[:1]:
                if place.frame == step.frame and place.is_under_way:
                    self._export_interrupted(place, visit, step.at, "failed")
        elif isinstance(facts, Waiting):
            for wait in facts.waits.values():
                self._metrics.waits.add(1, {**self._graph, names.KIND: wait.kind})

    def _before(self, step: Step) -> list[tuple[AttemptPlace, Visit]]:
        """Return the attempts that may end with a step, before the step is applied.

        These are the attempt of the step's own node, and the attempts inside its map, graph or fork.
        """
        frames, live = self._visits.snapshot.frames, self._visits.live
        found: list[tuple[AttemptPlace, Visit]] = []
        left = [step.frame] if step.frame in frames else []
        while left:
            frame = frames[left.pop()]
            visit = live[frame.id].visit
            if visit is not None and (frame.id == step.frame or frame.failing is None):
                found.append((AttemptPlace.of(frame, self._ids), visit))
            if isinstance(step.data, (Joined, AttemptEnded)):
                left += [key for key in frame.children if key in frames]
        return found

    def _note_resumed(self, step: Step, facts: Resumed, snapshot: Snapshot) -> None:
        """Remember which attempts continue after a resume that was just recorded, because their spans get new ids.

        When the run stopped or failed, the first spans of these attempts ended.

        `see_resumes` does the same for steps that another process has recorded.
        """
        if snapshot.status in OVER:
            self._ids.resumes.append((step.at, step.seq))
        elif facts.retries:
            for frame in snapshot.frames.values():
                continues = frame.failing is not None and isinstance(frame.phase, (Collecting, Inside))
                if continues and not frame.is_settled(facts.settled):
                    self._ids.retried[frame.id, frame.at, frame.visit, frame.attempt] = step.seq

    def _link_caller(self, step: Step) -> None:
        """Export a span in the trace of the program that started or resumed the run, with a link to the run's span.

        In a trace viewer, a person can then go from the trace of the program to the trace of the run.
        """
        caller, self._caller = self._caller, None
        if caller is None or self._context is None or not caller.run(spans.current).is_valid:
            return
        verb = {"started": "start", "branched": "branch", "resumed": "resume"}[step.kind]
        name = self._name.replace("invoke_workflow", verb, 1)
        around = caller.run(contexts.get_current)
        links = [Link(self._context)]
        attributes = {**self._run, **self._graph}
        span = self._tracer.start(name, None, around, step.at, attributes, kind=SpanKind.PRODUCER, links=links)
        span.end(spans.nanoseconds(step.at))

    # What ended.

    def _attempt(self, place: AttemptPlace, entry: Entry) -> None:
        """Export the span of an attempt that has ended.

        If its visit had several attempts, the visit gets a span, too.
        """
        step, account = entry.step, account_of(entry, "")
        outcome = "failed" if account.kind == "failed" else "done"
        if account.kind == "attempt":
            outcome = "replaced" if account.is_replaced else "retried"
        failure = None if account.is_fallback else step.data.error
        of: dict[str, AttributeValue] = {**self._graph, names.NODE: without_items(place.path), names.OUTCOME: outcome}
        more: dict[str, AttributeValue] = {names.SEQ: step.seq, **spent_attributes(account.usage)}
        if account.is_fallback:
            more[names.FALLBACK] = True
        if failure is not None:
            of[names.ERROR] = failure.kind
        began = entry.began or place.arrived
        self._metrics.node_seconds.record(max(0.0, step.at - began) if entry.took is None else entry.took, of)
        is_split = bool(place.recorded_results or (entry.visit is not None and entry.visit.waits))
        self._end(
            place, entry.visit, (min(began, place.arrived) if is_split else began, step.at), outcome, more, failure
        )

    def _export_interrupted(self, place: AttemptPlace, visit: Visit, at: float, outcome: str) -> None:
        """Export the span of an attempt that did not end itself: it was cancelled, or the run has ended around it."""
        self._end(place, visit, (min(place.arrived, at), at), outcome, {}, None)

    def _end(  # noqa: PLR0913 - what a span ends with
        self,
        place: AttemptPlace,
        visit: Visit | None,
        times: tuple[float, float],
        outcome: str,
        more: Mapping[str, AttributeValue],
        failure: FailureRecord | None,
    ) -> None:
        if self._root is None or not self._root.is_recording():
            return
        name = without_items(place.path) + (" item" if place.is_item else "")
        of = {**self._run, **self._graph, names.NODE: place.node, names.PATH: place.path, names.VISIT: place.visit}
        span_id, around = place.span(self._ids), place.around
        is_last = outcome not in _CONTINUES
        is_alone = outcome not in ("retried", "replaced") and place.attempt == place.first
        attributes = {**of, names.ATTEMPT: place.attempt, names.OUTCOME: outcome, **more}
        self._around_work(place, visit, times[1])
        self._export(
            name if is_alone else f"{name} attempt",
            (span_id, around if is_alone else place.visit_span(self._ids)),
            times,
            attributes,
            failure=failure,
        )
        if is_last and not is_alone:
            began = min(visit.began, times[0]) if visit is not None else times[0]
            attributes = {**of, names.OUTCOME: outcome}
            ids = place.visit_span(self._ids), around
            self._export(name, ids, (began, times[1]), attributes, error=failure.kind if failure is not None else "")

    def _work(self, place: AttemptPlace, entry: Entry, facts: Recorded) -> None:
        """Export the span of a recorded call, such as a model call or a tool call."""
        telemetry, snapshot = self._telemetry, self._visits.snapshot
        step, account = entry.step, account_of(entry, "")
        turn = turn_of(step, snapshot) if telemetry.content else None
        piece = describe_work(account, facts, place.recorded_results, content=telemetry.content, turn=turn)
        tools = telemetry.tools.get((snapshot.fingerprint, str(piece.attributes.get(names.AGENT))))
        if account.agent and tools is not None:
            piece.attributes[names.TOOLS] = tools
        if piece.attributes.get(names.OPERATION) is not None:
            of: dict[str, AttributeValue] = {
                name: piece.attributes[name] for name in _OF_CALLS if name in piece.attributes
            }
            if piece.error:
                of[names.ERROR] = piece.error
            self._metrics.calls.record(max(0.0, step.at - step.began), {**self._graph, **of})
        if account.usage:
            asked = model_attributes(account.model) if account.agent else {}
            self._metrics.spent(account.usage, {**self._graph, **asked})
        self._piece(place, facts.key, piece, (step.began, step.at), {names.SEQ: step.seq})

    def _around_work(self, place: AttemptPlace, visit: Visit | None, end: float) -> None:
        """Export the spans that contain the spans of several calls in an attempt, such as the span of an agent's call.

        A call can contain other calls and also be recorded itself. It then gets its span when its own record is
        exported.
        """
        entries = visit.entries if visit is not None else ()
        steps = [each.step for each in entries if each.step.attempt == place.attempt]
        times = {key: (memo.at, memo.at) for key, memo in place.recorded_results.items() if memo.at >= place.arrived}
        times |= {step.data.key: (step.began, step.at) for step in steps if isinstance(step.data, Recorded)}
        around: dict[str, tuple[float, float]] = {}
        for key, (began, ended) in times.items():
            outer = WorkKey.read(key).around
            while outer:
                first, last = around.get(outer, (began, ended))
                around[outer] = min(first, began), max(last, ended)
                outer = WorkKey.read(outer).around
        for key, (began, ended) in around.items():
            if key not in place.recorded_results:
                self._piece(place, key, describe_around(key), (began, min(ended, end)), {})

    def _piece(
        self,
        place: AttemptPlace,
        key: str,
        piece: Described,
        times: tuple[float, float],
        more: Mapping[str, AttributeValue],
    ) -> None:
        ids = place.work_span(self._ids, key), place.work_span(self._ids, WorkKey.read(key).around)
        of = {**self._run, names.PATH: place.path, names.ATTEMPT: place.attempt, **piece.attributes, **more}
        self._export(piece.name, ids, times, of, kind=piece.kind, error=piece.error)

    def _wait(self, place: AttemptPlace, wait: WaitTime, until: float) -> None:
        """Export the span of a wait that has ended, such as a wait for an answer, and record how long it took."""
        of: dict[str, AttributeValue] = {**self._graph, names.KIND: wait.kind, names.ENDED_BY: wait.by or "other"}
        self._metrics.wait_seconds.record(max(0.0, until - wait.since), of)
        attributes = {**self._run, **of, names.PATH: place.path, names.WAIT: wait.name}
        if self._telemetry.content:
            attributes[names.QUESTION] = wait.question
        wait_id = place.waits.get(wait.name, wait.name)
        ids = self._ids.span("wait", place.key, place.attempt, wait_id, float(wait.since)), place.span(self._ids)
        self._export(f"wait {wait.kind}", ids, (wait.since, until), attributes)

    def _export(  # noqa: PLR0913 - what a span has
        self,
        name: str,
        ids: tuple[int, int],
        times: tuple[float, float],
        attributes: Mapping[str, AttributeValue],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        failure: FailureRecord | None = None,
        error: str = "",
    ) -> None:
        """Export a span of the run's trace that has ended.

        Args:
            name: The name of the span.
            ids: The id of the span, and the id of its parent.
            times: When the span began and ended, in epoch seconds.
            attributes: The attributes of the span.
            kind: The kind of the span.
            failure: The failure that ended the span, if there was one.
            error: The kind of the error, if there is no failure record; "" for no error.
        """
        if self._root is None or self._context is None or not self._root.is_recording():
            return
        around = spans.below(self._context, ids[1])
        span = self._tracer.start(name, (self._ids.trace, ids[0]), around, times[0], attributes, kind=kind)
        self._mark(span, failure, error, times[1])
        span.end(spans.nanoseconds(max(times)))

    def _mark(self, span: Span, failure: FailureRecord | None, error: str, at: float) -> None:
        """Mark a span as failed if what it describes has ended with an error.

        The error's message is only included if the content of calls is included, because the message may quote a
        prompt.
        """
        if failure is not None:
            event: dict[str, AttributeValue] = {names.EXCEPTION: failure.kind}
            if self._telemetry.content:
                event |= {names.EXCEPTION_MESSAGE: show(failure.message), names.STACKTRACE: failure.traceback}
            span.add_event("exception", event, spans.nanoseconds(at))
            error = failure.kind
        if error:
            span.set_attribute(names.ERROR, error)
            span.set_status(Status(StatusCode.ERROR, error))

    # The run.

    async def left(self) -> None:
        """Export the span of the run if the run is over. Called when this process stops driving the run."""
        snapshot = self._visits.snapshot
        if self._is_broken or snapshot.status not in OVER:
            return
        try:
            turns = await self._turns()
            self._end_run(snapshot, turns)
        except Exception:
            log.exception("the span of run %s was not exported", snapshot.run_id)

    async def _turns(self) -> Sequence[Milestone]:
        """Return when the run began, when it was resumed, and when it stopped.

        If other processes have driven the run too, these times are read from its log.
        """
        is_traced = self._root is not None and self._root.is_recording()
        visits = (
            self._visits
            if self._is_whole or not is_traced
            else await load_visits(self._store, self._visits.snapshot.run_id)
        )
        begin_turns = [n for n, turn in enumerate(visits.turns) if turn.kind in ("started", "branched")]
        return visits.turns[begin_turns[-1] if begin_turns else 0 :]

    def _end_run(self, snapshot: Snapshot, turns: Sequence[Milestone]) -> None:
        of = {**self._graph, names.STATUS: snapshot.status}
        self._metrics.runs.add(1, of)
        self._metrics.run_seconds.record(snapshot.elapsed_seconds, of)
        if self._root is None or not self._root.is_recording():
            return
        for frame in snapshot.frames.values():
            visit = self._visits.live[frame.id].visit
            if visit is not None and visit.status == "open" and frame.failing is None and frame.arrived <= snapshot.now:
                place = AttemptPlace.of(frame, self._ids)
                if place.is_under_way:
                    self._export_interrupted(place, visit, snapshot.now, "cut_off")
        more: dict[str, AttributeValue] = {
            **of,
            names.STEPS: snapshot.steps,
            names.SECONDS: snapshot.elapsed_seconds,
            **spent_attributes(spent_since(snapshot.inherited, snapshot.usage), names.TOTALS),
        }
        if snapshot.ending is not None and snapshot.ending.label:
            more[names.ENDING] = snapshot.ending.label
        again = [turn for turn in turns if turn.kind == "resumed" and turn.status in OVER]
        span = self._root
        if again:  # the root was exported when the run was over for the first time
            ids = self._ids.trace, self._ids.span("run", again[-1].seq)
            around = spans.below(span.get_span_context(), self._ids.run)
            span = self._tracer.start(self._name, ids, around, again[-1].at, self._run)
            turns = [turn for turn in turns if turn.seq > again[-1].seq]
        for turn in turns:
            if turn.kind == "resumed":
                span.add_event("resumed", {"graphengine.crashed": turn.crashed}, spans.nanoseconds(turn.at))
        span.set_attributes(more)
        self._mark(span, snapshot.failure, "", snapshot.now)
        span.end(spans.nanoseconds(snapshot.now))


_CONTINUES: Final = ("retried", "replaced", "cut_off")
"""Outcomes of attempts after which the visit continues, maybe when the run is resumed."""
_OF_CALLS: Final[tuple[str, ...]] = (names.OPERATION, names.PROVIDER, names.REQUEST_MODEL, names.TOOL)
"""The attributes of calls by which their durations are counted."""


__all__ = ["RunTrace", "Telemetry"]
