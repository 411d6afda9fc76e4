"""Reading what was recorded: snapshots at any step, what differs between two states, where two runs part.

Nothing here moves a run, and nothing calls code of the user's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.engine.fold import fold
from graphengine.engine.integrity import check_sound
from graphengine.engine.outline_check import check_outline
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.steps import outcome_of
from graphengine.engine.stored import decode_snapshot
from graphengine.errors import StoreCorrupt
from graphengine.history.usage import spending, spent_since, summed

if TYPE_CHECKING:
    from graphengine.engine.steps import Step
    from graphengine.state.json_values import JsonValue
    from graphengine.stores.base import Loaded, RunInfo, Store

_ASIDE: Final = ("resumed", "stopped", "branched", "begun", "recorded", "waiting", "answered", "refused", "message")
"""Steps that decide no way: two runs that differ in these alone went the same way."""

LET_GO_LATER: Final = ("waiting", "failed")
"""What a run may be by its log while its row says `running`: it is let go once what is in flight has ended."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two states differ: its path, and what lies there in each; None where it is missing."""

    path: str
    before: JsonValue
    after: JsonValue

    def __str__(self) -> str:
        return f"{self.path}: {self.before!r} → {self.after!r}"


class Shared(NamedTuple):
    """The last step that two runs share, and the run that took it."""

    run_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class Side:
    """One of two runs that are compared.

    Attributes:
        info: What the store knows of it.
        snapshot: Where it stood at the step that is compared.
        begins: The step that it branched off with, where that is the first the other does not share.
        way: The steps that it decided a way with, from where it parted from the other.
        parts_at: The seq of the first of them that the other did not take; None if it took no other.
        spent: What models were paid since they parted; the whole run's where they never were one.
        seconds: Driven time since they parted.
        steps: Completed visits since they parted.
    """

    info: RunInfo
    snapshot: Snapshot
    begins: Step | None
    way: Sequence[Step]
    parts_at: int | None
    spent: Mapping[str, float | None]
    seconds: float
    steps: int


@dataclass(frozen=True, slots=True)
class RunDiff:
    """Where two runs part, and what came of it.

    Attributes:
        first: The first run.
        second: The second one.
        shared: The last step that both share; None where neither comes from the other's tree of branches.
        alike: How many steps of both ways from there are alike before they take different ones.
        differences: What differs between their states at the steps that are compared.
    """

    first: Side
    second: Side
    shared: Shared | None
    alike: int
    differences: Sequence[Difference]


async def diff(
    store: Store, first: str, second: str, *, first_seq: int | None = None, second_seq: int | None = None
) -> RunDiff:
    """Where two runs part: the last step they share, the ways they took from there, how their states differ.

    Runs that share no step are compared from their beginnings: they part at the first step at which the path, the
    visit or the way taken differs.

    Args:
        store: Where they are kept.
        first: One run.
        second: The other; the same one at another step is fine.
        first_seq: The step at which the first is looked at; its last one if not given.
        second_seq: The same of the second.

    Raises:
        UnknownRun, UnknownStep, StoreCorrupt.
    """
    ends = await load_snapshot(store, first, first_seq), await load_snapshot(store, second, second_seq)
    shared = await _shared(store, (first, ends[0].seq), (second, ends[1].seq))
    after = 0 if shared is None else shared.seq
    own = [await store.steps(run_id, after, end.seq) for run_id, end in zip((first, second), ends, strict=True)]
    ways = [[step for step in steps if step.kind not in _ASIDE] for steps in own]
    pairs = enumerate(zip(*ways, strict=False))
    alike = next((index for index, (one, other) in pairs if not _is_alike(one, other)), min(map(len, ways)))
    before = await load_snapshot(store, shared.run_id, shared.seq) if shared is not None else Snapshot()
    sides = [
        Side(
            await store.info(run_id),
            end,
            steps[0] if steps and steps[0].kind == "branched" else None,
            way,
            way[alike].seq if alike < len(way) else None,
            spent_since(before.usage, end.usage),
            end.elapsed_seconds - before.elapsed_seconds,
            end.steps - before.steps,
        )
        for run_id, end, steps, way in zip((first, second), ends, own, ways, strict=True)
    ]
    return RunDiff(sides[0], sides[1], shared, alike, differences(ends[0].root.values, ends[1].root.values))


