"""The result of a run, its display in a notebook, and earlier runs in the form in which a node can read them."""

from __future__ import annotations

import copyreg
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NoReturn, TypeAlias

from pydantic import BaseModel, ConfigDict

from graphengine.engine.map_items import list_lost_parts
from graphengine.engine.user_frames import cut_to_user_code
from graphengine.errors import DefinitionError, GraphEngineError
from graphengine.graph.definition import Out_co, S
from graphengine.graph.elsewhere import missing
from graphengine.history.load import Wait, waits_of
from graphengine.history.refused import RefusedMessage, refusals_in
from graphengine.history.usage import NO_USAGE, Usage, usage_from
from graphengine.runner.ids import RESERVED
from graphengine.state.amounts import losses_of
from graphengine.state.declared import values_of
from graphengine.state.encoded import opened
from graphengine.state.failure import Failure
from graphengine.state.view import RecordsAlone, View

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from graphengine.engine.phases import LostItem
    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import RunStatus
    from graphengine.state.ending import Ending
    from graphengine.state.json_values import JsonValue
    from graphengine.state.selector import Reading

Draws: TypeAlias = "Callable[[Result[Any], Snapshot | None], str]"
_DRAWS: Final[list[Draws]] = []


def draw_with(draws: Draws) -> None:
    """Register the function that draws a result of a run as HTML, for notebooks.

    For a run in progress, the function also receives the run's snapshot. The function belongs to another package, which
    this package does not import.
    """
    _DRAWS[:] = [draws]


def html_of(result: Result[Any], snapshot: Snapshot | None = None) -> str | None:
    """Draw a result as HTML for a notebook; None if no drawing function is registered."""
    return _DRAWS[0](result, snapshot) if _DRAWS else None


UNMIGRATED: Final = "unmigrated"
"""The loss of a result whose state is given as it was recorded, because the current graph cannot read it."""

_MADE: Final = ("state", "output")
"""The attributes of a result that are built when they are first read.

Building them takes most of the time of making a result with a large state.
"""


@dataclass(frozen=True, slots=True)
class FailedPart:
    """An item of a map, or an arm of a fork, that failed.

    Attributes:
        item: The recorded values of the item, by their names in `each`: JSON values, with secrets encrypted. Empty for
            an arm.
        error: The failure. Its `path` contains the position of the item, from 0, such as `research[3]`. The traceback
            is "" if the run has left the map, because then only the log has it.
        attempts: How many attempts failed.
    """

    item: Mapping[str, Any]
    error: Failure
    attempts: int


