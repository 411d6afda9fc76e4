"""The result of a run, what a notebook shows of it, and earlier runs as a node can read them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeAlias, TypeVar, cast

from pydantic import BaseModel, ConfigDict

from graphengine.calls.user_frames import cut_to_user_code
from graphengine.engine.failures import survived
from graphengine.errors import DefinitionError, GraphEngineError, StoreError
from graphengine.history.load import load_snapshot
from graphengine.state.declared import values_of
from graphengine.state.encoded import opened
from graphengine.state.view import Held, View

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import RunStatus
    from graphengine.state import amounts
    from graphengine.state.ending import Ending
    from graphengine.state.failure import Failure
    from graphengine.stores.base import Store

Draws: TypeAlias = "Callable[[Result[Any], Snapshot | None], str]"
"""Draws a result as HTML for a notebook."""
_DRAWS: Final[list[Draws]] = []


def draw_with(draws: Draws) -> None:
    """Let a function draw results as HTML from now on; it also gets the snapshot of a run that is still driven."""
    _DRAWS[:] = [draws]


def html_of(result: Result[Any], snapshot: Snapshot | None = None) -> str | None:
    """Return what a notebook shows; None if nothing draws it."""
    return _DRAWS[0](result, snapshot) if _DRAWS else None


S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that a run waits for.

    Attributes:
        name: Its name, to answer it by: `runner.answer(run_id, value, question=name)`.
        kind: `ask` (an answer), `receive` (a message), `sleep` (a time), `pause` (the answer True to continue), or
            `crash` (whether to rerun a node whose attempt a crash ended: "rerun", "fail" or {"result": …}).
        question: The question, as text.
        schema: The JSON Schema of the answer; None if it takes no answer.
        topic: The topic of the message.
        due_at: When it times out, epoch seconds; None for never.
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
    """What a run used of models.

    Attributes:
        calls: Answers of models, including offline ones, and failed calls that used tokens, or may have.
        offline_calls: How many of them came from rules or a script instead of a language model.
        input_tokens: Tokens of all requests.
        output_tokens: Tokens of all answers.
        cost_usd: US dollars; None if the price of any call is not known.
        cache_read_tokens: The part of the input tokens that providers read from their caches.
        cache_write_tokens: The part of the input tokens that providers wrote to their caches.
        reasoning_tokens: The part of the output tokens that was reasoning.
        priced_usd: If `cost_usd` is None: the cost of the calls whose price is known.
        unknown_calls: Calls that failed in progress, whose usage is not known; what was reported of it counts.
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


_NO_USAGE: Final = Usage()


def usage_from(recorded: amounts.Usage) -> Usage:
    """Return recorded usage. Amounts that only another version knows are left out."""
    if recorded.keys() <= Usage.__dataclass_fields__.keys():
        return Usage(**recorded) if recorded else _NO_USAGE
    known = {name: amount for name, amount in recorded.items() if name in Usage.__dataclass_fields__}
    return usage_from(cast("amounts.Usage", known))


