"""The view that a node, condition or reducer has: the typed fields of one frame, and the current facts of the run.

Records are authoritative. Typed values are built from records when they are first read, and cached in the frame. While
a step is being decided, the view shows its updates (`set_new`, `add_items`) on top, and the frame is not modified.
"""

from __future__ import annotations

from collections.abc import Sized
from copy import deepcopy
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from msgspec import Raw, Struct

from graphengine.state.declared import optional_in
from graphengine.state.encoded import body_of, encode, items_of, keys_of
from graphengine.state.path import walk
from graphengine.state.update import Unread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pydantic import BaseModel

    from graphengine.state.amounts import Usage
    from graphengine.state.encoded import Exact
    from graphengine.state.json_values import JsonValue, Mark
    from graphengine.state.path import Part, Path

MISSING: Final = object()
_NO_KEYS: Final[Mapping[str, Mapping[Any, object]]] = MappingProxyType({})
_NO_GROWN: Final[Mapping[str, Mapping[Any, Sequence[object]]]] = MappingProxyType({})
_NO_ITEMS: Final[Mapping[str, Sequence[object]]] = MappingProxyType({})
_MOST_AS_LONG: Final = 64
"""How many times longer than a new list a field may be, so that the list's items are still looked up in the field."""
_FEW_BYTES: Final = 1 << 10
_NO_USAGE: Final = cast("Usage", MappingProxyType({}))


class FieldFacts(Protocol):
    """The parts of a field's type (`graphengine.state.field.FieldType`) that a view needs."""

    own: bool
    immutable: bool
    exact: Exact | None

    def build(self, record: JsonValue, view: View) -> object:
        """Return the typed value of a record."""
        ...

    def is_changed(self, value: object, record: JsonValue, view: View) -> bool:
        """Return whether a typed value was changed in place since it was read from this record."""
        ...


class StateFacts(Protocol):
    """The parts of a state's type (`graphengine.state.schema.StateType`) that a view needs."""

    secrets: frozenset[str]

    @property
    def model(self) -> type[BaseModel]:
        """The model of the state."""
        ...

    @property
    def fields(self) -> Mapping[str, FieldFacts]:
        """The fields by name."""
        ...


class FrameFacts(Protocol):
    """The part of a frame that a view needs."""

    values: dict[str, Any]
    typed: dict[str, object]
    growing: set[str]
    marks: dict[str, Mark]
    added: dict[int, object]

    @property
    def kind(self) -> str:
        """`item` if the frame shares the values of its base frame, which is not written meanwhile."""
        ...

    @property
    def base(self) -> FrameFacts | None:
        """The frame from which this frame reads the fields that it did not write."""
        ...

    def count(self, node: str) -> int:
        """Return the number of completed visits of a node."""
        ...


@dataclass(slots=True)
class RecordsAlone:
    """Records without a frame, used in place of a frame."""

    values: dict[str, Any]
    typed: dict[str, object] = field(default_factory=dict)
    growing: set[str] = field(default_factory=set)
    marks: dict[str, Mark] = field(default_factory=dict)
    added: dict[int, object] = field(default_factory=dict)
    base: None = None
    kind: str = "root"

    def count(self, node: str) -> int:  # noqa: ARG002 - nothing was visited
        """Return 0, because no node was visited."""
        return 0


