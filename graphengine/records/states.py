"""The state of a run before and after a step, from the run's steps alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import to_json

from graphengine.kernel.inside import copy_of, opened
from graphengine.kernel.reader import fold
from graphengine.kernel.store import evolve

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import Snapshot, Step
    from graphengine.records.visit_tree import Entry


def find_changed_fields(entry: Entry, before: Snapshot) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
    """Return the fields of the state that a step changed: their values before the step, and their values after it.

    The fields belong to the graph, map item or arm in which the step happened. If the step ends an item, an arm or an
    inner graph, the fields are those of the surrounding graph.

    Args:
        entry: The step.
        before: The snapshot just before the step. It is not changed.
    """
    after = copy_of(before)
    evolve(after, entry.step)
    was, now = _fields_at(before, entry), _fields_at(after, entry)
    for name in was.keys() & now.keys():
        if to_json(was[name]) == to_json(now[name]):
            del was[name], now[name]
    return was, now


def fold_until(steps: Iterable[Step], seq: int) -> Snapshot:
    """Compute the snapshot of a run after a step.

    Args:
        steps: All steps of the run, from its first one.
        seq: The number of the step.
    """
    return fold(step for step in steps if step.seq <= seq)


def _fields_at(snapshot: Snapshot, entry: Entry) -> dict[str, JsonValue]:
    key, track = entry.step.frame, entry.track
    while key not in snapshot.frames and track is not None:
        key, track = track.frame, track.parent
    found: dict[str, JsonValue] = {}
    frame = snapshot.frames.get(key)
    while frame is not None:
        found = {**frame.values, **found}
        frame = frame.base
    whole: dict[str, JsonValue] = opened(found)
    return whole
