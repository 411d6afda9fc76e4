"""Reading recorded runs: snapshots, states around a visit, what a run waits for, differences, where two runs diverge.

Nothing here advances a run or calls the user's code.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from graphengine.engine.fold import evolve, fold
from graphengine.engine.graph_spec import check_graph_spec
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.steps import outcome_of
from graphengine.engine.stored import check_sound, copy_of, decode_snapshot
from graphengine.errors import InputError, StoreCorrupt, UnknownRun, UnknownStep
from graphengine.history.graph_spec_diff import differences as graph_differences
from graphengine.history.usage import spending, spent_since, summed
from graphengine.history.visits import Visits
from graphengine.state.amounts import is_cost_unknown
from graphengine.state.json_values import JsonValue

if TYPE_CHECKING:
    from graphengine.engine.graph_spec import GraphSpec
    from graphengine.engine.steps import Step, WaitRecord
    from graphengine.history.visit_tree import Entry
    from graphengine.state.amounts import Usage
    from graphengine.stores.base import Loaded, Message, RunInfo, RunStore

At: TypeAlias = "int | tuple[str, int]"
"""A step of a run: its seq, or a node's path and visit, as `("review", 2)`: the step that completed that visit."""

_POLL_SECONDS: Final = 0.2
_ASIDE: Final = ("resumed", "stopped", "branched", "begun", "recorded", "waiting", "answered", "refused", "message")
"""Steps that decide no edge: two runs that differ only in these took the same path."""

_LISTED: Final = 20
"""How many visits an error lists."""

LET_GO_LATER: Final = ("waiting", "failed")
"""Statuses that a run's log can have while its row has `running`: it is released once its work in flight has ended."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that a run waits for.

    Attributes:
        name: Its name, to answer it by: `runner.answer(run_id, value, question=name)`, or
            `graphengine answer RUN_ID VALUE --question NAME`.
        kind: `ask` (an answer), `receive` (a message), `sleep` (a time), `pause` (the answer True to continue), or
            `crash` (whether to rerun a node whose attempt a crash ended: "rerun", "fail" or {"result": …}).
        question: The question, as text.
        schema: The JSON Schema of the answer; None if it takes no answer.
        topic: The topic of the message.
        due_at: When it times out, epoch seconds; None for never.
    """

    name: str
    kind: Literal["ask", "receive", "sleep", "pause", "crash"]
    question: str
    schema: Mapping[str, Any] | None = None
    topic: str | None = None
    due_at: float | None = None

    @property
    def answerable(self) -> bool:
        """Whether an answer ends it."""
        return self.kind in ("ask", "pause", "crash")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWait(Wait):
    """Something that one of many runs waits for.

    Attributes:
        run_id: The run.
        graph: The name of its graph.
        since: When it began to wait for it, epoch seconds.
    """

    run_id: str
    graph: str
    since: float


def wait_of(name: str, record: WaitRecord) -> Wait:
    """Return a wait as it is recorded under a name."""
    return Wait(name, record.kind, record.question, record.schema, record.topic, record.due)


def waits_of(snapshot: Snapshot) -> Sequence[Wait]:
    """Return all waits of a run."""
    return [wait_of(name, wait) for frame in snapshot.frames.values() for name, wait in frame.waits.items()]


