"""A run with its family: the run they all come from, and every branch off it, as a store knows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphengine.engine.frame_tree import add_usage
from graphengine.errors import StoreError, UnknownRun
from graphengine.history.load import load_snapshot, own_usage
from graphengine.render.charts.told import ending

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.history.usage import Usage
    from graphengine.stores.base import RunInfo, Store


@dataclass(frozen=True, slots=True)
class Member:
    """One run of a family.

    Attributes:
        info: What the store knows of it.
        depth: How many runs are between it and the first.
        ending: Why it stopped, "" where its status says it all; what is wrong where it cannot be read.
        usage: What it spent on models itself; None where it cannot be read.
    """

    info: RunInfo
    depth: int
    ending: str
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class Family:
    """Runs that come from one.

    Attributes:
        asked: The id of the run whose family it is.
        members: Each behind the one it was branched from, branches that leave at later steps first, so that no lane of
            a picture crosses another.
    """

    asked: str
    members: Sequence[Member]

    @property
    def usage(self) -> Usage:
        """What they spent together."""
        total: Usage = {}
        for member in self.members:
            total = add_usage(total, member.usage or {})
        return total


async def family_of(store: Store, run_id: str) -> Family:
    """The family of a run, read from a store that is open.

    A member that cannot be read is in it all the same, and says why. Where the run it comes from was removed, the
    family begins with what is left.

    Raises:
        UnknownRun, StoreError.
    """
    first = await store.info(run_id)
    while first.parent is not None:
        try:
            first = await store.info(first.parent)
        except UnknownRun:
            break
    below: dict[str, list[RunInfo]] = {}
    left: Sequence[RunInfo] = [first]
    while left:
        left = await store.branches([info.id for info in left])
        for info in left:
            below.setdefault(info.parent or "", []).append(info)
    members: list[Member] = []
    stack = [(first, 0)]
    while stack:
        info, depth = stack.pop()
        members.append(await _member(store, info, depth))
        children = sorted(below.get(info.id, []), key=lambda child: (-child.parent_seq, child.created_at, child.id))
        stack += [(child, depth + 1) for child in reversed(children)]
    return Family(run_id, members)


async def _member(store: Store, info: RunInfo, depth: int) -> Member:
    try:
        snapshot = await load_snapshot(store, info.id, None)
        usage: Mapping[str, float | None] = await own_usage(store, info, snapshot)
    except StoreError as error:
        return Member(info, depth, f"cannot be read: {error.message}", None)
    return Member(info, depth, ending(snapshot), usage)
