"""The check of one run: rebuild the run from its log, and compare the result with stored snapshots and the run's row.

The doctors of both databases use this check. They differ in how they read rows and in what they can repair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic_core import from_json, to_json

from graphengine.databases.findings import Finding
from graphengine.errors import GraphEngineError, StoreCorrupt
from graphengine.kernel.reader import Snapshot, fold
from graphengine.kernel.store import Summary, begun_as, decode_snapshot, evolve, next_due, summary_of, to_record

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from graphengine.databases.findings import Counted
    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import Step
    from graphengine.kernel.store import RunInfo

FOLD_ERRORS: Final = (ValueError, KeyError, TypeError, IndexError, AttributeError)
"""Exceptions from decoding or folding what is not what it should be."""

BACKUP: Final = "restore a backup"
_STEPS_AT_ONCE: Final = 500


class StoredRun(NamedTuple):
    """A stored run that is to be checked, with functions that read its rows.

    Attributes:
        info: The facts about the run in its row.
        load: Called with the number of a step. Returns the newest snapshot at or before this step, or None, and the
            steps between the snapshot and this step.
        steps: Called with two numbers. Returns the steps after the first number, up to the second one.
        snapshots: The numbers of the steps after which the run has snapshots to compare. Snapshots of its parents are
            not included.
        snapshot: Called with the number of a step. Returns the JSON of the snapshot after this step.
    """

    info: RunInfo
    load: Callable[[int], tuple[bytes | None, Sequence[Step]]]
    steps: Callable[[int, int], Sequence[Step]]
    snapshots: Collection[int]
    snapshot: Callable[[int], bytes]


def refold(run: StoredRun, counted: Counted) -> tuple[list[Finding], Snapshot | None]:
    """Rebuild the state of a run from its log, and compare it with the run's snapshots.

    Return the findings, and the state after the last step. The state is None if the log is damaged and cannot be read
    to its end.
    """
    info = run.info
    if info.seq <= info.parent_seq:
        return [Finding("run_without_steps", "all its steps are missing", info.id, repair=BACKUP)], None
    snapshot = Snapshot()
    try:
        if info.parent_seq:
            stored, after = run.load(info.parent_seq)
            snapshot = fold(after, snapshot if stored is None else decode_snapshot(stored))
    except (GraphEngineError, *FOLD_ERRORS) as error:
        parent = f"run {info.parent} after step {info.parent_seq}"
        what = f"it branched off {parent}, which cannot be read: {_words_of_error(error)}"
        return [Finding("parent_damaged", what, info.id, info.parent_seq, BACKUP)], None
    found: list[Finding] = []
    seq = info.parent_seq
    try:
        for step in _in_portions(run.steps, seq, info.seq):
            evolve(snapshot, step)
            seq = step.seq
            counted.steps += 1
            if seq in run.snapshots:
                counted.snapshots += 1
                found += _check_snapshot(run, snapshot)
    except (StoreCorrupt, *FOLD_ERRORS) as error:
        whole = f"the steps before it are intact: `graphengine branch {info.id} --at {seq}` continues from there"
        code = "step_damaged" if isinstance(error, StoreCorrupt) else "not_foldable"
        what = f"its log is damaged at step {seq + 1}: {_words_of_error(error)}"
        return [*found, Finding(code, what, info.id, seq + 1, whole if seq else BACKUP)], None
    return found, snapshot


def _words_of_error(error: Exception) -> str:
    return error.message if isinstance(error, GraphEngineError) else f"{type(error).__name__}: {error}"


def _in_portions(read: Callable[[int, int], Sequence[Step]], after: int, last: int) -> Iterator[Step]:
    """Yield the steps of a run, which are read in portions.

    If a portion is damaged, its steps are read one by one. So all steps before the damaged one are yielded before the
    error is raised.
    """
    portion = _STEPS_AT_ONCE
    while after < last:
        try:
            found = read(after, min(after + portion, last))
        except (StoreCorrupt, *FOLD_ERRORS):
            if portion == 1:
                raise
            portion = 1
            continue
        yield from found
        after += len(found)


def _check_snapshot(run: StoredRun, snapshot: Snapshot) -> Iterator[Finding]:
    seq = snapshot.seq
    try:
        if _as_json_value(decode_snapshot(run.snapshot(seq))) == _as_json_value(snapshot):
            return
        what = f"the snapshot after step {seq} differs from the log"
    except (GraphEngineError, *FOLD_ERRORS) as error:
        what = f"the snapshot after step {seq} cannot be read: {_words_of_error(error)}"
    repair = "no step is affected, because the run is read from earlier steps instead"
    yield Finding("snapshot", what, run.info.id, seq, repair)


def _as_json_value(snapshot: Snapshot) -> JsonValue:
    return from_json(to_json(to_record(snapshot)))


def row_of(info: RunInfo, snapshot: Snapshot) -> dict[str, JsonValue]:
    """Return the values that the row of a run should contain according to the run's log.

    The keys are the names of the attributes of `RunInfo`. A check compares the values with those in the row; see
    `differences`.
    """
    # A run that waits or failed is not released while some of its work is in flight, and its process can die then.
    is_held = info.status == "running" and snapshot.status in ("waiting", "failed")
    status = "running" if is_held else snapshot.status
    return {
        "id": snapshot.run_id,
        "graph": snapshot.graph,
        "fingerprint": snapshot.fingerprint,
        "status": status,
        "due_at": next_due(snapshot) if status == "waiting" else None,
        "ended_at": None if status in ("running", "waiting") else snapshot.now,
        **begun_as(snapshot),
    }


def differences(info: RunInfo, snapshot: Snapshot) -> list[str]:
    """Describe each difference between the values in a run's row and the values that follow from the run's log."""
    found = [
        f"{name} {getattr(info, name)!r} instead of {value!r}"
        for name, value in row_of(info, snapshot).items()
        if getattr(info, name) != value
    ]
    listed = differing_summary(info.summary, info.status, snapshot)
    return [*found, f"a summary with {listed}"] if listed else found


def differing_summary(stored: Summary | None, status: str, snapshot: Snapshot) -> str:
    """Describe how a stored summary differs from the summary computed from the whole log; "" if they agree.

    The summary of a `running` run is not compared, since it is that of an earlier step. The reason is not compared
    either, because another version of the package may word it differently.
    """
    if stored is None or status == "running" or status != snapshot.status:
        return ""
    right = summary_of(snapshot, None, stored.fields)  # searchable fields are not in the log
    names = [name for name in Summary.__struct_fields__ if name != "reason"]
    wrong = [name for name in names if getattr(stored, name) != getattr(right, name)]
    return "; ".join(f"{name} {getattr(stored, name)!r} instead of {getattr(right, name)!r}" for name in wrong)
