"""What a node, a condition or a reducer sees: the typed fields of one frame, and the facts of the moment.

Records are the truth; typed values are built from them on first read and cached with the frame. While a step is
being decided, its own updates lie over them (`set_new`, `add_items`) and nothing of the frame is touched.
"""

from __future__ import annotations

from collections.abc import Sized
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from graphengine.state.path import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from graphengine.state.json_values import JsonValue
    from graphengine.state.path import Path
    from graphengine.state.schema import StateType

MISSING: Final = object()
_NO_KEYS: Final[Mapping[str, Mapping[Any, object]]] = {}
_NO_GROWN: Final[Mapping[str, Mapping[Any, Sequence[object]]]] = {}
_NO_ITEMS: Final[Mapping[str, Sequence[object]]] = {}
_NO_USAGE: Final[Mapping[str, float | None]] = {}


class FrameFacts(Protocol):
    """What a view needs of a frame."""

    values: dict[str, JsonValue]
    typed: dict[str, object]
    digests: dict[str, int]
    lent: set[str]
    marks: dict[str, JsonValue]
    check: bool

    @property
    def kind(self) -> str:
        """`item` where it reads the values of the frame below as they are; nobody writes there meanwhile."""
        ...

    @property
    def base(self) -> FrameFacts | None:
        """The frame it has its state from, where it holds only what it wrote."""
        ...

    def count(self, node: str) -> int:
        """Completed visits of a node."""
        ...


@dataclass(slots=True)
class Held:
    """Records alone, where there is no frame to speak of."""

    values: dict[str, JsonValue]
    typed: dict[str, object] = field(default_factory=dict)
    digests: dict[str, int] = field(default_factory=dict)
    lent: set[str] = field(default_factory=set)
    marks: dict[str, JsonValue] = field(default_factory=dict)
    base: None = None
    check: bool = True
    kind: str = "root"

    def count(self, node: str) -> int:  # noqa: ARG002 - nothing was visited
        """None were."""
        return 0