class View(Struct, eq=False):
    """The fields of a frame, read as typed values, and the other facts that conditions use.

    Attributes:
        node: The node that is being left; "" if no node is being left.
        until: For the frame of an arm: the join of its fork; "" for other frames.
        checks: Whether functions that change their arguments in place are detected; True by default.
        completing: The node whose current visit counts as completed although the frame does not count it yet.
        new_marks: Marks that the step being decided sets.
        usage: Tokens and cost so far, including the current step.
        elapsed_seconds: The time that the run has been driven so far.
        failure: The names of the exception's types while edges after a failure are evaluated; otherwise empty.
        ended: The label with which the subgraph at this node ended, while its outgoing edges are evaluated.
        update_bytes: An upper bound of the bytes of JSON that the step being decided writes. Small values count as 0.
        passes: The fields that the node read whole and has not changed, which was checked when the node ended. Parts of
            them in its result are not encoded again.
    """

    _state: StateFacts
    _frame: FrameFacts
    checks: bool = True
    node: str = ""
    completing: str = ""
    until: str = ""
    usage: Usage = _NO_USAGE
    elapsed_seconds: float = 0.0
    ended: str = ""
    new_marks: dict[str, Mark] = {}
    new_samples: list[Sequence[Any]] = []
    failure: Sequence[str] = ()
    update_bytes: int = 0
    passes: Sequence[str] = ()
    _new: dict[str, object] = {}
    _items: Mapping[str, Sequence[object]] = _NO_ITEMS
    _keys: Mapping[str, Mapping[Any, object]] = _NO_KEYS
    _grown: Mapping[str, Mapping[Any, Sequence[object]]] = _NO_GROWN

    def count(self, node: str) -> int:
        """Return the number of completed visits of a node, including the current one."""
        return self._frame.count(node) + (node == self.completing)

    def mark(self, key: str, default: Mark = None) -> Mark:
        """Return the mark under the key of a tracker."""
        if key in self.new_marks:
            return self.new_marks[key]
        frame: FrameFacts | None = self._frame
        while frame is not None:
            if key in frame.marks:
                return frame.marks[key]
            frame = frame.base
        return default

    @property
    def names(self) -> Iterable[str]:
        """The names of all fields of the state."""
        fields: Mapping[str, object] = self._state.model.model_fields
        return fields

    @property
    def secrets(self) -> frozenset[str]:
        """The fields that contain a secret."""
        return self._state.secrets

    def lend(self, name: str) -> object:
        """Return the value of a field for a function that might change it.

        If this step writes the field, return a copy.
        """
        value = self.get(name)
        return value if self._state.fields[name].immutable or not self._is_pending(name) else deepcopy(value)

    def changed(self, names: Iterable[str]) -> list[str]:
        """Return the fields among these whose value was changed in place. Empty if `checks` is off."""
        if not self.checks:
            return []
        fields = self._state.fields
        return [n for n in names if not (fields[n].immutable or self._is_pending(n)) and self._is_changed(n)]

    def _is_changed(self, name: str) -> bool:
        typed, records = self.holder(name).typed, _frame_of(self._frame, name).values
        if name not in typed or name not in records:
            return False
        return self._state.fields[name].is_changed(typed[name], records[name], self)

    def refresh(self, names: Iterable[str], paths: Iterable[Path]) -> list[str]:
        """Build fields of JSON again if they were changed since a node that read them ended, and return these fields.

        1. `a` reads `docs` and starts a task. 2. `a` ends and has changed nothing. 3. The task changes `docs`. 4. `b`
           reads `docs`: it must neither see the change nor be blamed for the change.

        Args:
            names: Fields that are about to be read.
            paths: Parts that are about to be read. Only these parts are compared, and not the whole fields.
        """
        fields = self._state.fields
        late = self.changed([name for name in names if fields[name].exact is not None])
        for path in paths:
            name, typed = path.root, self.holder(path.root).typed
            if fields[name].exact is None or name not in typed:
                continue
            if body_of(path.walk(typed[name])) != encode(part_of(_record_in(self._frame, name), path.parts)):
                late += self.changed([name])  # equal JSON values can differ in their bytes
        self.forget(late)
        return late

    def passed_on(self, kind: Exact, value: object) -> tuple[Any, object] | None:
        """Return the record and the typed value of a list or dict that the node read, or of a list of such values.

        None for any other value. The returned list is a new list, because the node has the other list. Its items are
        shared.
        """
        for name in self.passes:
            if self.holder(name).typed.get(name) is value and self._state.fields[name].exact is kind:
                return Raw(encode(_record_in(self._frame, name))), value
        if type(value) is not list or not value:
            return None
        known = self._items_read(kind, value)
        if id(value[0]) not in known or id(value[-1]) not in known:
            return None
        found = [known.get(id(item)) for item in value]
        if None in found:
            return None
        if len(known) > len(value):  # a part of a record keeps all of it in memory
            found = [record.copy() for record in found]  # type: ignore[union-attr]
        return found, [*value]

    def _items_read(self, kind: Exact, value: list[object]) -> dict[int, Raw]:
        """Return the records of the items that the node read and that a list of this type can contain, by item id.

        Only fields that contain the first or the last item of the new list count, because most new lists contain
        nothing that was read.
        """
        known: dict[int, Raw] = {}
        first, last = id(value[0]), id(value[-1])
        for name in self.passes if type(value[0]) in (list, dict) else ():
            typed, source = self.holder(name).typed.get(name), self._state.fields[name].exact
            if type(typed) is not list or not (source is kind or (source and kind.items)):
                continue
            frame = _frame_of(self._frame, name)
            record = frame.values.get(name)
            if record is None or (type(record) is Raw and memoryview(record).nbytes < _FEW_BYTES):
                continue  # Looking for its items would take longer than encoding them.
            if len(typed) > _MOST_AS_LONG * len(value) or not (last in map(id, typed) or first in map(id, typed)):
                continue
            if type(record) is Raw:
                record = frame.values[name] = items_of(record)  # split only once
            if len(record) != len(typed):
                continue
            for item, each in zip(typed, record, strict=True):
                if type(each) is Raw and (source is kind or type(item) in kind.items):
                    known[id(item)] = each
        return known

    def forget(self, names: Iterable[str]) -> None:
        """Drop all cached values of the frames that hold these fields.

        Other fields there can share parts of the values.
        """
        for name in names:
            holder = self.holder(name)
            holder.typed.clear()
            holder.added.clear()

    def has(self, name: str) -> bool:
        """Return whether the state has this field."""
        return name in self._state.fields

    def get(self, name: str) -> object:
        """Return the typed value of a field, including the updates of this step."""
        if name in self._new:
            found = self._new[name]
            if type(found) is Unread:
                found.value = self._new[name] = self._state.fields[name].build(found.record, self)
            return self._new[name]
        if name in self._items:
            self._new[name] = [*(self.before(name) or ()), *self._items[name]]  # type: ignore[misc]
            return self._new[name]
        if name in self._keys:
            self._new[name] = {**(self.before(name) or {}), **self._keys[name]}  # type: ignore[dict-item]
            return self._new[name]
        if name in self._grown:
            self._new[name] = _longer(self.before(name), self._grown[name])
            return self._new[name]
        return self.before(name)

    def _is_pending(self, name: str) -> bool:
        """Return whether this step writes a field."""
        return name in self._new or name in self._items or name in self._keys or name in self._grown

    def before(self, name: str) -> object:
        """Return the typed value of a field in the frame, without the updates of this step."""
        value = self._frame.typed.get(name, MISSING)
        if value is not MISSING:
            return value
        frame = self.holder(name)
        value = frame.typed.get(name, MISSING)
        if value is MISSING:
            value = frame.typed[name] = self._state.fields[name].build(_record_in(self._frame, name), self)
        return value

    def holder(self, name: str) -> FrameFacts:
        """Return the frame from which a field is read: this frame, or the nearest base frame that holds the field."""
        frame = self._frame
        while frame.base is not None and name not in frame.values:
            if frame.kind != "item" and not self._state.fields[name].immutable:
                # Each arm builds a value of its own, so that an arm that changes its value does not affect the others.
                break
            frame = frame.base
        return frame

    def fresh(self, name: str) -> object:
        """Return a value of a field that no other object shares."""
        kind = self._state.fields[name]
        return self.before(name) if kind.immutable else kind.build(_record_in(self._frame, name), self)

    def apart(self, name: str) -> object:
        """Return a field's value with the updates of this step, for a function that might change the value in place."""
        return self.get(name) if self._is_pending(name) else self.fresh(name)

    def read(self, path: Path) -> object:
        """Return the value at a path; None if a part is missing.

        The last item of a list to which this step appends is read without joining the list.
        """
        if not path.parts:
            return self.get(path.root)
        items = self._items.get(path.root)
        if items and path.parts[0] == ("item", -1) and path.root not in self._new:
            return walk(items[-1], path.parts[1:])
        return walk(self.get(path.root), path.parts)

    def length(self, path: Path) -> int | None:
        """Return the length of the value at a path; None if the value has no length."""
        items = self._items.get(path.root)
        if items is not None and not path.parts and path.root not in self._new:
            return len(self.before(path.root) or ()) + len(items)  # type: ignore[arg-type]
        value = path.walk(self.get(path.root))
        return len(value) if isinstance(value, Sized) else None

    def add_keys(self, name: str, keys: Mapping[Any, object]) -> None:
        """Update keys of a dict field without reading the field."""
        if name in self._new or name in self._grown:
            self.set_new(name, {**(self.get(name) or {}), **keys})  # type: ignore[dict-item]
        else:
            self._keys = {**self._keys, name: {**self._keys.get(name, {}), **keys}}

    def grow_keys(self, name: str, keys: Mapping[Any, Sequence[object]]) -> None:
        """Append items to lists in a dict field without reading the field."""
        if name in self._new or name in self._keys:
            self.set_new(name, _longer(self.get(name), keys))
        else:
            self._grown = {**self._grown, name: _longer(self._grown.get(name), keys)}

    def set_new(self, name: str, value: object) -> None:
        """Set a field to a new value."""
        if self._items is not _NO_ITEMS and name in self._items:
            self._items = {other: items for other, items in self._items.items() if other != name}
        if self._keys is not _NO_KEYS and name in self._keys:
            self._keys = {other: keys for other, keys in self._keys.items() if other != name}
        self._new[name] = value

    def add_items(self, name: str, items: Sequence[object]) -> None:
        """Append items to a list field without reading the field."""
        if name in self._new:
            self._new[name] = [*(self.get(name) or ()), *items]  # type: ignore[misc]
        else:
            self._items = {**self._items, name: [*self._items.get(name, ()), *items]}

    def other_fields(self, name: str) -> dict[str, Any]:
        """Return the other fields, for a validator of this field that reads them.

        A field that also has validators is included only if it was read before, because reading it may need the others.
        The same holds for a field without a record, for example when a node runs alone on a part of a state.
        """
        fields, new = self._state.fields, self._new
        known = {
            n
            for n in fields
            if n in new
            or n in self.holder(n).typed
            or (not fields[n].own and (self._is_pending(n) or n in self.holder(n).values))
        }
        return {n: self.get(n) for n in fields if n != name and n in known}

    def instance(self, read: Callable[[str], object] | None = None) -> object:
        """Return the whole state as an instance of its model. The instance shares the values of the fields."""
        optional = optional_in(self._state.model)
        names = (
            name for name in self.names if name not in optional or self._is_pending(name) or self._is_recorded(name)
        )
        values: dict[str, Any] = {name: (read or self.get)(name) for name in names}
        return self._state.model.model_construct(**values)

    def _is_recorded(self, name: str) -> bool:
        return name in _frame_of(self._frame, name).values


def part_of(record: Any, parts: Sequence[Part]) -> Any:  # noqa: ANN401 - records
    """Return the record to which these parts of a path lead from a record; None if a part is missing."""
    for part in parts:
        if isinstance(record, Raw):
            record = items_of(record) if bytes(memoryview(record)[:1]) == b"[" else keys_of(record)
        record = walk(record, (part,))
    return record


def _frame_of(frame: FrameFacts, name: str) -> FrameFacts:
    """Return the frame whose record a frame reads for a field: the frame itself, or one of its base frames."""
    while frame.base is not None and name not in frame.values:
        frame = frame.base
    return frame


def _record_in(frame: FrameFacts, name: str) -> Any:  # noqa: ANN401 - a record
    return _frame_of(frame, name).values.get(name)


def _longer(table: Any, keys: Mapping[Any, Sequence[object]]) -> dict[Any, Any]:  # noqa: ANN401 - a dict of lists
    """Return a copy of a dict of lists with further items under some keys."""
    old = table or {}
    return {**old, **{key: [*(old.get(key) or ()), *items] for key, items in keys.items()}}
