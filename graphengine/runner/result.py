"""What a run came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

from graphengine.engine.failures import survived
from graphengine.errors import GraphEngineError
from graphengine.state.view import Held, View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import RunStatus
    from graphengine.state.failure import Failure
    from graphengine.state.stop import Stop

S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that a run waits for.

    Attributes:
        name: What to answer by: `runner.answer(run_id, value, wait=name)`.
        kind: `ask` (an answer), `receive` (a message), `sleep` (a time), `pause` (leave to go on, the answer True), or
            `crash` (whether to run a node again whose attempt a crash ended: "rerun", "fail" or {"result": …}).
        question: What is asked, in words.
        schema: The JSON Schema of the answer; None where none is wanted.
        topic: The topic of the message.
        due_at: When it ends by itself, epoch seconds; None for never.
    """

    name: str
    kind: str
    question: str
    schema: Mapping[str, Any] | None = None
    topic: str | None = None
    due_at: float | None = None

    @property
    def answerable(self) -> bool:
        """Whether an answer ends it."""
        return self.kind in ("ask", "pause", "crash")


@dataclass(frozen=True, slots=True)
class Usage:
    """What models did for a run.

    Attributes:
        calls: Answers of models, the offline ones included, and calls that failed and used something, or may have.
        offline_calls: How many of them came from rules or a script instead of a language model.
        input_tokens: Tokens of all questions.
        output_tokens: Tokens of all answers.
        cost_usd: US dollars; None where the price of any call is not known.
        cache_read_tokens: Of the questions' tokens, those that providers read from their caches.
        cache_write_tokens: Of the questions' tokens, those that they wrote there.
        reasoning_tokens: Of the answers' tokens, those of thinking.
        priced_usd: Where `cost_usd` is None: what the calls of known prices cost.
        unknown_calls: Calls that failed under way, of which it is not known what they used; no tokens count for them.
    """

    calls: int = 0
    offline_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    priced_usd: float = 0.0
    unknown_calls: int = 0


@dataclass(frozen=True, slots=True)
class Result(Generic[S]):
    """A run as far as it came.

    Attributes:
        run_id: The run.
        status: `finished`, `waiting`, `stopped`, `failed`, or `running` if it was released for another to drive it.
        state: The state, an instance of its own that nothing else holds.
        output: What the graph's `result=` names; the state without one.
        stop: Why it ended.
        error: The failure it ended with; of a run that has not failed, that of a part of it, beside what waits or was
            to go on.
        repair: What can be done about it, where the engine knows.
        usage: What models did, all together.
        inherited: What of that was spent before the run branched off its parent.
        steps: Completed node visits.
        seq: The last step of its log.
        elapsed_seconds: Driven time.
        waits: What it waits for.
        cut_off: The nodes, by path, that were in flight when the Runner closed; they run again when the run is resumed.
        cause: The exception behind `error`, if it was raised in this process by this handle's run and the graph has no
            secrets.
    """

    run_id: str
    status: RunStatus
    state: S
    output: object
    stop: Stop | None
    error: Failure | None
    usage: Usage
    inherited: Usage
    steps: int
    seq: int
    elapsed_seconds: float
    repair: str = ""
    waits: Sequence[Wait] = ()
    cut_off: Sequence[str] = ()
    cause: BaseException | None = field(default=None, compare=False, repr=False)


class RunFailed(GraphEngineError):
    """A run failed. It can be resumed once the cause is fixed.

    Attributes:
        result: How far the run got. `result.error.traceback` is the recorded traceback; `__cause__` is the exception
            itself, if it was raised in this process.
    """

    code = "run_failed"

    def __init__(self, result: Result[Any]) -> None:
        self.result = result
        self.__cause__ = result.cause
        error = result.error
        text = f"{error.kind}: {error.message}" if error is not None else "no reason recorded"
        super().__init__(
            f"run {result.run_id} failed: {text}",
            where=error.path if error is not None and error.path else f"run {result.run_id}",
            repair=result.repair or "fix the cause and resume the run: what finished is not run again",
        )


def result_of(plan: Plan[S], snapshot: Snapshot, cause: BaseException | None = None) -> Result[S]:
    """The result that a snapshot stands for; `cause` is the exception that the run failed with."""
    state = plan.state.rebuild(snapshot.root.values)
    view = View(plan.state, Held(snapshot.root.values, dict(vars(state))))
    output = plan.result.read(view) if plan.result is not None else state
    failed = (frame.failure for frame in snapshot.frames.values() if frame.failure is not None)
    failure = snapshot.failure or next(failed, None)  # what fails beside a wait is seen before the wait is over
    return Result(
        run_id=snapshot.run_id,
        status=snapshot.status,
        state=state,
        output=output,
        stop=snapshot.stop,
        error=survived(failure) if failure else None,
        usage=Usage(**snapshot.usage),  # type: ignore[arg-type]
        inherited=Usage(**snapshot.inherited),  # type: ignore[arg-type]
        steps=snapshot.steps,
        seq=snapshot.seq,
        elapsed_seconds=snapshot.elapsed_seconds,
        repair=failure.repair if failure else "",
        waits=waits_of(snapshot),
        cause=cause,
    )


def waits_of(snapshot: Snapshot) -> Sequence[Wait]:
    """All that a run waits for."""
    return [
        Wait(name, wait.kind, wait.question, wait.schema, wait.topic, wait.due)
        for frame in snapshot.frames.values()
        for name, wait in frame.waits.items()
    ]
