"""Compute the position of a run after each of several steps, for the time slider below the picture of its graph.

The steps are read from the last snapshot before the first of them. The cost depends on the number of steps, but not on
the length of the run.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from graphengine.kernel.inside import load_specs
from graphengine.serve.read_documents import Moments

if TYPE_CHECKING:
    from graphengine.kernel.reader import Snapshot
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.serve.read_documents import Moment
    from graphengine.serve.reads.run_cache import RunCache

_INSIDE: Final = frozenset(("sub", "arm"))
_ITEM: Final = "["
"""The character by which the id of a frame shows that the frame is an item of a map, or is inside an item."""
_FIELDS: Final = 100
"""The maximum number of field names, including fields of items. A longer list would not be read."""


async def moments(  # noqa: PLR0913 - which steps, and which field
    store: Store, books: RunCache, info: RunInfo, *, first: int, limit: int, field: str | None
) -> Moments:
    """Return what a run did at its nodes after each of several consecutive steps.

    Args:
        store: The store, limited to what the caller can see.
        books: The cache of runs.
        info: The run's entry in the store.
        first: The number of the first of these steps.
        limit: The maximum number of steps.
        field: The field of the state whose values are included; None for no field.
    """
    first = max(1, min(first, info.seq))
    book = await books.recent(info, first - 1)
    steps = await store.steps(info.id, first - 1, min(first - 1 + limit, info.seq))
    book.specs.update(await load_specs(store, steps, book.visits.snapshot.fingerprint))
    name = field or ""
    fields, was = dict.fromkeys(_list_field_names(book.visits.snapshot)), _find_field_value(book.visits.snapshot, name)
    before, text = deepcopy(was), to_json(was)
    found: list[Moment] = []
    for step in steps:
        book.feed([step])
        snapshot, moment = book.visits.snapshot, book.moment()
        value = _find_field_value(snapshot, name)
        if (now := to_json(value)) != text:
            moment.value, text = deepcopy(value), now  # a copy, because the next step changes the original
        fields.update(dict.fromkeys(_list_field_names(snapshot)))
        found.append(moment)
    names = [*fields] if len(fields) <= _FIELDS else [each for each in fields if _ITEM not in each.rpartition("/")[0]]
    return Moments(fields=names, field=name, before=before, moments=found)


def _list_field_names(snapshot: Snapshot) -> list[str]:
    """Return the names of all state fields whose values a person can follow from step to step of a run.

    These are the fields of a run's state and of the states inside the run. The name of a field of an inner graph or an
    arm begins with its place, such as `draft/text`.
    """
    return [
        f"{frame.id.rstrip('/')}/{name}" if frame.id else name
        for frame in snapshot.frames.values()
        if not frame.id or frame.kind in _INSIDE
        for name in frame.values
    ]


def _find_field_value(snapshot: Snapshot, name: str) -> Any:  # noqa: ANN401 - a value of a state
    """Return the current value of a field of a run's state; None if the field has no value.

    The name of the field can begin with the place of an inner graph, an arm or an item, such as `draft/text`.
    """
    place, _, field = name.rpartition("/")
    for frame in snapshot.frames.values():
        # The frame of an item, or of the graph inside an item.
        if frame.id.rstrip("/") == place and field in frame.values:
            return frame.values[field]
    return None


__all__ = ["moments"]
