"""Run one node of a graph alone, without a runner, a store, or the rest of the graph; see `run_node`.

The node's task runs in the same way as in a run (`graphengine.runner.attempt`), and its result is decided in the same
way (`graphengine.engine.machine`): with the same arguments, recorded work, reducers, validation and outgoing edges.
Only the things that would follow are left out: further attempts, the fallback and the next node.
"""

from __future__ import annotations

import asyncio  # noqa: F401 - the example of run_node uses it
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel  # noqa: TC002 - the example of run_node uses it
from typing_extensions import override

from graphengine.agents.budget import AgentsOfRun
from graphengine.agents.model_routing import refuse_lacking
from graphengine.agents.replacements import Replacements
from graphengine.errors import InputError
from graphengine.kernel.extension import View, compiled
from graphengine.kernel.inside import NO_ANSWER, PUBLISH, Alone, bare, check_effects
from graphengine.kernel.reader import Item, Node, Refused, show, usage_from, waits_of
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
from graphengine.testing.stage import NO_ITEM, Given, Stage, stage_node
from graphengine.testing.watched_models import WatchedModels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.agents.model_routing import GivenModels
    from graphengine.api.graph import Graph
    from graphengine.kernel.extension import Clock, Effects, JsonValue
    from graphengine.kernel.reader import Decided, Recorded, WaitRecord

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

    `run_node` runs only the first attempt of the node. If this attempt fails, `run_node` raises its exception. Notes
    that are added to the exception show the state, the last prompt, and what a run would do next. If the result of the
    node does not fit the state, the error is the one that a run would record.

    If `run_node` runs a map or a nested graph, the items of the map and the nodes of the nested graph use their retries
    and fallbacks as in a run. The waiting times between the retries are skipped. A node with `on=` runs in the current
    process, with a complete Context, so its executor is not needed.

    Args:
        graph: The graph.
        node: The node's name. For a node of a nested graph, write its path, such as `article/review`; `state` then
            contains fields of the nested graph.
        state: The state, or a mapping of some of its fields. Fields that the node does not read can be omitted.
        item: One item, for a node with `each`; a mapping by name if an item has several parts. By default all items
            run, one after the other.
        models: A model, or the name of a model, that replaces every agent's model; or models by agent or path, as for
            `Runner(models=…)`.
        resources: Resources by name, in place of the graph's own resources.
        answers: Answers of people, by the name of the wait or in the order of the questions. The name of a wait is the
            path of the node, unless `ctx.ask(name=…)` gives another name. `NO_ANSWER` lets the time of the question
            pass. Without `answers=`, a node that asks a question returns its open questions in `Done.waits`.
        messages: Messages that were sent to the run, by topic. After the last message of a topic, the time of the next
            wait for that topic passes. With an empty list, the time passes at once.
        recorded: Results of work that is not to be done again, by the key of the work in a log.
        clock: The clock; by default a `FakeClock`, so that sleeping takes no time.
        check: Whether a node fails if it mutates its input.
        effects: Replacements for functions, tools and nodes that act outside the run, by the keys of
            `Runner(effects=…)`: names of functions and tools, and paths of nodes. With `"act"`, effects are carried
            out. By default effects are refused.

    Raises:
        InputError: The node does not exist; a field that the node reads is missing, unknown or does not fit; or an
            answer is missing or invalid.
        CompileError: The graph cannot run.
        Exception: The exception that the node itself raised.

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
    stage = stage_node(compiled(graph), node, Given({} if state is None else state, item, clock.now()))
    acts = check_effects({} if effects is None else effects, "run_node")
    watched, own = WatchedModels(models), dict(resources or {})
    alone = _Alone(stage, clock, watched, own, answers, messages or {}, check=check, effects=acts)
    try:
        return await alone.run(recorded or {})
    finally:
        await alone.close()


