"""List the branches of a run with their results, so that a user who looks at a wrong run finds the corrected one."""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - msgspec reads it
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from graphengine.errors import UnknownRun
from graphengine.kernel.inside import UNREADABLE
from graphengine.kernel.reader import load_snapshot, status_of
from graphengine.kernel.store import Status  # noqa: TC001 - msgspec reads it
from graphengine.records.base_documents import Part
from graphengine.records.run_diff import Difference, differences
from graphengine.records.words import compact, one_line, quoted

if TYPE_CHECKING:
    from graphengine.kernel.reader import Snapshot
    from graphengine.kernel.store import RunInfo, Store

_MOST: Final = 20
"""How many branches are read, the newest first."""
_TREE: Final = 1000
_CHANGES: Final = 5
_VALUE: Final = 60
_REASON: Final = 120


class BranchResult(Part):
    """A branch of a run (a copy that continued with changes from an earlier step), and how the branch went.

    Attributes:
        run_id: The id of the branch.
        seq: The number of the last step that the branch shares with the run.
        status: The status of the branch.
        reason: The reason for its end, or the open question; "" while the branch runs.
        created_at: When the branch began, epoch seconds.
        changes: The first 5 differences between the state of the run and the state of the branch.
    """

    run_id: str
    seq: int
    status: Status
    reason: str
    created_at: float
    changes: Sequence[Difference]


async def load_branches(store: Store, snapshot: Snapshot) -> Sequence[BranchResult]:
    """Return the results of the newest 20 branches that were started directly from a run, the newest first.

    Args:
        store: The store of the runs.
        snapshot: The last snapshot of the run.
    """
    found: list[BranchResult] = []
    branches = sorted(
        await store.branches([snapshot.run_id]), key=lambda each: (each.created_at, each.id), reverse=True
    )
    for info in branches[:_MOST]:
        # Another process may have removed the branch since, or this process cannot read its log.
        with suppress(UnknownRun, *UNREADABLE):
            there = await load_snapshot(store, info.id, None)
            changes = differences(_values_of(snapshot), _values_of(there))[:_CHANGES]
            reason = info.summary.reason if info.summary is not None else ""
            found.append(BranchResult(info.id, info.parent_seq, status_of(info), reason, info.created_at, changes))
    return found


async def load_branch_tree(store: Store, run_id: str) -> Sequence[RunInfo]:
    """Return all runs that are connected with a run by branching: the original run first, each run before its branches.

    The original run is the topmost run, which is itself no branch. If the parent of a branch was removed, the branch
    counts as the original run.

    If there are more than 1,000 such runs, the function returns only the run itself, the line of its ancestors, and at
    most 1,000 of its direct branches.
    """
    top = await store.info(run_id)
    line = {run_id: top}
    while top.parent is not None and top.parent not in line and (above := await store.infos([top.parent])):
        top = above[0]
        line[top.id] = top
    below: dict[str, list[RunInfo]] = {}
    level, read = [top.id], 1
    while level and read <= _TREE and (found := await store.branches(level)):
        for info in sorted(found, key=lambda info: (info.created_at, info.id)):
            below.setdefault(info.parent or "", []).append(info)
        level, read = [info.id for info in found], read + len(found)
    if read > _TREE:
        own = sorted(await store.branches([run_id]), key=lambda info: (info.created_at, info.id))
        return [*reversed(line.values()), *own[:_TREE]]
    tree: list[RunInfo] = []
    left = [top]
    while left:
        tree.append(left.pop())
        left += reversed(below.get(tree[-1].id, ()))
    return tree


def _values_of(snapshot: Snapshot) -> dict[str, object]:
    return dict(snapshot.root.values) if snapshot.frames else {}


def branch_words(found: BranchResult) -> str:
    """Describe a branch and its result on one line.

    >>> changes = [Difference("text", "Hello!!", "Hi!!")]
    >>> branch_words(BranchResult("b", 3, "finished", "good enough", 0.0, changes))
    'branched off after step 3: finished (good enough); text: "Hello!!" → "Hi!!"'
    """
    why = f" ({one_line(found.reason, _REASON)})" if found.reason and found.reason != "otherwise" else ""
    changes = [f"{each.path}: {_format_value(each.before)} → {_format_value(each.after)}" for each in found.changes]
    return "; ".join((f"branched off after step {found.seq}: {found.status}{why}", *changes))


def _format_value(value: object) -> str:
    return quoted(value, _VALUE) if isinstance(value, str) else compact(value, _VALUE)


__all__ = ["BranchResult", "branch_words", "load_branch_tree", "load_branches"]
