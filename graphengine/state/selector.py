"""The values that conditions read: a current value, or a mark that keeps past values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from graphengine.state.injection import Injected
from graphengine.state.path import Path, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.state.view import View

Source: TypeAlias = "str | Callable[..., object]"
"""A path, or a pure function whose parameters name the fields that it reads."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Where a condition or an argument gets its value: a path into the state, or a function of state fields."""

    text: str
    path: Path | None
    function: Injected | None

    @classmethod
    def of(cls, source: Source) -> Reading:
        """Create the object that reads a value from the state, by a path written as text or by a function.

        Conditions and arguments of nodes get their values by such an object.
        """
        if isinstance(source, str):
            return cls(source, parse(source), None)
        injected = Injected.of(source)
        return cls(injected.name, None, injected)

    @property
    def roots(self) -> frozenset[str]:
        """The names of the state fields from which the value is read."""
        if self.path is not None:
            return frozenset((self.path.root,))
        return self.function.names if self.function is not None else frozenset()

    @property
    def is_part(self) -> bool:
        """Whether the value is only a part of a field, such as `report.title`."""
        return self.path is not None and bool(self.path.parts)

    def read(self, view: View) -> object:
        """Return the current value."""
        if self.path is not None:
            return view.read(self.path)
        return self.function.call(view) if self.function is not None else None


@dataclass(frozen=True, slots=True)
class Tracker:
    """Describes something about the past of a run that a condition needs, such as how often a node was visited.

    The run keeps the current value of it, which is called a mark, under `key` with the position of the run to which it
    belongs.

    Attributes:
        key: The key under which the run keeps the mark.
        kind: `plateau` (the best sample, and how many samples since were not better), `count` (the number of visits of
            `node` when `since` was last completed), `change` (a digest of the value when `since` was last left) or
            `done` (whether `node` was completed with a result of its own that passes the `test`, since the last visit
            of `since` if there is such a node).
        since: The node that resets the mark; "" if there is none.
    """

    key: str
    kind: Literal["plateau", "count", "change", "done"]
    since: str
    node: str = ""
    reading: Reading | None = None
    mode: Literal["max", "min"] = "max"
    min_delta: float = 0.0
    test: Callable[[View], bool] | None = None
