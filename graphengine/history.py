"""Reading what was recorded: snapshots at any step, and what differs between two states. Nothing here moves a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.core.evolve import fold
from graphengine.core.snapshot import Snapshot, from_record
from graphengine.errors import StoreCorrupt

if TYPE_CHECKING:
    from graphengine.records import JsonValue
    from graphengine.stores.base import RunInfo, Store


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


async def load_snapshot(store: Store, run_id: str, seq: int | None) -> Snapshot:
    """A run's snapshot after a step, the last one if none is given.

    Raises:
        UnknownRun, UnknownStep; StoreCorrupt: The log does not fold.
    """
    loaded = await store.load(run_id, seq)
    try:
        start = from_record(loaded.snapshot, copied=False) if loaded.snapshot is not None else Snapshot()
        found = fold(loaded.steps, start)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise StoreCorrupt(
            f"the log of run {run_id} does not fold: {type(error).__name__}: {error}",
            where=f"run {run_id}",
            repair="`graphengine doctor` tells more; the other runs are usable; restore this one from a backup",
        ) from error
    _check(found, loaded.info)
    return found


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
    pairs: list[tuple[str, str, str]] = []
    if found.seq > info.parent_seq:
        pairs += [("id", info.id, found.run_id), ("graph", info.graph, found.graph)]
    if found.seq == info.seq:
        pairs.append(("fingerprint", info.fingerprint, found.fingerprint))
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
