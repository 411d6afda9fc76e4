"""Operations on the fields of a frame, which the fold applies to the records and to the cached typed values.

A list or dict is copied before its first change in place, because a value that a step set belongs to the step. The same
holds for each list in a dict of lists, and for typed values, to which nodes and other fields may refer.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final

from msgspec import Raw

from graphengine.state.encoded import items_of, keys_of
from graphengine.state.update import UNREAD, Unread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphengine.engine.snapshot import Frame
    from graphengine.state.json_values import Op


def apply_ops(  # noqa: C901, PLR0912 - the common case, in place
    frame: Frame, ops: Sequence[Op], typed: Sequence[object] | None
) -> None:
    """Apply the state operations of a recorded step to a frame, which is one position of the run in a graph.

    Both the JSON values of the fields and the cached Python objects are changed.
    """
    if frame.kind == "arm":
        frame.added.update(enumerate(typed or (), len(frame.journal)))
        frame.journal.extend(ops)
    for index, op in enumerate(ops):
        kind, name = op[0], op[1]
        if kind == "set":  # the same as `_set_field`, without a call, because most steps only set fields
            frame.values[name] = op[-1]
            if frame.owned:
                frame.owned.discard(name)
        else:
            operate = _OPS.get(kind)
            if operate is None:
                message = f"unknown operation {kind!r}; a newer version may have written it"
                raise ValueError(message)
            operate(frame, op)
        if typed is None:
            frame.typed.pop(name, None)
        elif kind not in _GROWING:
            new = typed[index]
            if type(new) is Unread:
                new = new.value
            if new is UNREAD:
                frame.typed.pop(name, None)
            else:
                frame.typed[name] = new
        else:
            if name in frame.typed:
                _grow_typed(frame, kind, name, typed[index])
            continue
        if frame.growing:
            frame.growing.discard(name)


def replay(frame: Frame) -> None:
    """Compute again what an arm of a fork has written, from the present values outside the arm.

    This is needed when a field that the arm sees from outside has changed. For example, an arm that appended `3` to the
    list `[1, 2]` sees `[1, 2, 3]`; if the list outside becomes `[7]`, the arm must see `[7, 3]`. So the recorded
    operations of the arm are applied again.
    """
    ops, frame.journal = frame.journal, []
    frame.added.clear()
    for name in {op[1] for op in ops}:
        frame.values.pop(name, None)
        frame.typed.pop(name, None)
        frame.owned.discard(name)
        frame.growing.discard(name)
    apply_ops(frame, ops, None)


def _grow_typed(frame: Frame, kind: str, name: str, new: Any) -> None:  # noqa: ANN401 - a value of the user's type
    cache = frame.typed
    if name not in frame.growing:
        cache[name] = copy(cache[name])
        frame.growing.add(name)
    if kind == "append":
        _own(cache, name, list).append(new)
    elif kind == "extend":
        _own(cache, name, list).extend(new)
    elif kind == "grow":
        table = _own(cache, name, dict)
        for key, items in new.items():
            # A new list, because a node may still refer to the old list.
            table[key] = [*(table.get(key) or ()), *items]
    else:
        _own(cache, name, dict).update(new)


def _own(cache: dict[str, Any], name: str, kind: type) -> Any:  # noqa: ANN401
    if cache[name] is None:
        cache[name] = kind()
    return cache[name]


def _set_field(frame: Frame, op: Op) -> None:
    # The last element is the value, also of a `reduce`, which contains the raw update before it.
    frame.values[op[1]] = op[-1]
    if frame.owned:
        frame.owned.discard(op[1])


def _append_items(frame: Frame, op: Op) -> None:
    _list(frame, op[1]).append(op[2])


def _extend(frame: Frame, op: Op) -> None:
    _list(frame, op[1]).extend(items_of(op[2]))


def _merge(frame: Frame, op: Op) -> None:
    added = keys_of(op[2])
    _dict(frame, op[1]).update(added)
    if frame.owned_lists:
        frame.owned_lists.get(op[1], set()).difference_update(added)


def _put_items(frame: Frame, op: Op) -> None:
    _dict(frame, op[1])[op[2]] = op[3]
    if frame.owned_lists:
        frame.owned_lists.get(op[1], set()).discard(op[2])


def _grow(frame: Frame, op: Op) -> None:
    table, key = _dict(frame, op[1]), op[2]
    mine = frame.owned_lists.setdefault(op[1], set())
    if key not in mine:
        table[key] = list(items_of(table.get(key)))
        mine.add(key)
    table[key].extend(items_of(op[3]))


def _add_number(frame: Frame, op: Op) -> None:
    old = frame.held(op[1])
    frame.values[op[1]] = op[2] if old is None else old + op[2]


def _drop(frame: Frame, op: Op) -> None:
    frame.values.pop(op[1], None)
    frame.owned.discard(op[1])


def list_of(frame: Frame, name: str) -> Any:  # noqa: ANN401 - a list, unless the log is damaged
    """Return the list that a field of the state holds, as JSON values.

    A list can be kept as encoded JSON text until it is needed. It is then decoded once, and the decoded list replaces
    the text.
    """
    while frame.base is not None and name not in frame.values:
        frame = frame.base
    found = frame.values.get(name)
    if isinstance(found, Raw):
        found = frame.values[name] = items_of(found)
    return found


def _list(frame: Frame, name: str) -> list[Any]:
    """Return the list of a field so that the caller can change it in place.

    The first call copies the list, because the recorded step that set the list still refers to the same object and must
    not change.
    """
    if name not in frame.owned:
        frame.values[name] = list(items_of(frame.held(name)))
        frame.owned.add(name)
    mine: list[Any] = frame.values[name]
    return mine


def _dict(frame: Frame, name: str) -> dict[str, Any]:
    if name not in frame.owned:
        frame.values[name] = dict(keys_of(frame.held(name)))
        frame.owned.add(name)
        frame.owned_lists.pop(name, None)
    mine: dict[str, Any] = frame.values[name]
    return mine


_GROWING: Final = frozenset(("append", "extend", "merge", "put", "grow"))
"""Operations that add to the value of a field. All other operations replace the value."""

_OPS: Final[dict[str, Callable[[Frame, Op], None]]] = {
    "set": _set_field,
    "append": _append_items,
    "extend": _extend,
    "merge": _merge,
    "put": _put_items,
    "grow": _grow,
    "add": _add_number,
    "reduce": _set_field,
    "drop": _drop,
}
