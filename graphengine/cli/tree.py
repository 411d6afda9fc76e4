"""The tree of runs: branches below the run they were branched from, wherever in the list that is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graphengine.engine.frame_tree import add_usage
from graphengine.engine.steps import Started
from graphengine.errors import StoreError, UnknownRun
from graphengine.history.load import load_snapshot, own_usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.history.usage import Usage
    from graphengine.stores.base import RunInfo, Store


@dataclass(frozen=True, slots=True)
class Tree:
    """Runs with those they come from.

    Attributes:
        runs: All of them, the newest first: those that were listed and those they come from.
        listed: The ids of those that were listed.
        after: The run whose state a run began with, by id, where it followed one.
        spent: What each run spent on models itself, by id, without what it inherited; a run that cannot be read is
            not among them.
    """

    runs: Sequence[RunInfo]
    listed: frozenset[str] = frozenset()
    after: Mapping[str, str] = field(default_factory=dict)
    spent: Mapping[str, Usage] = field(default_factory=dict)

    def rows(self) -> Iterator[tuple[str, RunInfo]]:
        """Each run behind the one it comes from, with the lines that lead to it."""
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
        """What each run and the branches below it spent together, by id."""
        below = self._below()
        found: dict[str, Usage] = {}
        for _, info in reversed(list(self.rows())):  # a branch stands behind the run it comes from
            total = self.spent.get(info.id, {})
            for child in below.get(info.id, ()):
                total = add_usage(total, found[child.id])
            found[info.id] = total
        return found

    def _below(self) -> dict[str | None, list[RunInfo]]:
        """The branches of each run; those of None come from no run that is here."""
        known = {info.id for info in self.runs}
        below: dict[str | None, list[RunInfo]] = {}
        for info in self.runs:
            below.setdefault(info.parent if info.parent in known else None, []).append(info)
        return below


async def tree_of(store: Store, found: Sequence[RunInfo]) -> Tree:
    """The tree that runs are part of: with them, those they were branched from."""
    runs = {info.id: info for info in found}
    for info in found:
        parent = info.parent
        while parent is not None and parent not in runs:
            try:
                runs[parent] = await store.info(parent)
            except UnknownRun:
                break
            parent = runs[parent].parent
    after: dict[str, str] = {}
    for info in runs.values():
        if info.parent is None:
            with suppress(StoreError):  # a run that cannot be read is listed all the same
                for step in await store.steps(info.id, 0, 1):
                    if isinstance(step.data, Started) and step.data.after:
                        after[info.id] = step.data.after
    spent: dict[str, Usage] = {}
    for run_id, info in runs.items():
        with suppress(StoreError):  # as above
            spent[run_id] = await own_usage(store, info, await load_snapshot(store, run_id, None))
    ordered = sorted(runs.values(), key=lambda info: (info.created_at, info.id), reverse=True)
    return Tree(ordered, frozenset(info.id for info in found), after, spent)
