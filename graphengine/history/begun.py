"""What a run began with, compared with what another start would begin it with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphengine.errors import UnknownStep
from graphengine.history.load import load_snapshot
from graphengine.state.encoded import opened
from graphengine.state.json_values import clipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.plan import Plan
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

    Raises:
        UnknownRun; StoreCorrupt: The log does not fold.
    """
    try:
        begun = await load_snapshot(store, run_id, 1)
    except UnknownStep:
        return []
    fields, was = plan.state.fields, begun.root.values
    known = fields if begun.fingerprint == plan.fingerprint else initial.given
    names = [name for name in known if name in fields and fields[name].info.default_factory is None]
    secrets = plan.state.secrets
    return [
        Difference(name, *((_SECRET, _SECRET) if name in secrets else (_clip_json(was.get(name)), _clip_json(new))))
        for name in names
        if opened(new := initial.values.get(name)) != opened(was.get(name))
    ]


def _clip_json(record: Any) -> str:  # noqa: ANN401 - JSON
    return clipped(json.dumps(opened(record), ensure_ascii=False), _SHOWN)
