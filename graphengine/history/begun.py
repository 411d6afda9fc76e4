"""What a run began with, compared with what another start would begin it with."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphengine.errors import InvalidUpdate, NotRecordable, UnknownStep
from graphengine.history.load import graph_spec_of, load_snapshot
from graphengine.state.encoded import opened
from graphengine.state.json_values import clipped
from graphengine.state.view import RecordsAlone, View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.plan import Plan
    from graphengine.state.json_values import JsonValue
    from graphengine.state.reread import Types
    from graphengine.state.schema import Initial
    from graphengine.stores.base import RunStore

_SHOWN: Final = 80
"""How many characters of a value are shown."""
_SECRET: Final = "(secret)"  # noqa: S105 - what is shown of one


class Difference(NamedTuple):
    """A field whose value at the start differs from what this start gives.

    Attributes:
        name: The field.
        began: What the run began with, as JSON, shortened.
        given: What another start would begin it with.
    """

    name: str
    began: str
    given: str

    @property
    def is_secret(self) -> bool:
        """Whether its values are not shown."""
        return self.began == _SECRET


async def begun_otherwise(store: RunStore, run_id: str, plan: Plan[Any], initial: Initial) -> Sequence[Difference]:
    """Return the fields that a run began with another value than a start would; none if its beginning was trimmed.

    A default that is made anew each time is no difference. Fields that the start does not give have their defaults:
    these are compared if the run began with this very graph, since a default of today says nothing about an older one.
    If it began with another form of the graph, its values are read under today's types: a field with a default that a
    model has gained since is no difference.

    Raises:
        UnknownRun; StoreCorrupt: The log does not fold.
    """
    try:
        begun = await load_snapshot(store, run_id, 1)
    except UnknownStep:
        return []
    fields, was = plan.state.fields, begun.root.values
    is_same_graph = begun.fingerprint == plan.fingerprint
    known = fields if is_same_graph else initial.given
    names = [name for name in known if name in fields and fields[name].info.default_factory is None]
    names = [name for name in names if opened(initial.values.get(name)) != opened(was.get(name))]
    if names and not is_same_graph:
        graph_spec = await graph_spec_of(store, begun.fingerprint) or {}
        is_read_as = partial(_is_read_as, plan, was, graph_spec.get("types", {}))
        names = [name for name in names if name not in was or not is_read_as(name, initial.values[name])]
    shown = ((name, (was.get(name), initial.values.get(name))) for name in names)
    secrets = plan.state.secrets
    return [
        Difference(name, *((_SECRET, _SECRET) if name in secrets else map(_clip_json, values)))
        for name, values in shown
    ]


def _is_read_as(plan: Plan[Any], was: Mapping[str, JsonValue], recorded: Types, name: str, new: JsonValue) -> bool:
    """Return whether a field that was recorded under other types is read as the value of a record of today."""
    field, view = plan.state.fields[name], View(plan.state, RecordsAlone(dict(was)))
    try:
        again, _ = field.record(field.reread(was[name], view, recorded, plan.graph_spec.get("types", {})).value, view)
    except (InvalidUpdate, NotRecordable):
        return False
    return bool(opened(again) == opened(new))


def _clip_json(record: Any) -> str:  # noqa: ANN401 - JSON
    return clipped(json.dumps(opened(record), ensure_ascii=False), _SHOWN)