@dataclass(frozen=True, slots=True)
class Result(Generic[S, Out_co]):
    """The result of a run that ended, or the state so far of a run that waits or was interrupted.

    Attributes:
        run_id: The id of the run.
        status: `finished`, `waiting`, `stopped`, `failed` or `cancelled`; `running` if the run was released for another
            process, `queued` if it was started for a worker.
        state: The state. The instance belongs to the caller alone; fields of a finished run can share items with each
            other. It is built from its records when it is first read.
        output: The value that the graph names with `result=`; the state if the graph names no value.
        ending: Why the run ended; None while it is running or waits.
        error: The failure with which the run ended. If the run has not failed, the failure of a part of the run, while
            other parts wait or could continue.
        failures: Every item of a map, and every arm of a fork, that failed for good and has not been repeated since.
        repair: How to fix the failure, if the engine knows.
        usage: The total usage of models.
        inherited: The part of the usage from before the run branched off its parent.
        losses: How often something was lost on the way to the end: `failed_items`, `failed_children`, `unused_results`,
            `fallbacks`, `retries`, `rejected_answers` and `failed_tools`, each only if it occurred. `unmigrated` means
            that the state was recorded under another version of the graph, and that the current graph cannot read it:
            `state` then contains the recorded values.
        deaths: How often a process died while nodes of the run were in flight. Model calls that were in flight then are
            not counted in the usage.
        visits: The number of completed visits of nodes.
        seq: The number of the last step of the log.
        elapsed_seconds: The time during which the run was driven.
        waits: The waits of the run.
        unread: The messages that the run has not received, by topic, as they are recorded.
        refused: The newest 10 messages that a node refused because they had another type, each with the reason.
        cut_off: The nodes, by path, that were cut off when a Runner closed or released the run. A resume runs them
            again.
        recorded: The records of the fields of the state, which may still be encoded. Use `values` instead.
        later: The functions that build `state`, and `output` unless it is the state.
        cause: The exception that caused `error`, if this handle's run raised it in this process and the graph has no
            secrets.
    """

    run_id: str
    status: RunStatus | Literal["queued"]
    state: S = field(init=False)
    output: Out_co = field(init=False)
    ending: Ending | None
    error: Failure | None
    usage: Usage
    inherited: Usage
    visits: int
    seq: int
    elapsed_seconds: float
    repair: str = ""
    failures: Sequence[FailedPart] = ()
    waits: Sequence[Wait] = ()
    unread: Mapping[str, Sequence[JsonValue]] = field(default_factory=dict)
    refused: Sequence[RefusedMessage] = ()
    cut_off: Sequence[str] = ()
    deaths: int = 0
    losses: Mapping[str, int] = field(default_factory=dict)
    cause: BaseException | None = field(default=None, compare=False, repr=False)
    recorded: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    later: Mapping[str, Callable[[], Any]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_migrated(self) -> bool:
        """Whether the state fits the current graph. If False, the state contains the values as they were recorded."""
        return UNMIGRATED not in self.losses

    @property
    def label(self) -> str:
        """The label of the edge that led to the end of the run; "" if the edge has no label."""
        return self.ending.label if self.ending is not None else ""

    @property
    def values(self) -> Mapping[str, Any]:
        """The recorded state as JSON values, with secret fields encrypted."""
        return {name: opened(record) for name, record in self.recorded.items()}

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[type[Self]], list[object]]:
        """Return what `copy` and `pickle` need, so that a copy can be used in another process and without the graph.

        The state and the output, which are built when they are first read, are built now. `__getstate__` cannot be
        used, because CPython 3.11.0 to 3.11.3 replace the `__getstate__` of a frozen dataclass with slots (gh-104035).
        """
        later = {name: partial(itself, getattr(self, name)) for name in _MADE}
        state = [later if each.name == "later" else getattr(self, each.name) for each in fields(self)]
        return copyreg.__newobj__, (type(self),), state  # type: ignore[attr-defined]

    def _repr_html_(self) -> str | None:
        """Return the HTML that a notebook shows: how the run ended, its cost, its waits, and its state."""
        return html_of(self)

    if not TYPE_CHECKING:  # type checkers know that there are no items

        def __getitem__(self, name: object) -> NoReturn:
            item = f"result.state[{name!r}]" if isinstance(self.state, dict) else f"result.state.{name}"
            repair = "result.waits" if name == "__interrupt__" else f"{item}, or result.output"
            raise DefinitionError(f"a result has no item {name!r}, because it is not a mapping", repair=f"use {repair}")

        def __getattr__(self, name: str) -> object:
            if name in _MADE:
                made = self.later[name]() if name in self.later else self.state
                object.__setattr__(self, name, made)
                return made
            # own attributes can be missing while the result is copied
            is_own = name.startswith("_") or name in Result.__dataclass_fields__
            is_field = not is_own and hasattr(self.state, name)
            return missing(self, name, "Result", hints={name: f"result.state.{name}"} if is_field else None)


class _OpenResult(Result[Any, Any]):
    """A `Result` that is being built, whose fields can still be set. Setting its `__class__` makes it a `Result`.

    Setting fields of this class is fast, whereas a frozen dataclass sets each of its fields by a call.
    """

    __slots__ = ()
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__  # both use the same slot in C, so both must be set


class RecordedState(BaseModel):
    """The state of a run whose graph this process does not know: the recorded JSON values, as attributes."""

    model_config = ConfigDict(extra="allow")


class RunFailed(GraphEngineError):
    """A run failed. It can be resumed when the cause is fixed.

    Attributes:
        result: The result, which shows how far the run got. `result.error.traceback` is the recorded traceback.
            `__cause__` is the exception itself, if it was raised in this process. Neither contains frames of the
            engine.
    """

    code = "run_failed"

    def __init__(self, result: Result[Any, Any]) -> None:
        self.result = result
        self.__cause__ = result.cause
        self.of_set_up = isinstance(result.cause, GraphEngineError) and result.cause.of_set_up
        if result.cause is not None:
            cut_to_user_code(result.cause)
        error = result.error
        text, places = "no reason recorded", [f"run {result.run_id}"]
        if error is not None:
            text = f"{error.kind}: {error.message}{_more_items(error.path, result.failures)}"
            named = error.where if error.where != f"node {error.path}" else ""
            places = [place for place in (error.path, named) if place] or places
        super().__init__(
            f"run {result.run_id} failed: {text}",
            where=", ".join(places),
            repair=result.repair or "fix the cause and resume the run; work that finished is not done again",
        )


def _more_items(path: str, failures: Sequence[FailedPart]) -> str:
    """Return a text for the error of a map: the index of the item that failed first, and how many other items failed.

    The text is "" if no other item failed.
    """
    over, bracket, _ = path.partition("[")
    items = {part.error.path.partition("]")[0] for part in failures if part.error.path.startswith(f"{over}[")}
    first = path.partition("]")[0]
    more = len(items - {first}) if bracket else 0
    return f"; it is of {first}], and {more} more item{'s' * (more > 1)} of {over} failed" if more else ""


