"""What a run came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

from graphengine.errors import GraphEngineError
from graphengine.failure import Failure
from graphengine.view import Held, View

if TYPE_CHECKING:
    from graphengine.core.snapshot import RunStatus, Snapshot
    from graphengine.plan import Plan

S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run ended.

    Attributes:
        reason: `end` (a way to END), `failed`, `limit` or `asked`.
        label: The label of the edge that led to the end.
        condition: That edge's condition in words.
        explanation: What the conditions said, with their values.
    """

    reason: str
    label: str = ""
    condition: str = ""
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What models did for a run.

    Attributes:
        calls: Answers of models, the offline ones included.
        offline_calls: How many of them came from rules or a script instead of a language model.
        input_tokens: Tokens of all questions.
        output_tokens: Tokens of all answers.
        cost_usd: US dollars; None where the price of any call is not known.
    """

    calls: int = 0
    offline_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Result(Generic[S]):
    """A run as far as it came.

    Attributes:
        run_id: The run.
        status: `finished`, `stopped`, `failed`, or `running` if another process drives it.
        state: The state, an instance of its own that nothing else holds.
        output: What the graph's `result=` names; the state without one.
        stop: Why it ended.
        error: The failure it ended with.
        repair: What can be done about it, where the engine knows.
        usage: What models did, all together.
        inherited: What of that was spent before the run branched off its parent.
        steps: Completed node visits.
        seq: The last step of its log.
        elapsed_seconds: Driven time.
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


class RunFailed(GraphEngineError):
    """A run failed. It can be resumed once the cause is mended; `result` is what it came to."""

    code = "run_failed"

    def __init__(self, result: Result[Any]) -> None:
        self.result = result
        error = result.error
        text = f"{error.kind}: {error.message}" if error is not None else "no reason recorded"
        super().__init__(
            f"run {result.run_id} failed: {text}",
            where=error.path if error is not None and error.path else f"run {result.run_id}",
            repair=result.repair or "mend the cause and resume the run: what finished is not run again",
        )


def result_of(plan: Plan[S], snapshot: Snapshot) -> Result[S]:
    """The result that a snapshot stands for."""
    state = plan.state.rebuild(snapshot.root.values)
    view = View(plan.state, Held(snapshot.root.values, dict(vars(state))))
    output = plan.result.read(view) if plan.result is not None else state
    failure = snapshot.failure
    return Result(
        run_id=snapshot.run_id,
        status=snapshot.status,
        state=state,
        output=output,
        stop=Stop(**snapshot.stop) if snapshot.stop else None,
        error=Failure.of(failure) if failure else None,
        usage=Usage(**snapshot.usage),  # type: ignore[arg-type]
        inherited=Usage(**snapshot.inherited),  # type: ignore[arg-type]
        steps=snapshot.steps,
        seq=snapshot.seq,
        elapsed_seconds=snapshot.elapsed_seconds,
        repair=failure.get("repair", "") if failure else "",
    )
