"""Compare two runs: where their paths diverge, and how their states, graphs, limits and models differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.kernel.extension import JsonValue, spent_since
from graphengine.kernel.inside import InForce, load_specs
from graphengine.kernel.reader import At, Snapshot, Step, graph_spec_of, load_snapshot, outcome_of
from graphengine.records.graph_spec_diff import differences as graph_differences
from graphengine.records.spending import spending
from graphengine.records.words import SECRET

if TYPE_CHECKING:
    from graphengine.kernel.reader import Usage
    from graphengine.kernel.store import RunInfo, RunStore

_ASIDE: Final = ("resumed", "stopped", "branched", "begun", "recorded", "waiting", "answered", "refused", "message")
"""Kinds of steps that choose no edge. Two runs that differ only in such steps took the same path."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two states differ.

    Attributes:
        path: The path of the value in the state.
        before: The value in the first state; None if the first state has no value there.
        after: The value in the second state; None if the second state has no value there.
    """

    path: str
    before: JsonValue
    after: JsonValue

    def __str__(self) -> str:
        return f"{self.path}: {self.before!r} → {self.after!r}"


@dataclass(frozen=True, slots=True)
class Shared:
    """The last step before two runs diverge.

    Attributes:
        run_id: The run that recorded the step.
        seq: The number of the step.
    """

    run_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class Side:
    """One of two compared runs.

    Attributes:
        info: The run's row in the store.
        snapshot: The run's snapshot at the compared step.
        begins: The step with which the run branched off, if it is the first step after the last shared step.
        changed: The changes of the state that the step `begins` made.
        path: The steps after the last shared step, without steps that choose no edge, such as a resume or a message.
        parts_at: The seq of the first step of `path` that the other run did not take; None if there is no such step.
        spent: The usage of models after the last shared step; the usage of the whole run if the runs share no step.
        seconds: How many seconds processes drove the run after the last shared step.
        steps: The number of completed visits after the last shared step.
        whys: The reasons for the edges of the steps after the last shared step, in words, by the seq of the step.
    """

    info: RunInfo
    snapshot: Snapshot
    begins: Step | None
    changed: Sequence[Difference]
    path: Sequence[Step]
    parts_at: int | None
    spent: Usage
    seconds: float
    steps: int
    whys: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class RunDiff:
    """The comparison of two runs.

    Attributes:
        first: The first run.
        second: The second run.
        shared: The last step that both runs share; None if they are not in the same tree of branches.
        alike: How many steps after the shared step are the same in both runs before their paths diverge.
        differences: The differences between their states at the compared steps.
        setup: The differences in how the runs were run, one line each: their graphs with prompts and declared models,
            their limits, and the models that answered at nodes that both runs visited after the shared step.
    """

    first: Side
    second: Side
    shared: Shared | None
    alike: int
    differences: Sequence[Difference]
    setup: Sequence[str]


async def diff(  # noqa: PLR0913 - two runs, each at a step, and how fine
    store: RunStore,
    first: str,
    second: str,
    *,
    first_at: At | None = None,
    second_at: At | None = None,
    most: int | None = None,
) -> RunDiff:
    """Compare two runs: the last step that they share, the path of each after that step, and their states.

    Two runs that share no step are compared from their first steps. Their paths diverge at the first step at which the
    node, the visit or the edge differs.

    Args:
        store: The store of both runs.
        first: The id of the first run.
        second: The id of the second run. It can be the same run at another step.
        first_at: The step at which to compare the first run; the last step by default.
        second_at: The step at which to compare the second run; the last step by default.
        most: The maximum number of differences to list inside one value. A value with more differences is listed as one
            difference.

    Raises:
        UnknownRun: One of the runs does not exist.
        UnknownStep: One of the runs has no such step.
        StoreCorrupt: The log of a run is damaged.
    """
    ends = await load_snapshot(store, first, first_at), await load_snapshot(store, second, second_at)
    shared = await _find_shared_step(store, (first, ends[0].seq), (second, ends[1].seq))
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
            await _changes_of_branch(store, run_id, before, steps, most),
            path,
            path[alike].seq if alike < len(path) else None,
            spent_since(before.usage, end.usage),
            end.elapsed_seconds - before.elapsed_seconds,
            end.steps - before.steps,
            await _whys(store, before.fingerprint, steps),
        )
        for run_id, end, steps, path in zip((first, second), ends, own, paths, strict=True)
    ]
    changed = differences(ends[0].root.values, ends[1].root.values, most=most)
    return RunDiff(sides[0], sides[1], shared, alike, changed, await _setup(store, ends, own))


async def _whys(store: RunStore, fingerprint: str, steps: Sequence[Step]) -> dict[int, str]:
    """Return in words why steps took their edges, by the number of the step.

    `fingerprint` identifies the graph that was in force before the first of these steps.
    """
    reasons = InForce(await load_specs(store, steps, fingerprint), fingerprint)
    return {step.seq: why for step in steps if (why := reasons.why(step))}


async def _changes_of_branch(
    store: RunStore, run_id: str, before: Snapshot, steps: Sequence[Step], most: int | None
) -> list[Difference]:
    """Return the changes of the state with which a branch was started.

    The list is empty if the first of the given steps does not start a branch.
    """
    if not steps or steps[0].kind != "branched":
        return []
    after = await load_snapshot(store, run_id, steps[0].seq)
    return differences(before.root.values, after.root.values, most=most)


async def _setup(store: RunStore, ends: Sequence[Snapshot], own: Sequence[Sequence[Step]]) -> list[str]:
    """Describe, one line each, how two runs differ in their graphs, limits, instructions and models."""
    specs = [await graph_spec_of(store, end.fingerprint) for end in ends]
    lines = graph_differences(specs[0], specs[1]) if specs[0] and specs[1] else []
    for name in {**ends[0].limits, **ends[1].limits}:
        one, other = (end.limits.get(name, "none") for end in ends)
        lines += [f"limit {name}: {one} → {other}"] if one != other else []
    instructions = [end.instructions for end in ends]
    lines += [
        f"instructions of {who}: replaced"
        for who in {**instructions[0], **instructions[1]}
        if instructions[0].get(who) != instructions[1].get(who)
    ]
    before, after = map(_models_of, own)
    for node, models in before.items():
        if node in after and after[node] != models:
            lines.append(f"node {node}: answered by {', '.join(sorted(models))} → {', '.join(sorted(after[node]))}")
    return lines


def _models_of(steps: Iterable[Step]) -> dict[str, set[str]]:
    """Return the names of the models that each node called; the keys are the paths of the nodes."""
    found: dict[str, set[str]] = {}
    for each in spending(steps):
        found.setdefault(each.node, set()).add(each.model)
    return found


async def _find_shared_step(store: RunStore, first: tuple[str, int], second: tuple[str, int]) -> Shared | None:
    """Return the last step that two runs share, because one is a branch of the other or both are branches of a third.

    Each argument is the id of a run and the step at which the run is compared. The result is None if they share no
    step.
    """
    one, other = await _lineage(store, *first), await _lineage(store, *second)
    common = [Shared(run_id, min(seq, other[run_id])) for run_id, seq in one.items() if run_id in other]
    return max(common, key=lambda shared: shared.seq, default=None)


async def _lineage(store: RunStore, run_id: str, seq: int) -> dict[str, int]:
    """Return the runs that recorded the history of a run: the run itself, its parent, the parent's parent, and so on.

    Each run is returned with the number of its last step that belongs to this history.
    """
    found = {run_id: seq}
    info = await store.info(run_id)
    while info.parent is not None:
        seq = min(seq, info.parent_seq)
        found[info.parent] = seq
        info = await store.info(info.parent)
    return found


def _is_alike(one: Step, other: Step) -> bool:
    """Return whether two runs took the same path at these steps: the same visit of a node and the same edge."""
    return (one.kind, one.frame, one.node, one.visit, one.attempt) == (
        *(other.kind, other.frame, other.node, other.visit, other.attempt),
    ) and (list(outcome_of(one).to), outcome_of(one).edge) == (list(outcome_of(other).to), outcome_of(other).edge)


def differences(before: JsonValue, after: JsonValue, path: str = "", *, most: int | None = None) -> list[Difference]:
    """List every place where two JSON values differ, depth first. An encrypted secret is never compared in parts.

    Args:
        before: The first value.
        after: The second value.
        path: The path of both values in the state; "" for a whole state.
        most: The maximum number of differences to list inside one value of the state, such as a field. If a value
            contains more differences, the whole value is listed as one difference, so that a list of 20,000 new records
            does not become 20,000 differences. None lists all differences.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping) and SECRET not in {*before, *after}:
        keys = [*before, *(key for key in after if key not in before)]
        pairs = [(before.get(key), after.get(key), f"{path}.{key}" if path else str(key)) for key in keys]
    elif isinstance(before, list) and isinstance(after, list):
        longest = max(len(before), len(after))
        pairs = [(_item_at(before, i), _item_at(after, i), f"{path}[{i}]") for i in range(longest)]
    else:
        return [] if before == after and type(before) is type(after) else [Difference(path, before, after)]
    found: list[Difference] = []
    for old, new, below in pairs:
        found += differences(old, new, below, most=most)
        if path and most is not None and len(found) > most:
            return [Difference(path, before, after)]
    return found


def _item_at(values: Sequence[JsonValue], index: int) -> JsonValue:
    return values[index] if index < len(values) else None
