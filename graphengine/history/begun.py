"""Compare the fields with which a run began with the fields of another start of the same run."""

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
_SECRET: Final = "(secret)"  # noqa: S105 - the text that is shown in place of a secret


class Difference(NamedTuple):
    """A field in which the input of an existing run differs from the input of a new start with the same run id.

    Attributes:
        name: The name of the field.
        began: The value with which the run began, as shortened JSON.
        given: The value of the other start, as shortened JSON.
    """

    name: str
    began: str
    given: str

    @property
    def is_secret(self) -> bool:
        """Whether the field is declared secret, so that both values are hidden."""
        return self.began == _SECRET


async def begun_otherwise(store: RunStore, run_id: str, plan: Plan[Any], initial: Initial) -> Sequence[Difference]:
    """List the fields in which a start with the id of an existing run differs from the input of that run.

    Fields with a `default_factory` are skipped, because their defaults can differ at each start. If the run began with
    the current graph, all other fields are compared. If the run began with another form of the graph, only the fields
    that the start gives are compared, because the defaults may have changed. Their recorded values are decoded under
    the current types. A model in a field may have gained a field with a default since; this is not a difference.

    Returns:
        The differences. Empty also if the first step of the run was removed by `keep_steps`.

    Raises:
        UnknownRun: The store has no run with the id.
        StoreCorrupt: The steps of the run are damaged.
    """
    try:
        first = await load_snapshot(store, run_id, 1)
    except UnknownStep:
        return []
    fields, was = plan.state.fields, first.root.values
    is_same_graph = first.fingerprint == plan.fingerprint
    compared = fields if is_same_graph else initial.given
    names = [name for name in compared if name in fields and fields[name].info.default_factory is None]
    names = [name for name in names if opened(initial.values.get(name)) != opened(was.get(name))]
    if names and not is_same_graph:
        graph_spec = await graph_spec_of(store, first.fingerprint) or {}
        is_read_as = partial(_is_read_as, plan, was, graph_spec.get("types", {}))
        names = [name for name in names if name not in was or not is_read_as(name, initial.values[name])]
    shown = ((name, (was.get(name), initial.values.get(name))) for name in names)
    secrets = plan.state.secrets
    return [
        Difference(name, *((_SECRET, _SECRET) if name in secrets else map(_clip_json, values)))
        for name, values in shown
    ]


def _is_read_as(plan: Plan[Any], was: Mapping[str, JsonValue], recorded: Types, name: str, new: JsonValue) -> bool:
    """Return whether a newly given value of a field equals the recorded value, read under the field's present type.

    The record may have been written when the field had an earlier type.
    """
    field, view = plan.state.fields[name], View(plan.state, RecordsAlone(dict(was)))
    try:
        again, _ = field.record(field.reread(was[name], view, recorded, plan.graph_spec.get("types", {})).value, view)
    except (InvalidUpdate, NotRecordable):
        return False
    return bool(opened(again) == opened(new))


def _clip_json(record: Any) -> str:  # noqa: ANN401 - JSON
    return clipped(json.dumps(opened(record), ensure_ascii=False), _SHOWN)