async def _shared(store: Store, first: tuple[str, int], second: tuple[str, int]) -> Shared | None:
    """The last step that two runs share, each looked at up to a step."""
    one, other = await _lineage(store, *first), await _lineage(store, *second)
    common = [Shared(run_id, min(seq, other[run_id])) for run_id, seq in one.items() if run_id in other]
    return max(common, key=lambda shared: shared.seq, default=None)


async def _lineage(store: Store, run_id: str, seq: int) -> dict[str, int]:
    """A run and those it comes from, each with the last step that it has of it."""
    found = {run_id: seq}
    info = await store.info(run_id)
    while info.parent is not None:
        seq = min(seq, info.parent_seq)
        found[info.parent] = seq
        info = await store.info(info.parent)
    return found


def _is_alike(one: Step, other: Step) -> bool:
    """Whether two steps are of the same place and visit, and took the same way."""
    return (one.kind, one.frame, one.node, one.visit, one.attempt) == (
        *(other.kind, other.frame, other.node, other.visit, other.attempt),
    ) and (list(outcome_of(one).to), outcome_of(one).edge) == (list(outcome_of(other).to), outcome_of(other).edge)


async def outline_of(store: Store, fingerprint: str) -> Mapping[str, JsonValue] | None:
    """The outline recorded under this fingerprint, or None.

    Raises:
        StoreCorrupt: It is no outline of a graph.
    """
    outline = await store.outline(fingerprint)
    try:
        check_outline(outline or {})
    except ValueError as error:
        raise StoreCorrupt(
            f"the outline of graph {fingerprint} cannot be read: {error}",
            where=f"the outline of graph {fingerprint}",
            repair="`graphengine doctor` tells more; runs of other graphs are usable",
        ) from error
    return outline


async def load_snapshot(store: Store, run_id: str, seq: int | None) -> Snapshot:
    """A run's snapshot after a step, the last one if none is given.

    Raises:
        UnknownRun, UnknownStep; StoreCorrupt: The log does not fold.
    """
    return snapshot_of(await store.load(run_id, seq), run_id)


def snapshot_of(loaded: Loaded, run_id: str) -> Snapshot:
    """The snapshot that what a store loaded stands for.

    Raises:
        StoreCorrupt: The log does not fold.
    """
    try:
        start = decode_snapshot(loaded.snapshot) if loaded.snapshot is not None else Snapshot()
        found = fold(loaded.steps, start)
        check_sound(found)
    except Exception as error:
        raise StoreCorrupt(
            f"the log of run {run_id} does not fold: {type(error).__name__}: {error}",
            where=f"run {run_id}",
            repair="`graphengine doctor` tells more; the other runs are usable; restore this one from a backup",
        ) from error
    _check(found, loaded.info)
    return found


async def own_usage(store: Store, info: RunInfo, snapshot: Snapshot) -> Mapping[str, float | None]:
    """What a run spent on models itself, without what it shares with the run it was branched from.

    Args:
        store: Where it is kept.
        info: The run.
        snapshot: Where it stands.

    Raises:
        UnknownRun, StoreCorrupt.
    """
    if snapshot.inherited.get("cost_usd", 0.0) is not None:
        return spent_since(snapshot.inherited, snapshot.usage)
    own = spending(await store.steps(info.id, info.parent_seq))  # what it added to an unknown cost, its steps alone say
    return summed(own, lambda _: info.id).get(info.id, {})


def _check(found: Snapshot, info: RunInfo) -> None:
    """See that what a store says of a run is what its log says, as far as this snapshot reaches.

    Raises:
        StoreCorrupt: It is not.
    """
    if info.seq <= info.parent_seq:
        raise StoreCorrupt(
            f"none of the steps of run {info.id} is there",
            where=f"run {info.id}",
            repair="`graphengine doctor` tells more; `graphengine doctor --repair` saves what can be read",
        )
    pairs = [("graph", info.graph, found.graph)] if found.seq > info.parent_seq else []
    if found.seq == info.seq:
        pairs += [("id", info.id, found.run_id), ("fingerprint", info.fingerprint, found.fingerprint)]
        if info.status != "running" or found.status not in LET_GO_LATER:
            pairs.append(("status", info.status, found.status))
    differing = [f"{name} {said!r}, its log {logged!r}" for name, said, logged in pairs if said != logged]
    if differing:
        raise StoreCorrupt(
            f"the row of run {info.id} was changed since it was written: it says {'; '.join(differing)}",
            where=f"run {info.id}",
            repair="`graphengine doctor --repair` sets the row right from the log",
        )


def differences(before: JsonValue, after: JsonValue, path: str = "") -> list[Difference]:
    """Every place where two JSON values differ, depth first."""
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
