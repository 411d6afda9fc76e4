"""Drives a single node without a run: there is no store, no other process and no next node.

The node's code runs as in a run (`graphengine.runner.attempt`), and its result is decided as in a run
(`graphengine.engine.machine`). A subclass decides which answers the node gets, which times pass, and what happens to
its recorded work.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, cast

from graphengine.engine.events import AnswerArrived, MessageCame, NodeFailed, NodeFinished, Noted
from graphengine.engine.redaction import Redactor
from graphengine.engine.session import Session
from graphengine.engine.steps import AnswerRecord, Recorded
from graphengine.engine.work_keys import WorkKey
from graphengine.graph.options import Sizes
from graphengine.runner.answers import Asked, check_against
from graphengine.runner.attempt import Attempt
from graphengine.runner.children import ChildRuns
from graphengine.runner.followers import Audience, Following
from graphengine.runner.resources import Resources
from graphengine.runner.scope import CURRENT, AttemptFacts, NodeServices
from graphengine.state.given import as_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.events import Event
    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Frame, Snapshot, Task
    from graphengine.engine.steps import Decided, WaitRecord
    from graphengine.errors import GraphEngineError
    from graphengine.graph.effect import Effects
    from graphengine.runner.clock import Clock
    from graphengine.runner.followers import Follower
    from graphengine.state.json_values import JsonValue

_ENDS: Final = ("node", "item", "failed", "attempt")
"""The kinds of the steps that end an attempt."""


class Alone:
    """Drives a single node without a run, a store or other processes. Tools that test or replay a node are subclasses.

    A node usually reaches the object that drives its run through `graphengine.runner.scope.Host`. This class takes the
    place of that object, so that the node's `ctx` works as in a run.

    Args:
        plan: The compiled graph with the node.
        frame: The place in the run where the node is about to run.
        snapshot: A snapshot of a run at this place. The run was never recorded.
        clock: The clock.
        resources: Resources by name, which replace the resources of the graph.
        check: Whether a node fails if it changes its input in place.
        effects: Whether effects outside happen, and which functions replace them if not.

    Attributes:
        returned: The value that the node returned last, or that was given as an answer.
        raised: The exceptions that were raised, by the paths of their nodes.
    """

    is_halting = False
    is_released = False
    runs_again = False
    wrote_at = 0.0
    resumed_at = 0.0
    transactions = None

    def __init__(  # noqa: PLR0913 - what a run has
        self,
        plan: Plan[Any],
        snapshot: Snapshot,
        frame: Frame,
        clock: Clock,
        resources: Mapping[str, object],
        *,
        check: bool,
        effects: Effects,
    ) -> None:
        self.plan, self.snapshot, self.frame = plan, snapshot, frame
        self.clock = clock
        self.effects: Effects = effects
        self.audience = Audience()
        self.returned: object = None
        self.raised: dict[str, BaseException] = {}
        # There is no observer, even while edge coverage is recorded, because no run takes the edge.
        self._session = Session(plan, snapshot, sizes=Sizes(), checks=check, observer=None)
        self._task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._threads = ThreadPoolExecutor(thread_name_prefix="graphengine-node")
        self._resources = Resources(resources)

    async def drive(self, followers: Sequence[Follower]) -> Decided | None:
        """Run the node until its attempt ends, and return the step that ends it; None if the node waits."""
        plan = self.plan
        services = NodeServices(
            run=self._session,
            run_id=self.snapshot.run_id,
            host=self,
            guard=Redactor(plan, self.snapshot) if plan.secret else None,
            resources=await self._resources.of_nest(plan),
            following=Following([*followers]),
            threads=self._threads,
            now=self.clock.now,
            wall=self.clock.now,
            past=None,
            children=ChildRuns(),
            effects=self.effects,
        )
        outer = CURRENT.set(CURRENT.get())
        try:
            return await self._to_the_end(services)
        finally:
            CURRENT.reset(outer)

    async def close(self) -> None:
        self._threads.shutdown(wait=False)
        await self._resources.close()

    # The data that a subclass gives to the node.

    def check_resources(self) -> None:
        """Check the names of the resources that replace resources of the graph, to find misspelt names.

        Raises:
            InputError: A name is similar, but not equal, to the name of a resource of the graph.
        """
        for plan in self.plan.nest:
            self._resources.check(plan.resources)

    def send(self, topic: str, payload: object) -> None:
        """Let a message to the node arrive on a topic."""
        record = as_record(payload, f"the message for {topic}", marks=True)
        self.decide(MessageCame(self.clock.now(), topic, record))

    def know(self, key: str, value: JsonValue) -> None:
        """Give the node the recorded result of some work, so that the node does not do the work again."""
        now, name = self.clock.now(), WorkKey.read(key).name
        self.decide(Noted(self.frame.attempt_id, now, now, Recorded(key=key, name=name, value=value), 0))

    def answer(self, name: str, wait: WaitRecord, value: object) -> Decided:
        """Answer a question of the node, and return the step that records the answer or its refusal."""
        record = as_record(value, f"the answer to {wait.question!r}", marks=True)
        check_against(Asked(name, wait), record, None)  # the next step reads the answer
        self.returned = value
        return self.decide(AnswerArrived(name, wait.id, self.clock.now(), AnswerRecord(record)))

    def decide(self, event: Event) -> Decided:
        """Turn an event of the node into the step that a run would record, and apply the step in memory.

        No step is stored, because there is no run. If it takes an edge, `EdgeCoverage` ignores the edge, because no run
        takes it.
        """
        step = self._session.commit([event], lambda _: None).steps[0]
        if step.data.error is not None:
            step.data.error.drop_exceptions()
        return step

    # The decisions of a subclass.

    def answered(self) -> Decided | None:
        """Answer an open question of the node, and return the step. Subclasses override this method.

        Returns None if there is no answer, or if the time limit of the question should pass.
        """
        return None

    def passes(self, wait: WaitRecord) -> bool:
        """Return whether to let the time of a wait pass instead of waiting for an answer from outside.

        By default, this is True only for `ctx.sleep`. Other waits, such as questions, need an answer. Subclasses can
        override this method, to let a question time out.
        """
        return wait.kind == "sleep"

    async def sleep(self, until: float) -> None:
        """Wait until the given time, in epoch seconds, when the node has nothing to do before that time.

        Subclasses can skip the time, so that a test does not have to wait.
        """
        await self.clock.sleep_until(until)

    def noted(self, done: Recorded) -> None:
        """Called after the node has finished a piece of work, such as a call. Receives the record of the work."""

    # The loop that drives the node.

    async def _to_the_end(self, services: NodeServices) -> Decided | None:
        frame, node = self.frame.id, self.frame.at
        step: Decided | None = None
        while step is None or (step.frame, step.node) != (frame, node) or step.kind not in _ENDS:
            wanted = self._session.tasks()
            task = next((task for task in wanted if task.mode != "wake"), None) or self._wakes(wanted)
            if task is None:
                step = self.answered()
                if step is None and not self._wakes(wanted):
                    return None
                continue
            if task.due > self.clock.now():
                await self.sleep(task.due)
            attempt = Attempt(task, services)
            attempt.within, attempt.state = self._task, "running"
            event = attempt.moved() or await attempt.run()
            if event is None:
                continue
            if isinstance(event, NodeFailed) and event.error.raised is not None:
                self.raised[attempt.path] = event.error.raised
            if isinstance(event, NodeFinished) and (event.id.frame, event.id.node) == (frame, node):
                self.returned = event.result
            step = self.decide(event)
        return step

    def _wakes(self, wanted: Sequence[Task]) -> Task | None:
        """Return the task that ends the wait with the earliest time; None if no wait of the node ends by time alone."""
        passing = [task for task in wanted if self.passes(self.snapshot.frames[task.frame].waits[task.wait])]
        return min(passing, key=lambda task: task.due, default=None)

    # The interface that the context of the node uses.

    async def halted(self) -> None:
        """Wait forever, because nothing stops a node that runs alone."""
        await asyncio.Event().wait()

    def check(self) -> None:
        """Do nothing: without a store, no append can have failed."""

    def give_up(self, error: GraphEngineError) -> None:
        """Do nothing: the node raises the error itself."""

    async def check_owned(self) -> None:
        """Do nothing: without a store, no other process can take the run."""

    async def may_begin(self, *, reads: bool) -> bool:  # noqa: ARG002 - no other process has it
        return True

    async def keep_code(self) -> None:
        """Do nothing: a node that runs alone has no store for the code."""

    async def read_code(self, code: str) -> None:
        """Return None, because no earlier code has recorded work."""

    def cut_until(self, seq: int) -> float:  # noqa: ARG002 - as above
        return 0.0

    def has_message(self, topic: str) -> bool:  # noqa: ARG002 - nothing is sent
        return False

    def suspends(self, attempt: AttemptFacts, waits: Mapping[str, WaitRecord]) -> bool:  # noqa: ARG002 - each runs again
        """Return False, because a node that runs alone runs again after each wait."""
        return False

    def spending(self) -> Sequence[AttemptFacts]:
        """Return an empty sequence, because no limit of the run depends on the usage."""
        return ()

    def note_cut_off(self, attempt: AttemptFacts) -> bool:  # noqa: ARG002 - no run drives it
        """Return True, because only the caller cancels a node that runs alone."""
        return True

    def emitted(self, path: str, data: object) -> None:
        """Ignore the data of `ctx.emit`, because nobody watches a node that runs alone."""

    async def note_within(self, events: Sequence[Event], transaction: object) -> None:
        """Keep the record of a function that asked for a transaction. There is no database in which to commit it."""
        del transaction
        for event in events:
            await self.note(event)

    async def note(self, event: Event) -> None:
        """Keep an event of the running node, such as the result of a call, in the snapshot."""
        self.decide(event)
        if isinstance(event, Noted) and isinstance(event.facts, Recorded):
            self.noted(event.facts)


__all__ = ["Alone"]
