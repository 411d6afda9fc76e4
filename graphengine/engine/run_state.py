"""What `decide` reads in addition to the event: the graph, the snapshot, and the settings of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

STEP_BYTES: Final = 1024
"""The bytes that a step is assumed to add, in addition to its weight: small values are not weighed at all."""

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.plan import Outgoing, Plan
    from graphengine.engine.snapshot import Snapshot
    from graphengine.graph.options import Sizes


class Observer(Protocol):
    """Observes which edges are evaluated and taken, for the coverage report of a test run. It must not change them."""

    def watched(self, plan: Plan[Any], node: str, edges: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Return the same edges in the same order, with conditions that may record their results."""
        ...

    def took(self, plan: Plan[Any], node: str, edges: Sequence[Outgoing], edge: Outgoing, label: str) -> None:
        """Record that this one of the watched edges was taken; of a switch, the case with this label."""
        ...


class RunState:
    """A run in one process. Only `snapshot` is recorded; the rest belongs to this process and never reaches the log.

    Attributes:
        plan: The graph. It is missing (see `has_plan`) only if a process stops a run whose graph it does not have.
        snapshot: The run's position and state. Only the fold changes it.
        checks: Whether to detect functions that change their arguments in place.
        sizes: The size limits of an update and of the state; None for no limits.
        size_bytes: An upper bound of the state's size as JSON after the step `measured_at`; -1 if it was not measured.
        observer: The observer of taken edges, if any.
    """

    __slots__ = ("checks", "has_plan", "measured_at", "observer", "plan", "size_bytes", "sizes", "snapshot")

    def __init__(
        self,
        plan: Plan[Any] | None,
        snapshot: Snapshot,
        *,
        sizes: Sizes | None = None,
        checks: bool = True,
        observer: Observer | None = None,
    ) -> None:
        self.has_plan = plan is not None
        self.plan: Plan[Any] = plan  # type: ignore[assignment] # only StopAsked is decided without one
        self.snapshot = snapshot
        self.checks = checks
        self.observer = observer
        self.sizes = sizes
        self.size_bytes = -1 if snapshot.frames else 0
        self.measured_at = snapshot.seq

    @property
    def size_bound(self) -> int:
        """An upper bound of the state's size now; -1 if it was not measured."""
        return -1 if self.size_bytes < 0 else self.size_bytes + (self.snapshot.seq - self.measured_at) * STEP_BYTES
