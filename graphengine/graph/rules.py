"""Rules on the order of visits: "before", "at most n" and "after". See `GraphDefinition.require`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphengine.graph.options import END
from graphengine.state.selector import Tracker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphengine.state.view import View


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: exactly one of `before`, `after` and `at_most` is set. Unless it `is_checked`, only runs are watched."""

    node: str
    before: str = ""
    after: str = ""
    at_most: int = 0
    is_checked: bool = True
    origin: Any = field(default=None, compare=False, repr=False)  # an Origin, if it is known

    @property
    def guards(self) -> str:
        """What must not begin where the rule would be broken: a node, or END."""
        return self.before or (END if self.after else self.node)

    @property
    def names(self) -> Sequence[str]:
        """The nodes that it names."""
        return [name for name in (self.node, self.before, self.after) if name]

    @property
    def key(self) -> str:
        """The key of its mark."""
        return f"done:{self.node}:{self.after}"

    def trackers(self) -> Iterable[Tracker]:
        """Yield the trackers that it needs: of its node's visits, and of those that make one due again."""
        if not self.at_most:
            yield from (Tracker(self.key, "done", since, self.node) for since in (self.node, self.after) if since)

    def holds(self, view: View, arms: Mapping[str, int]) -> bool:
        """Return whether what it guards may begin; `arms` are the visits in arms that are about to join."""
        visits = view.count(self.node) + arms.get(self.node, 0)
        if self.at_most:
            return visits < self.at_most
        mark: object = view.mark(self.key)
        if self.after:
            return mark != "due"
        return mark == "done" or (mark is None and visits > 0)  # no mark yet: visited before the rule was added

    def __str__(self) -> str:
        if self.at_most:
            return f"{self.node} at most {self.at_most} time{'s' * (self.at_most != 1)}"
        return f"{self.node} before {self.before}" if self.before else f"{self.node} after {self.after}"
