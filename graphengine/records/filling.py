"""Add search fields to runs that began before their graph declared these fields with `search=`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from graphengine.errors import RunNotResumable, StoreNotSupported
from graphengine.kernel.extension import compiled
from graphengine.kernel.reader import load_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.kernel.extension import GraphDefinition
    from graphengine.kernel.store import RunInfo, Store


@runtime_checkable
class Filling(Protocol):
    """A store that can replace the recorded fields by which searches find a run."""

    async def set_fields(self, run: RunInfo, fields: Mapping[str, str]) -> bool:
        """Replace the fields by which searches find a run.

        Return False, without a change, if a process drives the run or the run no longer has the status in `run`.
        """
        ...


def lacks_fields(info: RunInfo, graph: GraphDefinition[Any]) -> bool:
    """Return whether a recorded run lacks a search field, which today's graph declares with `search=`.

    The graph may have declared the field only after the run was recorded. Fields that are set at the end of a run are
    only expected of finished runs.
    """
    own = {} if info.summary is None else info.summary.fields
    searched = compiled(graph).search
    return any(each.name not in own for each in searched if each.is_input or info.status == "finished")


async def fill_fields(store: Store, info: RunInfo, graph: GraphDefinition[Any]) -> None:
    """Add the search fields that today's graph declares to a recorded run, so that searches find the run by them.

    The values of the fields are taken from the run's log.

    Raises:
        RunNotResumable: A process drives the run, or has driven it meanwhile.
        StoreNotSupported: The store cannot change the search fields of a run.
        StoreError: The run cannot be read.
    """
    if not isinstance(store, Filling):
        repair = "keep the runs in a store that can, such as Runner('runs.db')"
        raise StoreNotSupported("this store cannot fill in fields of runs", where=f"run {info.id}", repair=repair)
    plan = compiled(graph)
    begun = await load_snapshot(store, info.id, 1)
    own = {} if info.summary is None else info.summary.fields  # its graph can have declared others
    fields = {**own, **plan.fields_of(begun.root.values, at_end=False)}
    if info.parent is not None:
        for step in await store.steps(info.id, 0, info.parent_seq + 1):
            if step.kind == "branched" and not step.frame:  # the frame of the whole run
                branched = await load_snapshot(store, info.id, step.seq)
                fields |= plan.fields_of(branched.root.values, at_end=False, only={op[1] for op in step.update})
    if info.status == "finished":
        ended = await load_snapshot(store, info.id, None)
        fields |= plan.fields_of(ended.root.values, at_end=True)
    if not await store.set_fields(info, fields):
        text = (
            f"the fields of run {info.id!r} cannot be filled in, because a process drives the run or has just driven it"
        )
        raise RunNotResumable(text, where=info.id, repair="fill in the fields again once the run waits or has ended")