def run_waits_of(snapshot: Snapshot, inbox: Iterable[Message]) -> Sequence[RunWait]:
    """Return all waits of a run, with the run, but not those whose answers are in its inbox."""
    answered = {m.payload["id"] for m in inbox if (m.run_id, m.kind) == (snapshot.run_id, "answer")}
    of_run = {"run_id": snapshot.run_id, "graph": snapshot.graph}
    return [
        RunWait(name, each.kind, each.question, each.schema, each.topic, each.due, since=frame.since, **of_run)
        for frame in snapshot.frames.values()
        for name, each in frame.waits.items()
        if each.id not in answered
    ]


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two states differ.

    Attributes:
        path: Its path.
        before: The value in the first state; None if it is missing.
        after: The value in the second state.
    """

    path: str
    before: JsonValue
    after: JsonValue

    def __str__(self) -> str:
        return f"{self.path}: {self.before!r} → {self.after!r}"


@dataclass(frozen=True, slots=True)
class Shared:
    """The last step that two runs share.

    Attributes:
        run_id: The run that recorded it.
        seq: Its number.
    """

    run_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class Side:
    """One of two compared runs.

    Attributes:
        info: The store's facts about it.
        snapshot: Its snapshot at the compared step.
        begins: The step that it branched off with, if that is the first one that is not shared.
        path: The steps that decided its path after the last shared step.
        parts_at: The seq of the first of them that the other did not take; None if there is none.
        spent: What models cost since they diverged; the whole run's cost if they share no step.
        seconds: Driven time since they diverged.
        steps: Completed visits since they diverged.
    """

    info: RunInfo
    snapshot: Snapshot
    begins: Step | None
    path: Sequence[Step]
    parts_at: int | None
    spent: Usage
    seconds: float
    steps: int


@dataclass(frozen=True, slots=True)
class RunDiff:
    """Where two runs diverge, and how they differ then.

    Attributes:
        first: The first run.
        second: The second one.
        shared: The last step that both share; None if they are not in one tree of branches.
        alike: How many steps after it are the same in both before they diverge.
        differences: What differs between their states at the compared steps.
        setup: What differs in how they were run, a line each: their graphs, with prompts and declared models, their
            limits, and the models that answered at a node of both since they diverged.
    """

    first: Side
    second: Side
    shared: Shared | None
    alike: int
    differences: Sequence[Difference]
    setup: Sequence[str]


async def diff(
    store: RunStore, first: str, second: str, *, first_at: At | None = None, second_at: At | None = None
) -> RunDiff:
    """Compare two runs: the last step they share, the path each took from there, how their states differ.

    Runs that share no step are compared from their first steps: they diverge at the first step whose path, visit or
    edge differs.

    Args:
        store: The store that has both.
        first: One run.
        second: The other; it can be the same run at another step.
        first_at: The step at which to compare the first; its last one by default.
        second_at: The same for the second.

    Raises:
        UnknownRun, UnknownStep, StoreCorrupt.
    """
    ends = await load_snapshot(store, first, first_at), await load_snapshot(store, second, second_at)
    shared = await _shared(store, (first, ends[0].seq), (second, ends[1].seq))
    after = 0 if shared is None else shared.seq
    own = [await store.steps(run_id, after, end.seq) for run_id, end in zip((first, second), ends, strict=True)]
    paths = [[step for step in steps if step.kind not in _ASIDE] for steps in own]
    pairs = enumerate(zip(*paths, strict=False))
    alike = next((index for index, (one, other) in pairs if not _is_alike(one, other)), min(map(len, paths)))
    before = await load_snapshot(store, shared.run_id, shared.seq) if shared is not None else Snapshot()
    sides = [
        Side(
            await store.info(run_id),
            end,
            steps[0] if steps and steps[0].kind == "branched" else None,
            path,
            path[alike].seq if alike < len(path) else None,
            spent_since(before.usage, end.usage),
            end.elapsed_seconds - before.elapsed_seconds,
            end.steps - before.steps,
        )
        for run_id, end, steps, path in zip((first, second), ends, own, paths, strict=True)
    ]
    changed = differences(ends[0].root.values, ends[1].root.values)
    return RunDiff(sides[0], sides[1], shared, alike, changed, await _setup(store, ends, own))


async def _setup(store: RunStore, ends: Sequence[Snapshot], own: Sequence[Sequence[Step]]) -> list[str]:
    """Return what differs in how two runs were run, a line each."""
    specs = [await graph_spec_of(store, end.fingerprint) for end in ends]
    lines = graph_differences(specs[0], specs[1]) if specs[0] and specs[1] else []
    for name in {**ends[0].limits, **ends[1].limits}:
        one, other = (end.limits.get(name, "none") for end in ends)
        lines += [f"limit {name}: {one} → {other}"] if one != other else []
    before, after = map(_models_of, own)
    for node, models in before.items():
        if node in after and after[node] != models:
            lines.append(f"node {node}: answered by {', '.join(sorted(models))} → {', '.join(sorted(after[node]))}")
    return lines


def _models_of(steps: Iterable[Step]) -> dict[str, set[str]]:
    """Return the models that answered, by the path of the node."""
    found: dict[str, set[str]] = {}
    for each in spending(steps):
        found.setdefault(each.node, set()).add(each.model)
    return found


async def _shared(store: RunStore, first: tuple[str, int], second: tuple[str, int]) -> Shared | None:
    """Return the last step that two runs share, each up to a step."""
    one, other = await _lineage(store, *first), await _lineage(store, *second)
    common = [Shared(run_id, min(seq, other[run_id])) for run_id, seq in one.items() if run_id in other]
    return max(common, key=lambda shared: shared.seq, default=None)


async def _lineage(store: RunStore, run_id: str, seq: int) -> dict[str, int]:
    """Return a run and its ancestors, each with the last of its steps that the run has."""
    found = {run_id: seq}
    info = await store.info(run_id)
    while info.parent is not None:
        seq = min(seq, info.parent_seq)
        found[info.parent] = seq
        info = await store.info(info.parent)
    return found


def _is_alike(one: Step, other: Step) -> bool:
    """Return whether two steps have the same node and visit, and took the same edge."""
    return (one.kind, one.frame, one.node, one.visit, one.attempt) == (
        *(other.kind, other.frame, other.node, other.visit, other.attempt),
    ) and (list(outcome_of(one).to), outcome_of(one).edge) == (list(outcome_of(other).to), outcome_of(other).edge)


async def graph_spec_of(store: RunStore, fingerprint: str) -> GraphSpec | None:
    """Return the graph spec recorded under this fingerprint, or None.

    Raises:
        StoreCorrupt: It is not the spec of a graph.
    """
    graph_spec = await store.graph_spec(fingerprint)
    try:
        check_graph_spec(graph_spec or {})
    except ValueError as error:
        raise StoreCorrupt(
            f"the graph spec of graph {fingerprint} cannot be read: {error}",
            where=f"the graph spec of graph {fingerprint}",
            repair="run `graphengine doctor` for details; runs of other graphs are usable",
        ) from error
    return graph_spec


async def load_snapshot(store: RunStore, run_id: str, at: At | None) -> Snapshot:
    """Load a run's snapshot after a step, by default the last one.

    Raises:
        UnknownRun, UnknownStep; InputError: `at` is no step; StoreCorrupt: The log does not fold.
    """
    match at:
        case [str() as node, int() as visit]:
            at = await seq_of_visit(store, run_id, node, visit)
    if isinstance(at, int | None):
        return snapshot_of(await store.load(run_id, at), run_id)
    repair = "give the seq of a step, or a node's path and visit, as ('review', 2)"
    raise InputError(f"a step is given as a {type(at).__name__}", where=f"run {run_id}", repair=repair)


async def seq_of_visit(store: RunStore, run_id: str, node: str, visit: int) -> int:
    """Return the seq of the step that completed a visit of a node.

    Args:
        store: The store that has the run.
        run_id: The run.
        node: The node's path, as `review`, `article/review` or `research[3]`.
        visit: Which visit of the node, from 1, as `show` and steps number them.

    Raises:
        UnknownRun, StoreCorrupt; UnknownStep: No such visit has completed, or several have, since the graph around the
            node was entered again.
    """
    done = [each for each in (await load_visits(store, run_id)).visits if each.completed]
    here = [(each.number, each.entries[-1].step.seq) for each in done if each.path == node]
    found = [seq for number, seq in here if number == visit]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{number} (step {seq})" for number, seq in here[-_LISTED:])
    repair = f"give the step; its visits: {'… ' if len(here) > _LISTED else ''}{listed}"
    text = f"{len(found) or 'no'} completed visits of {node!r} in run {run_id} have the number {visit}"
    if not here:
        from graphengine.state.path import did_you_mean  # noqa: PLC0415 - it needs pydantic, which a list of runs does not

        repair = did_you_mean(node, sorted({each.path for each in done}))
    raise UnknownStep(text, where=f"run {run_id}", repair=repair)


def snapshot_of(loaded: Loaded, run_id: str) -> Snapshot:
    """Fold what a store loaded into a snapshot.

    Raises:
        StoreCorrupt: The log does not fold.
    """
    try:
        start = decode_snapshot(loaded.snapshot) if loaded.snapshot is not None else Snapshot()
        found = fold(loaded.steps, start)
        check_sound(found)
    except Exception as error:
        raise _unfoldable(run_id, error) from error
    _check(found, loaded.info)
    return found


async def load_visits(store: RunStore, run_id: str, seq: int | None = None) -> Visits:
    """Load the visits of a run up to a step, by default the last one.

    Raises:
        UnknownRun, UnknownStep; StoreCorrupt: The log does not fold.
    """
    steps = await store.steps(run_id, 0, seq)
    try:
        found = Visits.of(steps)
        check_sound(found.snapshot)
    except Exception as error:
        raise _unfoldable(run_id, error) from error
    return found


def _unfoldable(run_id: str, error: Exception) -> StoreCorrupt:
    return StoreCorrupt(
        f"the log of run {run_id} does not fold: {type(error).__name__}: {error}",
        where=f"run {run_id}",
        repair="run `graphengine doctor` for details; the other runs are usable; restore this one from a backup",
    )


async def own_usage(store: RunStore, info: RunInfo, snapshot: Snapshot) -> Usage:
    """Return what a run spent on models itself, without the steps that it shares with its parent.

    Args:
        store: The store that has it.
        info: The run.
        snapshot: Its last snapshot.

    Raises:
        UnknownRun, StoreCorrupt.
    """
    if not is_cost_unknown(snapshot.inherited):
        return spent_since(snapshot.inherited, snapshot.usage)
    own = spending(await store.steps(info.id, info.parent_seq))  # only its steps have what it added to an unknown cost
    return summed(own, lambda _: info.id).get(info.id, {})


def _check(found: Snapshot, info: RunInfo) -> None:
    """Check that a run's row agrees with its log, as far as this snapshot reaches.

    Raises:
        StoreCorrupt: It does not.
    """
    if info.seq <= info.parent_seq:
        raise StoreCorrupt(
            f"run {info.id} has none of its own steps",
            where=f"run {info.id}",
            repair="run `graphengine doctor` for details; `graphengine doctor --repair` saves what can be read",
        )
    pairs = [("graph", info.graph, found.graph)] if found.seq > info.parent_seq else []
    if found.seq == info.seq:
        pairs += [("id", info.id, found.run_id), ("fingerprint", info.fingerprint, found.fingerprint)]
        if info.status != "running" or found.status not in LET_GO_LATER:
            pairs.append(("status", info.status, found.status))
    mismatches = [f"{name} {stored!r}, its log {logged!r}" for name, stored, logged in pairs if stored != logged]
    if mismatches:
        raise StoreCorrupt(
            f"the row of run {info.id} was changed since it was written: it has {'; '.join(mismatches)}",
            where=f"run {info.id}",
            repair="`graphengine doctor --repair` restores the row from the log",
        )


def differences(before: JsonValue, after: JsonValue, path: str = "") -> list[Difference]:
    """List every place where two JSON values differ, depth first."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found: list[Difference] = []
        for key in [*before, *(k for k in after if k not in before)]:
            below = f"{path}.{key}" if path else str(key)
            found += differences(before.get(key), after.get(key), below)
        return found
    if isinstance(before, list) and isinstance(after, list):
        longest = max(len(before), len(after))
        pairs = [(_at(before, i), _at(after, i), f"{path}[{i}]") for i in range(longest)]
        return [found for old, new, below in pairs for found in differences(old, new, below)]
    return [] if before == after and type(before) is type(after) else [Difference(path, before, after)]


