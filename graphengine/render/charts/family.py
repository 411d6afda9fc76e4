"""A run with its family: the run from which all others branched, and every branch of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphengine.engine.frame_tree import add_usage
from graphengine.errors import StoreError, UnknownRun
from graphengine.history.load import load_snapshot, own_usage
from graphengine.render.charts.heading import ending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.state.amounts import Usage
    from graphengine.stores.base import RunInfo, Store


@dataclass(frozen=True, slots=True)
class Member:
    """One run of a family.

    Attributes:
        info: The store's facts about it.
        ending: Why it stopped, "" if its status is enough; the error if it cannot be read.
        usage: What it spent on models itself; None if it cannot be read.
    """

    info: RunInfo
    ending: str
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class Family:
    """Runs with a common ancestor.

    Attributes:
        asked: The id of the run whose family it is.
        members: Each after the one it was branched from, branches of later steps first, so that no lanes of a picture
            cross.
    """

    asked: str
    members: Sequence[Member]

    @property
    def usage(self) -> Usage:
        """The total of what they spent."""
        total: Usage = {}
        for member in self.members:
            total = add_usage(total, member.usage or {})
        return total


async def family_of(store: Store, run_id: str) -> Family:
    """Read the family of a run from an open store.

    A member that cannot be read is included, with the error. If its parent was removed, the family begins with the
    remaining runs.

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
    stack = [first]
    while stack:
        info = stack.pop()
        members.append(await _member(store, info))
        children = sorted(below.get(info.id, []), key=lambda child: (-child.parent_seq, child.created_at, child.id))
        stack += reversed(children)
    return Family(run_id, members)


async def _member(store: Store, info: RunInfo) -> Member:
    try:
        snapshot = await load_snapshot(store, info.id, None)
        usage: Usage = await own_usage(store, info, snapshot)
    except StoreError as error:
        return Member(info, f"cannot be read: {error.message}", None)
    return Member(info, ending(snapshot), usage)
