"""What a node, a condition or a reducer sees: the typed fields of one frame, and the facts of the moment.

Records are the truth; typed values are built from them on first read and cached with the frame. While a step is
being decided, its own updates lie over them (`set_new`, `add_items`) and nothing of the frame is touched.
"""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from graphengine.paths import walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphengine.paths import Path
    from graphengine.records import JsonValue
    from graphengine.state import StateType

MISSING: Final = object()
_NO_KEYS: Final[Mapping[str, Mapping[Any, object]]] = {}
_NO_ITEMS: Final[Mapping[str, Sequence[object]]] = {}
_NO_USAGE: Final[Mapping[str, float | None]] = {}


class FrameFacts(Protocol):
    """What a view needs of a frame."""

    values: dict[str, JsonValue]
    typed: dict[str, object]
    counts: dict[str, int]
    marks: dict[str, JsonValue]


@dataclass(slots=True)
class Held:
    """Records alone, where there is no frame to speak of."""

    values: dict[str, JsonValue]
    typed: dict[str, object] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    marks: dict[str, JsonValue] = field(default_factory=dict)


class View:
    """The fields of a frame, read as typed values, and what conditions may ask besides.

    Attributes:
        node: The node that is being left, "" for none.
        completing: The node whose present visit counts as completed though the frame does not count it yet.
        new_marks: Marks that the step being decided sets.
        usage: Tokens and cost so far, the present step included.
        elapsed_seconds: Driven time so far.
        failure: Names of the exception's types while ways out after a failure are considered, else empty.
    """

    __slots__ = (
        "_frame",
        "_items",
        "_keys",
        "_new",
        "_state",
        "completing",
        "elapsed_seconds",
        "failure",
        "new_marks",
        "node",
        "usage",
    )

    def __init__(self, state: StateType[Any], frame: FrameFacts) -> None:
        self._state = state
        self._frame = frame
        self._new: dict[str, object] = {}
        self._items: Mapping[str, Sequence[object]] = _NO_ITEMS
        self._keys: Mapping[str, Mapping[Any, object]] = _NO_KEYS
        self.node = self.completing = ""
        self.new_marks: dict[str, JsonValue] = {}
        self.usage: Mapping[str, float | None] = _NO_USAGE
        self.elapsed_seconds = 0.0
        self.failure: Sequence[str] = ()

    def count(self, node: str) -> int:
        """Completed visits of a node, the present one included."""
        return self._frame.counts.get(node, 0) + (node == self.completing)

    def mark(self, key: str, default: JsonValue = None) -> JsonValue:
        """What is kept under a tracker's key."""
        if key in self.new_marks:
            return self.new_marks[key]
        return self._frame.marks.get(key, default)

    def digests(self, names: Iterable[str]) -> dict[str, int]:
        """Digests of those fields whose values could be changed in place."""
        fields = self._state.fields
        mutable = [name for name in names if name in fields and not fields[name].immutable]
        return {name: fields[name].digest(self.get(name)) for name in mutable}

    def forget(self, names: Iterable[str]) -> None:
        """Build these fields again from the record when they are read next."""
        for name in names:
            self._new.pop(name, None)
            self._frame.typed.pop(name, None)

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
        return self.before(name)

    def before(self, name: str) -> object:
        """The typed value of a field as the frame has it, without this step's updates."""
        typed = self._frame.typed
        value = typed.get(name, MISSING)
        if value is MISSING:
            value = typed[name] = self._state.fields[name].build(self._frame.values.get(name), self)
        return value

    def fresh(self, name: str) -> object:
        """A field's value as nobody else holds it."""
        kind = self._state.fields[name]
        return self.before(name) if kind.immutable else kind.build(self._frame.values.get(name), self)

    def apart(self, name: str) -> object:
        """A field's value with this step's updates, for a function that might change it in place."""
        pending = name in self._new or name in self._items or name in self._keys
        return self.get(name) if pending else self.fresh(name)

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
        if name in self._new:
            self._new[name] = {**(self._new[name] or {}), **keys}  # type: ignore[dict-item]
        else:
            self._keys = {**self._keys, name: {**self._keys.get(name, {}), **keys}}

    def set_new(self, name: str, value: object) -> None:
        """Lay a new value over a field."""
        if name in self._items:
            self._items = {other: items for other, items in self._items.items() if other != name}
        if name in self._keys:
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
        ask for the others.
        """
        fields, typed = self._state.fields, self._frame.typed
        return {n: self.get(n) for n in fields if n != name and (n in typed or n in self._new or not fields[n].own)}

    def instance(self) -> object:
        """The whole state as an instance of its model, sharing the fields' values."""
        return self._state.model.model_construct(**{name: self.get(name) for name in self._state.fields})
