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
    """The members of a state field that `View` uses. `graphengine.state.field.FieldType` implements them."""

    own: bool
    immutable: bool
    exact: Exact | None

    def build(self, record: JsonValue, view: View) -> object:
        """Decode a record of the field to a Python value."""
        ...

    def is_changed(self, value: object, record: JsonValue, view: View) -> bool:
        """Return whether a value was changed in place since it was decoded from this record."""
        ...


class StateFacts(Protocol):
    """The members of a state type that `View` uses. `graphengine.state.schema.StateType` implements them."""

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
    """The members of a frame (one position of a run in a graph) from which `View` reads the state.

    `graphengine.engine.snapshot.Frame` implements them.
    """

    values: dict[str, Any]
    typed: dict[str, object]
    growing: set[str]
    marks: dict[str, Mark]
    added: dict[int, object]

    @property
    def kind(self) -> str:
        """The kind of the frame. The fields around an `item` (of a map) cannot change while the item runs."""
        ...

    @property
    def base(self) -> FrameFacts | None:
        """For an arm of a fork or an item of a map: the frame around it, from which unchanged fields are read."""
        ...

    def count(self, node: str) -> int:
        """Return how many visits of a node have completed."""
        ...


@dataclass(slots=True)
class RecordsAlone:
    """A state that exists only as records, without a run, for example to run a single node."""

    values: dict[str, Any]
    typed: dict[str, object] = field(default_factory=dict)
    growing: set[str] = field(default_factory=set)
    marks: dict[str, Mark] = field(default_factory=dict)
    added: dict[int, object] = field(default_factory=dict)
    base: None = None
    kind: str = "root"

    def count(self, node: str) -> int:  # noqa: ARG002 - nothing was visited
        return 0