@dataclass(frozen=True, slots=True)
class Result(Generic[S]):
    """The result of a run that ended, or its state so far.

    Attributes:
        run_id: The run.
        status: `finished`, `waiting`, `stopped`, `failed`, or `running` if it was released for another process.
        state: The state, an instance that nothing else holds.
        output: What the graph's `result=` names; the state if it has none.
        ending: Why it ended; None while it is running or waits.
        error: The failure it ended with; if the run has not failed, the failure of a part of it, while others wait or
            could continue.
        repair: How to fix the failure, if the engine knows.
        usage: What it used of models in total.
        inherited: The part of the usage from before the run branched off its parent.
        deaths: How often a process died with nodes of the run in flight: model calls in flight then are in no usage.
        steps: Completed node visits.
        seq: The last step of its log.
        elapsed_seconds: Driven time.
        waits: What it waits for.
        cut_off: The nodes, by path, that were in flight when the Runner closed; they run again when the run is resumed.
        recorded: The records of the state's fields, which may still be encoded; use `values`.
        cause: The exception that caused `error`, if it was raised in this process by this handle's run and the graph
            has no secrets.
    """

    run_id: str
    status: RunStatus
    state: S
    output: object
    ending: Ending | None
    error: Failure | None
    usage: Usage
    inherited: Usage
    steps: int
    seq: int
    elapsed_seconds: float
    repair: str = ""
    waits: Sequence[Wait] = ()
    cut_off: Sequence[str] = ()
    deaths: int = 0
    cause: BaseException | None = field(default=None, compare=False, repr=False)
    recorded: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def label(self) -> str:
        """The label of the edge that led to the end; "" if there is none."""
        return self.ending.label if self.ending is not None else ""

    @property
    def values(self) -> Mapping[str, Any]:
        """The recorded state: JSON values, secret fields encrypted."""
        return {name: opened(record) for name, record in self.recorded.items()}

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows: how the run ended, its cost, what it waits for, and its state."""
        return html_of(self)

    if not TYPE_CHECKING:  # type checkers know that it has none

        def __getitem__(self, name: object) -> NoReturn:
            raise DefinitionError(f"a result has no item {name!r}", repair=f"result.state.{name}, or result.output")


class RecordedState(BaseModel):
    """The state of a run whose graph is not known here: the recorded JSON values, as attributes."""

    model_config = ConfigDict(extra="allow")


class RunFailed(GraphEngineError):
    """A run failed. It can be resumed once the cause is fixed.

    Attributes:
        result: How far the run got. `result.error.traceback` is the recorded traceback; `__cause__` is the exception
            itself, if it was raised in this process. Neither has frames of the engine.
    """

    code = "run_failed"

    def __init__(self, result: Result[Any]) -> None:
        self.result = result
        self.__cause__ = result.cause
        if result.cause is not None:
            cut_to_user_code(result.cause)
        error = result.error
        text, places = "no reason recorded", [f"run {result.run_id}"]
        if error is not None:
            text = f"{error.kind}: {error.message}"
            named = error.where if error.where != f"node {error.path}" else ""
            places = [place for place in (error.path, named) if place] or places
        super().__init__(
            f"run {result.run_id} failed: {text}",
            where=", ".join(places),
            repair=result.repair or "fix the cause and resume the run: what finished is not run again",
        )


def result_of(plan: Plan[S], snapshot: Snapshot, cause: BaseException | None = None) -> Result[S]:
    """Return the result of a snapshot; `cause` is the exception that the run failed with."""
    state = plan.state.rebuild(snapshot.root.values)
    if plan.result is None:
        return _result_of(snapshot, state, state, cause)
    output = plan.result.read(View(plan.state, Held(snapshot.root.values, values_of(state))))
    return _result_of(snapshot, state, output, cause)


def recorded_result_of(snapshot: Snapshot) -> Result[RecordedState]:
    """Return the result of a snapshot of a run whose graph is not known here; its output is the state."""
    records = snapshot.root.values
    state = RecordedState.model_construct(**{name: deepcopy(opened(record)) for name, record in records.items()})
    return _result_of(snapshot, state, state, None)


def _result_of(snapshot: Snapshot, state: S, output: object, cause: BaseException | None) -> Result[S]:
    failure = snapshot.failure
    for frame in snapshot.frames.values() if failure is None else ():
        if frame.failing is not None:  # a failed part is reported while others still wait
            failure = frame.failing.error
            break
    return Result(
        run_id=snapshot.run_id,
        status=snapshot.status,
        state=state,
        output=output,
        ending=snapshot.stop,
        error=survived(failure) if failure else None,
        usage=usage_from(snapshot.usage),
        inherited=usage_from(snapshot.inherited),
        deaths=snapshot.deaths,
        steps=snapshot.steps,
        seq=snapshot.seq,
        elapsed_seconds=snapshot.elapsed_seconds,
        repair=failure.repair if failure else "",
        waits=waits_of(snapshot) if snapshot.waiting else [],
        cause=cause,
        recorded=snapshot.root.values,
    )


def waits_of(snapshot: Snapshot) -> Sequence[Wait]:
    """Return all waits of a run."""
    return [
        Wait(name, wait.kind, wait.question, wait.schema, wait.topic, wait.due)
        for frame in snapshot.frames.values()
        for name, wait in frame.waits.items()
    ]


class PastRun(BaseModel):
    """A finished run.

    Attributes:
        run_id: Its id.
        created_at: When it began, epoch seconds.
        state: Its final state, as recorded; only the requested fields that it has.
    """

    run_id: str
    created_at: float
    state: dict[str, Any]


Past: TypeAlias = "Callable[[str, str, int, Collection[str] | None], Awaitable[Sequence[PastRun]]]"
"""`past_runs` of a store; called with the id of the calling run, the graph's name, the maximum number, the fields."""


async def past_runs(
    store: Store, run_id: str, graph: str, last: int, fields: Collection[str] | None
) -> Sequence[PastRun]:
    """Return the newest finished runs of a graph, without the calling run and runs that cannot be read."""
    found: list[PastRun] = []
    for info in await store.runs(limit=last + 1, status="finished", graph=graph):
        if info.id == run_id or len(found) == last:
            continue
        try:
            snapshot = await load_snapshot(store, info.id, None)
        except StoreError:
            continue
        ended = snapshot.root.values
        state = ended if fields is None else {name: ended[name] for name in fields if name in ended}
        found.append(PastRun(run_id=info.id, created_at=info.created_at, state=state))
    return found