def _at(values: Sequence[JsonValue], index: int) -> JsonValue:
    return values[index] if index < len(values) else None


class States:
    """The states of a run, folded on demand; each step is folded once if states are read in order.

    Args:
        steps: Steps of the run, without gaps.
        start: The snapshot before the first of them; by default that of a run that has not started.
    """

    def __init__(self, steps: Sequence[Step], start: Snapshot | None = None) -> None:
        self._steps = steps
        self._start = start if start is not None else Snapshot()
        self._snapshot = copy_of(self._start)

    def before(self, entry: Entry, *names: str) -> dict[str, JsonValue]:
        """Return the state just before a step, as its frame saw it: these fields, or all if none is named."""
        return self._at(entry, entry.step.seq - 1, names)

    def after(self, entry: Entry, *names: str) -> dict[str, JsonValue]:
        """Return the state just after a step, as its frame sees it, or the enclosing frame if its frame is gone."""
        return self._at(entry, entry.step.seq, names)

    def _at(self, entry: Entry, seq: int, names: Sequence[str]) -> dict[str, JsonValue]:
        """Copy fields after a step, from an entry's frame or the next enclosing one; the fold changes the originals.

        Raises:
            IndexError: There is no such step.
        """
        if seq < self._snapshot.seq:
            self._snapshot = copy_of(self._start)
        while self._snapshot.seq < seq:
            evolve(self._snapshot, self._steps[self._snapshot.seq - self._start.seq])
        key, track = entry.step.frame, entry.track
        while key not in self._snapshot.frames and track is not None:
            key, track = track.frame, track.parent
        found: dict[str, JsonValue] = {}
        frame = self._snapshot.frames.get(key)
        while frame is not None:
            found = {name: value for name, value in frame.values.items() if not names or name in names} | found
            frame = frame.base
        return deepcopy(found)


async def polled(store: RunStore, info: RunInfo, after: int) -> AsyncGenerator[tuple[RunInfo, Sequence[Step]], None]:
    """Yield a run's row and its steps after seq `after`, at once and then after each poll; often there are none.

    Raises:
        UnknownRun: The run was removed in the meantime.
        StoreError: It cannot be read.
    """
    while True:
        yield info, await store.steps(info.id, after, info.seq) if info.seq > after else ()
        after = max(after, info.seq)
        await asyncio.sleep(_POLL_SECONDS)
        before, info = info, await store.info(info.id)
        if info.created_at != before.created_at or info.seq < before.seq:
            raise UnknownRun(f"run {info.id} was removed while it was watched", where=f"run {info.id}")