class View(Struct, eq=False):
    """The state as one position of a run sees it, as Python values, with the other facts that conditions read.

    Attributes:
        node: The node that is being left; "" if no node is being left.
        until: For the frame of an arm: the join of its fork; "" for other frames.
        checks: Whether functions that change their arguments in place are detected; True by default.
        completing: The node whose current visit counts as completed although the frame does not count it yet.
        new_marks: The values that conditions remember (marks) and that the step which is being decided sets.
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
        """Return how many visits of a node have completed, including the visit that is being completed now."""
        return self._frame.count(node) + (node == self.completing)

    def mark(self, key: str, default: Mark = None) -> Mark:
        """Return what a condition of an edge remembers about earlier steps under this key, such as visits."""
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
        fields: Mapping[str, object] = self._state.model.model_fields
        return fields

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the secret fields of the state."""
        return self._state.secrets

    def lend(self, name: str) -> object:
        """Return the value of a field to pass to a user's function, which might change the value in place by mistake.

        If the current step writes the field, a copy is returned, because such a change could not be detected.
        """
        value = self.get(name)
        return value if self._state.fields[name].immutable or not self._is_pending(name) else deepcopy(value)

    def changed(self, names: Iterable[str]) -> list[str]:
        """Return the names of the fields whose Python values were changed in place after they had been decoded.

        The result is empty if the run does not check for such changes (`checks`).
        """
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
        """Drop cached values of fields that were changed in place after the node that read them had ended.

        Example: node `a` reads `docs`, starts a background task and ends. The task changes `docs` in place. Node `b`,
        which reads `docs` next, must neither see this change nor be blamed for it. Returns the names of the dropped
        fields.

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
        """Return the existing record of a value that a node has read and now writes unchanged, with the value.

        This saves encoding the value again. The value can be a list or dict, or a new list of objects that the node has
        read. For a new list, the records of its objects are used, and a copy of the list is returned, because the node
        may still change its own list. Returns None for any other value.
        """
        for name in self.passes:
            if self.holder(name).typed.get(name) is value and self._state.fields[name].exact is kind:
                return Raw(encode(_record_in(self._frame, name))), value
        if type(value) is not list or not value:
            return None
        records = self._items_read(kind, value)
        if id(value[0]) not in records or id(value[-1]) not in records:
            return None
        found = [records.get(id(item)) for item in value]
        if None in found:
            return None
        if len(records) > len(value):  # a part of a record keeps all of it in memory
            found = [record.copy() for record in found]  # type: ignore[union-attr]
        return found, [*value]

    def _items_read(self, kind: Exact, value: list[object]) -> dict[int, Raw]:
        """Return the records of objects that a node read and that it may now write as items of a list, by `id(item)`.

        Only fields that contain the first or the last item of the new list are searched, because most new lists contain
        no item that was read.
        """
        records: dict[int, Raw] = {}
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
                    records[id(item)] = each
        return records

    def forget(self, names: Iterable[str]) -> None:
        """Drop the cached Python values of these fields, so that they are decoded from their records again.

        The values of all other fields that the same frame holds are dropped too, because they may share parts with
        them.
        """
        for name in names:
            holder = self.holder(name)
            holder.typed.clear()
            holder.added.clear()

    def has(self, name: str) -> bool:
        """Return whether the state has a field of this name."""
        return name in self._state.fields

    def get(self, name: str) -> object:
        """Return the value of a field as the current step sees it, including what the step itself has written."""
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
        return name in self._new or name in self._items or name in self._keys or name in self._grown

    def before(self, name: str) -> object:
        """Return the value that a field had before the current step wrote to the state."""
        value = self._frame.typed.get(name, MISSING)
        if value is not MISSING:
            return value
        frame = self.holder(name)
        value = frame.typed.get(name, MISSING)
        if value is MISSING:
            value = frame.typed[name] = self._state.fields[name].build(_record_in(self._frame, name), self)
        return value

    def holder(self, name: str) -> FrameFacts:
        """Return the frame (one position of the run in a graph) that caches the Python value of a field for this view.

        This is the view's own frame, or a frame around it that holds the field. An arm of a fork caches a mutable value
        itself, so that an arm which changes its value in place does not affect the others.
        """
        frame = self._frame
        while frame.base is not None and name not in frame.values:
            if frame.kind != "item" and not self._state.fields[name].immutable:
                # Each arm builds a value of its own, so that an arm that changes its value does not affect the others.
                break
            frame = frame.base
        return frame

    def fresh(self, name: str) -> object:
        """Return a newly decoded value of a field, which no other object shares."""
        kind = self._state.fields[name]
        return self.before(name) if kind.immutable else kind.build(_record_in(self._frame, name), self)

    def apart(self, name: str) -> object:
        """Return a copy of a field's value in the current step, for a function that might change it in place."""
        return self.get(name) if self._is_pending(name) else self.fresh(name)

    def read(self, path: Path) -> object:
        """Return the value at a path into the state; None if a part of the path is missing.

        The last item of a list to which the current step appends is read without building the whole list.
        """
        if not path.parts:
            return self.get(path.root)
        items = self._items.get(path.root)
        if items and path.parts[0] == ("item", -1) and path.root not in self._new:
            return walk(items[-1], path.parts[1:])
        return walk(self.get(path.root), path.parts)

    def length(self, path: Path) -> int | None:
        """Return the length of the value at a path into the state; None if the value has no length."""
        items = self._items.get(path.root)
        if items is not None and not path.parts and path.root not in self._new:
            return len(self.before(path.root) or ()) + len(items)  # type: ignore[arg-type]
        value = path.walk(self.get(path.root))
        return len(value) if isinstance(value, Sized) else None

    def add_keys(self, name: str, keys: Mapping[Any, object]) -> None:
        """Let this view of the state show new values of some keys of a dict field.

        The present value of the field is not decoded, because that can be slow.
        """
        if name in self._new or name in self._grown:
            self.set_new(name, {**(self.get(name) or {}), **keys})  # type: ignore[dict-item]
        else:
            self._keys = {**self._keys, name: {**self._keys.get(name, {}), **keys}}

    def grow_keys(self, name: str, keys: Mapping[Any, Sequence[object]]) -> None:
        """Let this view of the state show new items of lists in a dict field, by the key of the list.

        The present value of the field is not decoded, because that can be slow.
        """
        if name in self._new or name in self._keys:
            self.set_new(name, _longer(self.get(name), keys))
        else:
            self._grown = {**self._grown, name: _longer(self._grown.get(name), keys)}

    def set_new(self, name: str, value: object) -> None:
        if self._items is not _NO_ITEMS and name in self._items:
            self._items = {other: items for other, items in self._items.items() if other != name}
        if self._keys is not _NO_KEYS and name in self._keys:
            self._keys = {other: keys for other, keys in self._keys.items() if other != name}
        self._new[name] = value

    def add_items(self, name: str, items: Sequence[object]) -> None:
        """Let this view of the state show new items of a list field.

        The present value of the field is not decoded, because that can be slow.
        """
        if name in self._new:
            self._new[name] = [*(self.get(name) or ()), *items]  # type: ignore[misc]
        else:
            self._items = {**self._items, name: [*self._items.get(name, ()), *items]}

    def other_fields(self, name: str) -> dict[str, Any]:
        """Return the other fields of the state that are already known when a validator of the field `name` runs.

        The validator may read these fields. A field that has validators itself is included only if it was read before,
        because decoding the field could need other fields in turn. The same holds for a field without a record, for
        example when a single node runs on a part of a state.
        """
        fields, new = self._state.fields, self._new
        readable = {
            n
            for n in fields
            if n in new
            or n in self.holder(n).typed
            or (not fields[n].own and (self._is_pending(n) or n in self.holder(n).values))
        }
        return {n: self.get(n) for n in fields if n != name and n in readable}

    def instance(self, read: Callable[[str], object] | None = None) -> object:
        """Return the whole state as an instance of the user's class. The instance shares the values of the fields."""
        optional = optional_in(self._state.model)
        names = (
            name for name in self.names if name not in optional or self._is_pending(name) or self._is_recorded(name)
        )
        values: dict[str, Any] = {name: (read or self.get)(name) for name in names}
        return self._state.model.model_construct(**values)

    def _is_recorded(self, name: str) -> bool:
        return name in _frame_of(self._frame, name).values


def part_of(record: Any, parts: Sequence[Part]) -> Any:  # noqa: ANN401 - records
    """Return the part of a recorded value that a path leads to; None if a part of the path is missing.

    Parts of the record that are still encoded are decoded on the way only where this is needed.
    """
    for part in parts:
        if isinstance(record, Raw):
            record = items_of(record) if bytes(memoryview(record)[:1]) == b"[" else keys_of(record)
        record = walk(record, (part,))
    return record


def _frame_of(frame: FrameFacts, name: str) -> FrameFacts:
    while frame.base is not None and name not in frame.values:
        frame = frame.base
    return frame


def _record_in(frame: FrameFacts, name: str) -> Any:  # noqa: ANN401 - a record
    return _frame_of(frame, name).values.get(name)


def _longer(table: Any, keys: Mapping[Any, Sequence[object]]) -> dict[Any, Any]:  # noqa: ANN401 - a dict of lists
    """Return a copy of a dict of lists in which further items are appended to the lists under some keys."""
    old = table or {}
    return {**old, **{key: [*(old.get(key) or ()), *items] for key, items in keys.items()}}