class View:
    """The fields of a frame, read as typed values, and what conditions may ask besides.

    Attributes:
        node: The node that is being left, "" for none.
        until: The join that the frame is an arm of, "" for none.
        completing: The node whose present visit counts as completed though the frame does not count it yet.
        new_marks: Marks that the step being decided sets.
        usage: Tokens and cost so far, the present step included.
        elapsed_seconds: Driven time so far.
        failure: Names of the exception's types while ways out after a failure are considered, else empty.
        ended: The label that the graph at this node stopped with, while its ways out are considered.
        weight: How many bytes of JSON the step being decided writes, from above; small values count nothing.
    """

    __slots__ = (
        "_frame",
        "_grown",
        "_items",
        "_keys",
        "_new",
        "_state",
        "completing",
        "elapsed_seconds",
        "ended",
        "failure",
        "new_marks",
        "new_samples",
        "node",
        "until",
        "usage",
        "weight",
    )

    def __init__(self, state: StateType[Any], frame: FrameFacts) -> None:
        self._state = state
        self._frame = frame
        self._new: dict[str, object] = {}
        self._items: Mapping[str, Sequence[object]] = _NO_ITEMS
        self._keys: Mapping[str, Mapping[Any, object]] = _NO_KEYS
        self._grown: Mapping[str, Mapping[Any, Sequence[object]]] = _NO_GROWN
        self.node = self.completing = self.until = self.ended = ""
        self.new_marks: dict[str, JsonValue] = {}
        self.new_samples: list[JsonValue] = []
        self.usage: Mapping[str, float | None] = _NO_USAGE
        self.elapsed_seconds = 0.0
        self.failure: Sequence[str] = ()
        self.weight = 0

    def count(self, node: str) -> int:
        """Completed visits of a node, the present one included."""
        return self._frame.count(node) + (node == self.completing)

    def mark(self, key: str, default: JsonValue = None) -> JsonValue:
        """What is kept under a tracker's key."""
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
        """All fields of the state."""
        fields: Mapping[str, object] = self._state.model.model_fields
        return fields

    @property
    def secrets(self) -> frozenset[str]:
        """The fields that hold a secret."""
        return self._state.secrets

    def lend(self, name: str) -> object:
        """A field's value for a function that might change it: what this step writes, as a copy."""
        value = self.get(name)
        return deepcopy(value) if self._pending(name) and not self._state.fields[name].immutable else value

    def digests(self, names: Iterable[str]) -> dict[str, int]:
        """Digests of those fields that `lend` gave as they are, and that could be changed in place."""
        if not self._frame.check:
            return {}
        found: dict[str, int] = {}
        for name in names:
            if self._state.fields[name].immutable or self._pending(name):
                continue
            known = self.holder(name).digests
            if name not in known:
                known[name] = self.digest(name)
            found[name] = known[name]
        return found

    def digest(self, name: str) -> int:
        """A number that changes when a field's value is changed in place."""
        return self._state.fields[name].digest(self.get(name))

    def forget(self, names: Iterable[str]) -> None:
        """Build these fields again from the record when they are read next."""
        for name in names:
            holder = self.holder(name)
            holder.typed.pop(name, None)
            holder.digests.pop(name, None)

    def has(self, name: str) -> bool:
        """Whether the state has this field."""
        return name in self._state.fields

    def get(self, name: str) -> object:
        """The typed value of a field, with the updates of this step."""
        if name in self._new:
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

    def _pending(self, name: str) -> bool:
        """Whether this step writes a field."""
        return name in self._new or name in self._items or name in self._keys or name in self._grown

    def before(self, name: str) -> object:
        """The typed value of a field as the frame has it, without this step's updates."""
        value = self._frame.typed.get(name, MISSING)
        if value is not MISSING:
            return value
        frame = self.holder(name)
        value = frame.typed.get(name, MISSING)
        if value is MISSING:
            value = frame.typed[name] = self._state.fields[name].build(self._record(name), self)
        return value

    def _record(self, name: str) -> JsonValue:
        frame = self._frame
        while frame.base is not None and name not in frame.values:
            frame = frame.base
        return frame.values.get(name)

    def holder(self, name: str) -> FrameFacts:
        """The frame that a field is read from: this one, or the nearest it has its state from."""
        frame = self._frame
        while frame.base is not None and name not in frame.values:
            if frame.kind != "item" and not self._state.fields[name].immutable:
                break  # each arm has a value of its own, so that one that changes it disturbs no other
            frame = frame.base
        return frame

    def fresh(self, name: str) -> object:
        """A field's value as nobody else holds it."""
        kind = self._state.fields[name]
        return self.before(name) if kind.immutable else kind.build(self._record(name), self)

    def apart(self, name: str) -> object:
        """A field's value with this step's updates, for a function that might change it in place."""
        return self.get(name) if self._pending(name) else self.fresh(name)

    def read(self, path: Path) -> object:
        """What lies at a path, None where a part is missing.

        The last item of a list that this step appends to is found without joining the list.
        """
        if not path.parts:
            return self.get(path.root)
        items = self._items.get(path.root)
        if items and path.parts[0] == ("item", -1) and path.root not in self._new:
            return walk(items[-1], path.parts[1:])
        return walk(self.get(path.root), path.parts)

    def length(self, path: Path) -> int | None:
        """The length of what lies at a path, None where it has none."""
        items = self._items.get(path.root)
        if items is not None and not path.parts and path.root not in self._new:
            return len(self.before(path.root) or ()) + len(items)  # type: ignore[arg-type]
        value = path.walk(self.get(path.root))
        return len(value) if isinstance(value, Sized) else None

    def add_keys(self, name: str, keys: Mapping[Any, object]) -> None:
        """Lay keys over a dict field without reading it."""
        if name in self._new or name in self._grown:
            self.set_new(name, {**(self.get(name) or {}), **keys})  # type: ignore[dict-item]
        else:
            self._keys = {**self._keys, name: {**self._keys.get(name, {}), **keys}}

    def grow_keys(self, name: str, keys: Mapping[Any, Sequence[object]]) -> None:
        """Lay items behind lists in a dict field without reading it."""
        if name in self._new or name in self._keys:
            self.set_new(name, _longer(self.get(name), keys))
        else:
            self._grown = {**self._grown, name: _longer(self._grown.get(name), keys)}

    def set_new(self, name: str, value: object) -> None:
        """Lay a new value over a field."""
        if self._items is not _NO_ITEMS and name in self._items:
            self._items = {other: items for other, items in self._items.items() if other != name}
        if self._keys is not _NO_KEYS and name in self._keys:
            self._keys = {other: keys for other, keys in self._keys.items() if other != name}
        self._new[name] = value

    def add_items(self, name: str, items: Sequence[object]) -> None:
        """Lay items behind a list field without reading it."""
        if name in self._new:
            self._new[name] = [*(self._new[name] or ()), *items]  # type: ignore[misc]
        else:
            self._items = {**self._items, name: [*self._items.get(name, ()), *items]}

    def beside(self, name: str) -> dict[str, Any]:
        """The other fields, for a validator of this one that looks at them.

        Fields that have validators of their own too are there only if they were read before, since reading one may
        ask for the others. So are those that have no record, as where a node runs alone on a part of a state.
        """
        fields, new = self._state.fields, self._new
        known = {
            n for n in fields if n in new or n in self.holder(n).typed or (not fields[n].own and self._is_there(n))
        }
        return {n: self.get(n) for n in fields if n != name and n in known}

    def _is_there(self, name: str) -> bool:
        return self._pending(name) or name in self.holder(name).values

    def instance(self, read: Callable[[str], object] | None = None) -> object:
        """The whole state as an instance of its model, sharing the fields' values."""
        return self._state.model.model_construct(**{name: (read or self.get)(name) for name in self.names})


def _longer(table: Any, keys: Mapping[Any, Sequence[object]]) -> dict[Any, Any]:  # noqa: ANN401 - a dict of lists
    """A dict of lists with more items under some keys, as a copy."""
    old = table or {}
    return {**old, **{key: [*(old.get(key) or ()), *items] for key, items in keys.items()}}
