"""run_node: run one node of a graph alone, without a runner, a store, or the rest of the graph.

The node's task runs as in a run (`graphengine.runner.attempt`), and its result is decided as in a run
(`graphengine.engine.machine`): the same arguments, recorded work, reducers, validation and outgoing edges. Only what
follows is missing: other attempts, the fallback, the next node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from pydantic import BaseModel  # noqa: TC002 - the example of run_node uses it

from graphengine.agents.budget import AgentsOfRun
from graphengine.agents.model_routing import refuse_lacking
from graphengine.agents.replacements import Replacements
from graphengine.errors import InputError
from graphengine.kernel.extension import CURRENT, AttemptFacts, Audience, Sizes, View, compiled
from graphengine.kernel.inside import (
    NO_ANSWER,
    PUBLISH,
    AnswerArrived,
    MessageCame,
    NodeFailed,
    NodeFinished,
    Noted,
    Redactor,
    Session,
    as_record,
    bare,
    checked_effects,
    read_key,
)
from graphengine.kernel.reader import AnswerRecord, Item, Node, Recorded, Refused, show, usage_from, waits_of
from graphengine.runner.answers import Asked as AskedOfUser
from graphengine.runner.answers import check_against
from graphengine.runner.attempt import Attempt
from graphengine.runner.followers import Following
from graphengine.runner.resources import Resources
from graphengine.runner.scope import NodeServices
from graphengine.testing.clock import FakeClock
from graphengine.testing.done import (
    Done,
    RecordedCall,
    edge_of,
    error_of,
    facts,
    typed_values,
    update_of,
    with_notes,
    written_by_item,
)
from graphengine.testing.stage import NO_ITEM, Given, Stage, staged
from graphengine.testing.watched_models import WatchedModels
from graphengine.worker.children import ChildRuns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.agents.model_routing import GivenModels
    from graphengine.api.graph import Graph
    from graphengine.engine.events import Event
    from graphengine.engine.snapshot import Task
    from graphengine.kernel.extension import Clock, Effects, JsonValue
    from graphengine.kernel.reader import Decided, WaitRecord
    from graphengine.runner.result import PastRun

S = TypeVar("S")


async def run_node(  # noqa: PLR0913 - a node's possible inputs
    graph: Graph[S],
    node: str,
    state: S | BaseModel | Mapping[str, object] | None = None,
    *,
    item: object = NO_ITEM,
    models: GivenModels | None = None,
    resources: Mapping[str, object] | None = None,
    answers: Mapping[str, object] | Sequence[object] | None = None,
    messages: Mapping[str, Sequence[object]] | None = None,
    recorded: Mapping[str, JsonValue] | None = None,
    clock: Clock | None = None,
    check: bool = True,
    effects: Effects | None = None,
) -> Done[S]:
    """Run one node alone, and return its result.

    Only its first attempt runs: if that fails, its exception is raised, with notes on the state, the last prompt and
    what a run would do next; an update that does not fit raises the error that a run would record. The items of a map,
    and the nodes of a nested graph, have their retries and fallbacks, and no time passes. A node with `on=` runs in
    place, in this process, with a whole Context; its executor is not needed.

    Args:
        graph: The graph.
        node: The node's name; `article/review` for one of a nested graph, whose fields are then meant.
        state: The state, or a mapping of some of its fields. Fields that the node does not read can be omitted.
        item: One item, for a node with `each`; a mapping by name if an item has several parts. By default all items
            run, one after the other.
        models: A model, or its name, that replaces every agent's model; or models by agent or path, as
            `Runner(models=…)` takes them.
        resources: Resources by name, in place of the graph's own.
        answers: Answers of people: by the name of the wait (the node's path, unless `ctx.ask(name=…)` gives another),
            or in the order of the questions. `NO_ANSWER` lets the time pass. Without any, a node that asks returns
            what it waits for.
        messages: Messages that were sent to the run, by topic.
        recorded: Work that was recorded already and is not done again, by its key in a log.
        clock: The clock; by default a `FakeClock`, so that sleeping takes no time.
        check: Whether a node fails if it mutates its input.
        effects: What is called in place of what acts outside the run, by the keys of `Runner(effects=…)`: names of
            functions and tools, paths of nodes; or `"act"` to let it act. By default effects are refused.

    Raises:
        InputError: There is no such node; a field that it reads is missing, unknown or does not fit; an answer is
            missing or invalid.
        CompileError: The graph cannot run. The node's own exceptions are raised too.

    Example:
        >>> from graphengine import END, START, Graph
        >>> class Count(BaseModel):
        ...     n: int = 0
        >>> async def more(n: int) -> int:
        ...     return n + 1
        >>> graph = Graph("count", Count)
        >>> graph.add_node("more", more, writes="n")
        >>> graph.add_path(START, "more", END)
        >>> done = asyncio.run(run_node(graph, "more", {"n": 2}))
        >>> done.update, done.edge.to
        ({'n': 3}, ('END',))
    """
    clock = clock or FakeClock()
    stage = staged(compiled(graph), node, Given({} if state is None else state, item, clock.now()))
    acts = checked_effects({} if effects is None else effects, "run_node")
    alone = _Alone(stage, clock, WatchedModels(models), answers, messages or {}, check=check, effects=acts)
    try:
        alone.known = recorded or {}
        return await alone.run(Resources(resources or {}))
    finally:
        await alone.close()


class _Alone:
    """Drives a node that runs alone, and is the host of its context."""

    def __init__(  # noqa: PLR0913 - the arguments of run_node
        self,
        stage: Stage,
        clock: Clock,
        models: WatchedModels,
        answers: Mapping[str, object] | Sequence[object] | None,
        messages: Mapping[str, Sequence[object]],
        *,
        check: bool,
        effects: Effects,
    ) -> None:
        self._effects: Effects = effects
        self._stage, self._clock, self._models = stage, clock, models
        # No observer, also while edge coverage is recorded: no run takes the edge.
        self._session = Session(stage.plan, stage.snapshot, sizes=Sizes(), checks=check, observer=None)
        self._moves = clock if isinstance(clock, FakeClock) and clock.jumps else None
        self._answers = _Answers(answers)
        self._topics = messages
        self._task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._raised: dict[str, BaseException] = {}
        self.audience = Audience()
        self._threads = ThreadPoolExecutor(thread_name_prefix="graphengine-node")
        self._resources: Resources | None = None
        self.work: list[RecordedCall] = []
        self.published: list[tuple[str, Any]] = []
        self.shown: list[object] = []
        self.known: Mapping[str, JsonValue] = {}
        self.returned: object = None

    async def run(self, resources: Resources) -> Done[Any]:
        """Run it until it ends or waits."""
        stage = self._stage
        self._resources = resources
        self._check_names(resources)
        services = NodeServices(
            run=self._session,
            run_id=stage.snapshot.run_id,
            host=self,
            guard=Redactor(stage.plan, stage.snapshot) if stage.plan.secret else None,
            resources=await resources.of_nest(stage.plan),
            following=Following([AgentsOfRun(self._models, None, stage.snapshot)]),
            threads=self._threads,
            now=self._clock.now,
            wall=self._clock.now,
            past=_no_runs,
            children=ChildRuns(),
            effects=self._effects,
        )
        for topic, payloads in self._topics.items():
            for payload in payloads:
                record = as_record(payload, f"the message for {topic}", marks=True)
                self._decide(MessageCame(self._clock.now(), topic, record))
        frame = stage.frame
        for key, value in self.known.items():
            now, name = self._clock.now(), read_key(key).name
            self._decide(Noted(frame.attempt_id, now, now, Recorded(key=key, name=name, value=value), 0))
        outer = CURRENT.set(CURRENT.get())
        try:
            step = await self._to_the_end(services)
        finally:
            CURRENT.reset(outer)
        return self._result_of_wait() if step is None else self._result_of_end(step)

    async def close(self) -> None:
        """Release its resources."""
        self._threads.shutdown(wait=False)
        await self._models.closed()
        if self._resources is not None:
            await self._resources.close()

    def _check_names(self, resources: Resources) -> None:
        """Refuse unknown names of models and resources."""
        try:
            for plan in self._stage.plan.nest:
                resources.check(plan.resources)
            self._models.check_names(self._stage.plan)
            refuse_lacking(self._stage.plan, resources.replaced)
            Replacements(self._effects, resources.replaced).checked(self._stage.plan)
        except InputError as error:
            error.where = error.where.replace("Runner(", "run_node(")
            raise

    async def _to_the_end(self, services: NodeServices) -> Decided | None:
        """Return the step that ends the node's attempt; None if it waits."""
        frame, node = self._stage.frame.id, self._stage.node.name
        step: Decided | None = None
        while step is None or (step.frame, step.node) != (frame, node) or step.kind not in _ENDS:
            wanted = self._session.tasks()
            task = next((task for task in wanted if task.mode != "wake"), None) or self._wakes(wanted)
            if task is None:
                step = self._answer_first()
                if step is None and not self._wakes(wanted):
                    return None
                continue
            if task.due > self._clock.now():
                await self._sleep(task.due)
            attempt = Attempt(task, services)
            attempt.within, attempt.state = self._task, "running"
            event = attempt.moved() or await attempt.run()
            if event is None:
                continue
            if isinstance(event, NodeFailed) and event.error.raised is not None:
                self._raised[attempt.path] = event.error.raised
            if isinstance(event, NodeFinished) and (event.id.frame, event.id.node) == (frame, node):
                self.returned = event.result
            step = self._decide(event)
        return step

    async def _sleep(self, until: float) -> None:
        """Let time pass: there is nothing else to wait for."""
        if self._moves is not None:
            self._moves.move(until - self._moves.now())
        else:
            await self._clock.sleep_until(until)

    def _wakes(self, wanted: Sequence[Task]) -> Task | None:
        """Return the first wait that sleeps, or that times out because it gets no answer."""
        passing = [task for task in wanted if self._passes(self._stage.snapshot.frames[task.frame].waits[task.wait])]
        return min(passing, key=lambda task: task.due, default=None)

    def _passes(self, wait: WaitRecord) -> bool:
        """Return whether the time of a wait passes: for a sleep, and for `NO_ANSWER`."""
        if wait.kind == "receive":
            return wait.topic in self._topics
        return wait.kind == "sleep" or wait.id in self._answers.never

    def _answer_first(self) -> Decided | None:
        """Answer the first open question that has an answer; None if there is none, or its time is to pass."""
        asking = [item for frame in self._stage.snapshot.frames.values() for item in frame.waits.items()]
        for name, wait in asking:
            if wait.kind != "ask" or wait.id in self._answers.never:
                continue
            found = self._answers.take(name, show(wait.question))
            if found is _NO_ANSWERS:
                continue
            if found is NO_ANSWER:
                self._time_out(name, wait)
                return None
            record = as_record(found, f"the answer to {wait.question!r}", marks=True)
            check_against(AskedOfUser(name, wait), record, None)  # the next step reads it
            self.returned = found
            step = self._decide(AnswerArrived(name, wait.id, self._clock.now(), AnswerRecord(record)))
            if isinstance(step.data, Refused):
                text, repair = f"{found!r} is not a valid answer: {step.data.message}", "give one of its type"
                raise InputError(text, where=f"wait {name}", repair=repair)
            return step
        return None

    def _time_out(self, name: str, wait: WaitRecord) -> None:
        """Let the time of an open question pass.

        Raises:
            InputError: It has no timeout.
        """
        if wait.due is None:
            message = f"{wait.question!r} has no timeout"
            raise InputError(message, where=f"wait {name}", repair="answer it, or give it timeout_seconds=…")
        self._answers.never.add(wait.id)

    def _decide(self, event: Event) -> Decided:
        """Decide an event, and fold it, without counting the edge: no run takes it."""
        return self._session.commit([event], lambda _: None).steps[0]

    # The result.

    def _result_of_end(self, step: Decided) -> Done[Any]:
        ended = step.data
        if not isinstance(ended, Node) or ended.fallback:  # an item is a node too
            raise self._failure(step)
        edge, no_edge = edge_of(self._stage, ended) if step.kind == "node" else (None, "")
        stage = self._stage
        view = View(stage.inner.state, stage.frame)
        if isinstance(ended, Item):
            update = written_by_item(ended.writes, typed_values(stage, view))
        else:
            update = update_of(step, view.before, mapped=stage.node.each is not None)
        return self._result(
            update=update,
            sent=[(topic, payload) for topic, payload in ended.sent],
            choice=ended.choice,
            edge=edge,
            no_edge=no_edge,
        )

    def _result_of_wait(self) -> Done[Any]:
        return self._result(update={}, waits=waits_of(self._stage.snapshot))

    def _result(self, **more: Any) -> Done[Any]:  # noqa: ANN401 - fields of Done
        stage, frame = self._stage, self._stage.frame
        holder = frame.up if frame.kind == "item" and frame.up is not None else frame
        return Done(
            path=stage.path,
            state=stage.inner.state.rebuild(holder.values),
            result=self.returned,
            usage=usage_from(stage.snapshot.usage),
            work=self.work,
            published=self.published,
            asked=self._models.asked,
            events=self.shown,
            **more,
        )

    def _failure(self, step: Decided) -> BaseException:
        """Return the exception of a failed node: its own, or that of its invalid update."""
        failure = step.data.error
        if failure is None:
            message = f"step {step.seq} records no failure"
            raise ValueError(message)
        raised = self._raised.get(failure.path)
        error = raised if raised is not None else error_of(failure)
        return with_notes(error, facts(self._stage, step, self._models.asked, self.returned, raised=raised))

    # The interface that the node's context uses: `graphengine.runner.scope.Host`.

    is_halting = False
    wrote_at = 0.0

    async def halted(self) -> None:
        """Wait forever: nothing stops the run."""
        await asyncio.Event().wait()

    def check(self) -> None:
        """Do nothing: there is no store to check."""

    async def check_owned(self) -> None:
        """Do nothing: there is no store that another process could open."""

    async def may_begin(self, *, reads: bool) -> bool:  # noqa: ARG002 - no other process has it
        """Return True."""
        return True

    def cut_until(self, seq: int) -> float:  # noqa: ARG002 - as above
        """Return 0: no process was cut off."""
        return 0.0

    def has_message(self, topic: str) -> bool:  # noqa: ARG002 - nothing is sent
        """Return False."""
        return False

    runs_again = False

    def suspends(self, attempt: AttemptFacts, waits: Mapping[str, WaitRecord]) -> bool:  # noqa: ARG002 - each runs again
        """Return False: a node runs again after each wait."""
        return False

    def spending(self) -> Sequence[AttemptFacts]:
        """Return none: nothing limits a call."""
        return ()

    def note_cut_off(self, attempt: AttemptFacts) -> bool:  # noqa: ARG002 - no run drives it
        """Return the test's cancellation: the node has none of its own."""
        return True

    def emitted(self, path: str, data: object) -> None:  # noqa: ARG002 - it is this node, or one in it
        """Keep what a node emits."""
        self.shown.append(data)

    transactions = None

    async def note_within(self, events: Sequence[Event], transaction: object) -> None:
        """Keep a piece of finished work; no store is here with which it could be committed."""
        del transaction
        for event in events:
            await self.note(event)

    async def note(self, event: Event) -> None:
        """Keep a piece of finished work."""
        self._decide(event)
        if isinstance(event, Noted) and isinstance(event.facts, Recorded):
            done = event.facts
            if done.name.startswith(PUBLISH):
                self.published.append((done.name.removeprefix(PUBLISH), bare(done.value)))
                return
            agent, model = (done.by["agent"], done.by["model"]) if done.by is not None else ("", "")
            self.work.append(RecordedCall(done.name, done.value, agent, model))


_NO_ANSWERS: Final = object()
_ENDS: Final = ("node", "item", "failed", "attempt")
"""Kinds of the steps that end an attempt."""


class _Answers:
    """Answers of people, by the names of waits or in order.

    Attributes:
        never: The ids of waits that get no answer.
    """

    def __init__(self, given: Mapping[str, object] | Sequence[object] | None) -> None:
        if isinstance(given, str):
            repair = "give a list, as answers=['yes'], or a mapping by the name of the wait"
            raise InputError(f"answers={given!r} is a string", where="run_node(answers=…)", repair=repair)
        self._named = given if isinstance(given, Mapping) else None
        self._in_order = list(given) if given is not None and not isinstance(given, Mapping) else []
        self._is_given = given is not None
        self.never: set[str] = set()

    def take(self, name: str, question: str) -> object:
        """Return the answer to a question, `_NO_ANSWERS` if no answers were given at all.

        Raises:
            InputError: Answers were given, but none for this question.
        """
        if not self._is_given:
            return _NO_ANSWERS
        if self._named is not None and name in self._named:
            return self._named[name]
        if self._named is None and self._in_order:
            return self._in_order.pop(0)
        repair = f"answers={{{name!r}: …}} answers it" + (", or one more in the list" if self._named is None else "")
        raise InputError(f"there is no answer to {question!r}", where=f"wait {name}", repair=repair)


async def _no_runs(*_: object) -> Sequence[PastRun]:
    return ()


__all__ = ["NO_ANSWER", "run_node"]