def _list_unread(snapshot: Snapshot) -> Mapping[str, Sequence[JsonValue]]:
    """Return the messages that the run has not received, by topic, without messages that the engine itself has sent."""
    return {topic: list(kept) for topic, kept in snapshot.mailbox.items() if not topic.startswith(RESERVED)}


def result_of(plan: Plan[S] | None, snapshot: Snapshot, cause: BaseException | None = None) -> Result[S, Any]:
    """Build the result of a run from its snapshot.

    Args:
        plan: The compiled graph; None if it is not known here, so that the state contains the recorded JSON values.
        snapshot: The snapshot of the run.
        cause: The exception with which the run failed.
    """
    root = snapshot.root
    records = root.values
    if snapshot.status != "finished":  # The run can continue in this snapshot, while the records are read later.
        records = dict(records)
        root.owned.clear()
        root.owned_lists.clear()
    typed: dict[str, object] = {}
    if plan is not None and snapshot.status == "finished":  # no node will read the typed values
        typed, root.typed = root.typed, typed
    later = _build_later(plan, records, typed)
    failure = snapshot.failure
    for frame in snapshot.frames.values() if failure is None else ():
        if frame.failing is not None:  # a failed part is reported while other parts still wait
            failure = frame.failing.error
            break
    lost = list_lost_parts(snapshot) if snapshot.failures or snapshot.status != "finished" else []
    usage = snapshot.usage
    result: Any = object.__new__(_OpenResult)
    result.run_id, result.status, result.seq = snapshot.run_id, snapshot.status, snapshot.seq
    result.ending, result.cause = snapshot.ending, cause
    result.error, result.repair = (Failure.of(failure), failure.repair) if failure else (None, "")
    result.usage = usage_from(usage) if usage else NO_USAGE
    result.inherited = usage_from(snapshot.inherited) if snapshot.inherited else NO_USAGE
    result.losses = losses_of(usage, snapshot.losses) if usage or snapshot.losses else {}
    result.visits, result.deaths, result.elapsed_seconds = snapshot.steps, snapshot.deaths, snapshot.elapsed_seconds
    result.failures = list(map(_build_failed_part, lost))
    result.waits = waits_of(snapshot) if snapshot.waiting else []
    result.unread, result.refused = (_list_unread(snapshot), refusals_in(snapshot)) if snapshot.mailbox else ({}, ())
    result.cut_off, result.recorded, result.later = (), records, later
    result.__class__ = Result
    return result  # type: ignore[no-any-return]


def _build_later(
    plan: Plan[Any] | None, records: Mapping[str, Any], typed: dict[str, object]
) -> dict[str, Callable[[], Any]]:
    """Return functions that build `state` and `output` of a result, so that each is built only when it is read."""
    if plan is None:
        return {"state": partial(_build_recorded_state, records)}
    later: dict[str, Callable[[], Any]] = {"state": partial(plan.state.rebuild, records, typed)}
    if plan.result is not None:
        later["output"] = partial(_read_output, plan, plan.result, records)
    return later


def read_with(plan: Plan[Any] | None, result: Result[Any, Any], records: Mapping[str, Any]) -> Result[Any, Any]:
    """Return a copy of a result with other values of its state, for example migrated values.

    Without a compiled graph, the state contains the values as they are.
    """
    return replace(result, recorded=records, later=_build_later(plan, records, {}))


def itself(value: object) -> object:
    """Return the argument unchanged, where a function is needed that converts nothing."""
    return value


def _build_recorded_state(records: Mapping[str, Any]) -> RecordedState:
    return RecordedState.model_construct(**{name: deepcopy(opened(record)) for name, record in records.items()})


def _read_output(plan: Plan[S], reading: Reading, records: Mapping[str, Any]) -> object:
    """Return the value that the graph names with `result=`. Only the fields that this value needs are built."""
    read = {name: records[name] for name in reading.roots if name in records}
    built = values_of(plan.state.rebuild(read))  # with the defaults of the other fields
    typed = {name: built[name] for name in read if name in built}
    return reading.read(View(plan.state, RecordsAlone(dict(records), typed)))


def _build_failed_part(lost: LostItem) -> FailedPart:
    item = {name: deepcopy(opened(value)) for name, value in lost.values.items()}
    return FailedPart(item, Failure.of(lost.error), lost.error.attempt or 1)


class PastRun(BaseModel):
    """An earlier run of a graph, as a node gets it from `ctx.runs`.

    Attributes:
        run_id: The id of the run.
        created_at: When the run began, in epoch seconds.
        state: The recorded values of the final state, restricted to the requested fields that the state has.
        version: The version of the graph to which the state belongs.
        fingerprint: The fingerprint of the graph's declaration in that version; "" in records without a fingerprint.
    """

    run_id: str
    created_at: float
    state: dict[str, Any]
    version: int = 1
    fingerprint: str = ""
