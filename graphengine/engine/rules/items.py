"""The writes of a map's items: each item's updates as records, and all of them combined in item order.

The step of an item keeps what it will write: `["item", field, value]` adds one result to a field's list, an operation
on the field (`append`, `extend`, `merge`, `put`, `grow`) stays one, and `["raw", field, value]` is for any other
reducer. The state changes only with the step of the node, once all items are done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.errors import InvalidUpdate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.plan import Updates
    from graphengine.state.json_values import Op
    from graphengine.state.schema import Change, StateType
    from graphengine.state.view import View


def item_writes(state: StateType[Any], view: View, updates: Updates) -> list[Op]:
    """Return what an item writes, as records.

    Raises:
        InvalidUpdate, NotRecordable: An update does not fit its field.
    """
    return [state.fields[name].part(update, view) for name, update in updates]


def collect(state: StateType[Any], view: View, done: Sequence[Sequence[Op] | None]) -> Change:
    """Return the updates of all items, in item order, as one change of the state.

    Raises:
        InvalidUpdate, NotRecordable: The combined updates do not fit, or two items wrote the same key.
    """
    together: dict[str, list[Op]] = {}
    for writes in done:
        for op in writes or ():
            together.setdefault(op[1], []).append(op)
    keys: dict[tuple[str, str], tuple[int, str]] = {}
    for index, writes in enumerate(done):
        for op in writes or ():
            if op[0] in ("put", "grow"):
                first, kind = keys.setdefault((op[1], op[2]), (index, op[0]))
                if first != index and "put" in (kind, op[0]):
                    _one_key(view, op, first, index)
    updates: list[tuple[str, object]] = []
    for name, ops in together.items():
        updates += [(name, update) for update in state.fields[name].parts(ops, view)]
    return state.apply(view, updates)


def _one_key(view: View, op: Op, first: int, second: int) -> None:
    raise InvalidUpdate(
        f"items {first} and {second} both write {op[1]}[{op[2]}]",
        where=f"node {view.node}",
        repair="give each item a key of its own, or write to a list",
    )