class _Alone(Alone):
    """Runs one node on behalf of `run_node`, with the models, answers and messages that the test passed."""

    def __init__(  # noqa: PLR0913 - the arguments of run_node
        self,
        stage: Stage,
        clock: Clock,
        models: WatchedModels,
        resources: Mapping[str, object],
        answers: Mapping[str, object] | Sequence[object] | None,
        messages: Mapping[str, Sequence[object]],
        *,
        check: bool,
        effects: Effects,
    ) -> None:
        super().__init__(stage.plan, stage.snapshot, stage.frame, clock, resources, check=check, effects=effects)
        self._stage, self._models, self._given = stage, models, resources
        self._moves = clock if isinstance(clock, FakeClock) and clock.jumps else None
        self._answers = _Answers(answers)
        self._topics = messages
        self.work: list[RecordedCall] = []
        self.published: list[tuple[str, Any]] = []
        self.shown: list[object] = []

    async def run(self, known: Mapping[str, JsonValue]) -> Done[Any]:
        """Run the node until its attempt ends, or until it waits for an answer that the test did not pass."""
        self._check_names()
        for topic, payloads in self._topics.items():
            for payload in payloads:
                self.send(topic, payload)
        for key, value in known.items():
            self.know(key, value)
        step = await self.drive([AgentsOfRun(self._models, None, self._stage.snapshot)])
        if step is None:
            return self._result(update={}, waits=waits_of(self._stage.snapshot))
        return self._result_of_end(step)

    @override
    async def close(self) -> None:
        await self._models.closed()
        await super().close()

    def _check_names(self) -> None:
        """Check that all models, resources and effects that the test passed have names that occur in the graph.

        Raises:
            InputError: A name is unknown.
        """
        plan = self._stage.plan
        try:
            self.check_resources()
            self._models.check_names(plan)
            refuse_lacking(plan, self._given)
            Replacements(self.effects, self._given).checked(plan)
        except InputError as error:
            error.where = error.where.replace("Runner(", "run_node(")
            raise

    @override
    async def sleep(self, until: float) -> None:
        """Sleep until a time.

        A `FakeClock` that jumps is moved to this time at once, so that the test does not wait.
        """
        if self._moves is not None:
            self._moves.move(until - self._moves.now())
        else:
            await super().sleep(until)

    @override
    def passes(self, wait: WaitRecord) -> bool:
        """Return whether this wait of the node is ended by its timeout, instead of by an answer or a message.

        A sleep always ends in this way, and so does a question that the test answers with `NO_ANSWER`. A wait for a
        message ends in this way once all messages that the test passed for its topic have been received.
        """
        if wait.kind == "receive":
            return wait.topic in self._topics
        return wait.kind == "sleep" or wait.id in self._answers.never

    @override
    def answered(self) -> Decided | None:
        """Answer the first open question for which the test passed an answer.

        Returns:
            The step that records the answer; None if no question is open, or if the answer is `NO_ANSWER`.

        Raises:
            InputError: The answer is invalid, or the test passed answers but not for this question.
        """
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
            step = self.answer(name, wait, found)
            if isinstance(step.data, Refused):
                text = f"{found!r} is not a valid answer to the question {wait.question!r}: {step.data.message}"
                repair = "give an answer of the type that the question asks for"
                raise InputError(text, where=f"wait {name}", repair=repair)
            return step
        return None

    def _time_out(self, name: str, wait: WaitRecord) -> None:
        """Let a question end by its timeout, because the test passed `NO_ANSWER` as its answer.

        Raises:
            InputError: The question has no timeout.
        """
        if wait.due is None:
            message = f"NO_ANSWER was given for the question {wait.question!r}, which has no timeout"
            repair = "give an answer to the question, or give the question timeout_seconds=…"
            raise InputError(message, where=f"wait {name}", repair=repair)
        self._answers.never.add(wait.id)

    @override
    def emitted(self, path: str, data: object) -> None:
        self.shown.append(data)

    @override
    def noted(self, done: Recorded) -> None:
        """Keep a result that the node recorded, or a value that it published, for the result of `run_node`.

        Results become the attribute `work` of `Done`, and published values become `published`.
        """
        if done.name.startswith(PUBLISH):
            self.published.append((done.name.removeprefix(PUBLISH), bare(done.value)))
            return
        agent, model = (done.by["agent"], done.by["model"]) if done.by is not None else ("", "")
        self.work.append(RecordedCall(done.name, done.value, agent, model))

    # The result.

    def _result_of_end(self, step: Decided) -> Done[Any]:
        ended = step.data
        if not isinstance(ended, Node) or ended.fallback:  # The class Item is a subclass of Node.
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
        """Return the exception with which the node failed, with notes about the node's state.

        If the node itself raised no exception, its update was invalid, and the error says why.
        """
        failure = step.data.error
        if failure is None:
            message = f"step {step.seq} records no failure"
            raise ValueError(message)
        raised = self.raised.get(failure.path)
        error = raised if raised is not None else error_of(failure)
        return with_notes(error, facts(self._stage, step, self._models.asked, self.returned, raised=raised))


_NO_ANSWERS: Final = object()


class _Answers:
    """The answers that a test passed to `run_node`, by the names of the questions or in their order.

    Attributes:
        never: The ids of the questions that get no answer, because the test passed `NO_ANSWER` for them.
    """

    def __init__(self, given: Mapping[str, object] | Sequence[object] | None) -> None:
        if isinstance(given, str):
            repair = "give a list, as in answers=['yes'], or a mapping by the names of the questions"
            text = f"answers={given!r} is a text, but must be a list or a mapping"
            raise InputError(text, where="run_node(answers=…)", repair=repair)
        self._named = given if isinstance(given, Mapping) else None
        self._in_order = list(given) if given is not None and not isinstance(given, Mapping) else []
        self._is_given = given is not None
        self.never: set[str] = set()

    def take(self, name: str, question: str) -> object:
        """Return the answer that the test passed for a question; `_NO_ANSWERS` if it passed no `answers=` at all.

        Raises:
            InputError: The test passed `answers=`, but the answer to this question is missing.
        """
        if not self._is_given:
            return _NO_ANSWERS
        if self._named is not None and name in self._named:
            return self._named[name]
        if self._named is None and self._in_order:
            return self._in_order.pop(0)
        repair = f"give answers={{{name!r}: …}}" + (", or one more answer in the list" if self._named is None else "")
        text = f"answers= has no answer to the question {question!r}"
        raise InputError(text, where=f"wait {name}", repair=repair)


__all__ = ["NO_ANSWER", "run_node"]
