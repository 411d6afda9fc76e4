"""Rules on the order of visits: "before", "at most n" and "after". See `GraphDefinition.require`.

What `before` guards may be inside a graph of a node, as `article/publish`: a graph is handed what was done around it.
The reverse is not seen; there, `before=END` says what the graph inside must have done when it ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from graphengine.graph.options import END
from graphengine.state.interrupts import reraise_interrupt
from graphengine.state.selector import Tracker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphengine.graph.conditions import Condition
    from graphengine.state.view import View


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that a graph declares with `require`. Exactly one of `before`, `after` and `at_most` is set.

    If `is_checked` is False, the rule is not checked when the graph is compiled, only while it runs.

    Attributes:
        answered: For a rule with `before`: the condition that the last visit of `node` must have satisfied; None if any
            visit is enough.
        up: How many graphs further out `node` is, if a surrounding graph declared the rule; 0 if `node` is in the same
            graph.
    """

    node: str
    before: str = ""
    after: str = ""
    at_most: int = 0
    is_checked: bool = True
    up: int = 0
    answered: Condition | None = None
    origin: Any = field(default=None, compare=False, repr=False)  # an Origin, if it is known

    @property
    def guards(self) -> str:
        """The node (or END) that must not begin if the rule would then be broken."""
        return self.before or (END if self.after else self.node)

    @property
    def names(self) -> Sequence[str]:
        """The nodes that it names."""
        return [name for name in (self.node, "" if self.before == END else self.before, self.after) if name]

    @property
    def key(self) -> str:
        """The key of its mark."""
        return f"done:{self.node}:{self.after if self.answered is None else self.answered}"

    def below(self, node: str) -> Rule | None:
        """Return the rule as it applies inside the subgraph at a node; None if it does not concern that subgraph."""
        head, _, inside = self.before.partition("/")
        return replace(self, before=inside, up=self.up + 1) if inside and head == node else None

    def trackers(self) -> Iterable[Tracker]:
        """Yield what a run must remember to watch this rule, such as whether its node was visited."""
        if not self.at_most and not self.up:
            since = [name for name in (self.node, self.after) if name]
            yield from (Tracker(self.key, "done", name, self.node, test=self.is_answered) for name in since)

    def holds(self, view: View, arms: Mapping[str, int]) -> bool:
        """Return whether a run may begin the node that this rule guards, without breaking the rule.

        `view` contains the visits so far. `arms` contains the number of visits of each node in the arms of a fork that
        are about to join, because `view` does not contain these visits yet.
        """
        visits = view.count(self.node) + arms.get(self.node, 0)
        if self.at_most:
            return visits < self.at_most
        mark: object = view.mark(self.key)
        if self.after:
            return mark != "due"
        if mark is None:  # visited before the rule was added
            return visits > 0 and (self.up > 0 or self.is_answered(view))
        return mark == "done"

    def is_answered(self, view: View) -> bool:
        """Return whether the result of a node's visit satisfies the `answered=` condition of this rule.

        The result is False if the evaluation of the condition raises an exception.
        """
        try:
            return self.answered is None or self.answered.evaluate(view)[0]
        except BaseException as error:  # noqa: BLE001 - values of the user's types
            reraise_interrupt(error)
            return False

    def __str__(self) -> str:
        if self.at_most:
            return f"{self.node} at most {self.at_most} time{'s' * (self.at_most != 1)}"
        answered = "" if self.answered is None else f", answered {self.answered}"
        return f"{self.node} before {self.before}{answered}" if self.before else f"{self.node} after {self.after}"
