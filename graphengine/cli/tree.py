"""The tree of runs: branches below the run they were branched from."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graphengine.engine.frame_tree import add_usage
from graphengine.engine.steps import Started
from graphengine.errors import StoreError
from graphengine.history.load import load_snapshot, own_usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.state.amounts import Usage
    from graphengine.stores.base import RunInfo, Store


@dataclass(frozen=True, slots=True)
class Tree:
    """Runs with the runs they were branched from.

    Attributes:
        runs: All of them, the newest first: the listed ones and their ancestors.
        listed: The ids of the listed ones.
        after: By id, the run whose final state a run began with, if any.
        spent: By id, what each run spent on models itself, without inherited usage; unreadable runs are missing.
    """

    runs: Sequence[RunInfo]
    listed: frozenset[str] = frozenset()
    after: Mapping[str, str] = field(default_factory=dict)
    spent: Mapping[str, Usage] = field(default_factory=dict)

    def rows(self) -> Iterator[tuple[str, RunInfo]]:
        """Yield each run after the run it was branched from, with its tree lines."""
        below = self._below()
        left: list[tuple[str, str, RunInfo]] = [("", "", info) for info in reversed(below.get(None, []))]
        while left:
            before, sign, info = left.pop()
            yield before + sign, info
            deeper = before + {"": "", "├─ ": "│  ", "└─ ": "   "}[sign]
            children = sorted(below.get(info.id, []), key=lambda child: (child.parent_seq, child.created_at, child.id))
            signs = ["├─ "] * (len(children) - 1) + ["└─ "]
            left += [(deeper, sign, child) for sign, child in zip(reversed(signs), reversed(children), strict=False)]

    def sums(self) -> Mapping[str, Usage]:
        """Return by id what each run and the branches below it spent together."""
        below = self._below()
        found: dict[str, Usage] = {}
        for _, info in reversed(list(self.rows())):  # a branch comes after its parent
            total = self.spent.get(info.id, {})
            for child in below.get(info.id, ()):
                total = add_usage(total, found[child.id])
            found[info.id] = total
        return found

    def _below(self) -> dict[str | None, list[RunInfo]]:
        """Return the branches of each run; None has the runs whose parent is not here."""
        known = {info.id for info in self.runs}
        below: dict[str | None, list[RunInfo]] = {}
        for info in self.runs:
            below.setdefault(info.parent if info.parent in known else None, []).append(info)
        return below


async def tree_of(store: Store, found: Sequence[RunInfo]) -> Tree:
    """Return the tree of runs and the runs they were branched from."""
    runs = {info.id: info for info in found}
    missing = {info.parent for info in found if info.parent is not None} - runs.keys()
    while missing:
        parents = await store.infos(sorted(missing))
        runs |= {info.id: info for info in parents}
        missing = {info.parent for info in parents if info.parent is not None} - runs.keys()
    after: dict[str, str] = {}
    for info in runs.values():
        if info.parent is None:
            with suppress(StoreError):  # a run that cannot be read is listed without it
                for step in await store.steps(info.id, 0, 1):
                    if isinstance(step.data, Started) and step.data.after:
                        after[info.id] = step.data.after
    spent: dict[str, Usage] = {}
    for run_id, info in runs.items():
        with suppress(StoreError):  # as above
            spent[run_id] = await own_usage(store, info, await load_snapshot(store, run_id, None))
    ordered = sorted(runs.values(), key=lambda info: (info.created_at, info.id), reverse=True)
    return Tree(ordered, frozenset(info.id for info in found), after, spent)
