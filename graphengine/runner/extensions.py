"""The seam of the runner: what other packages are told of a run, and when.

Telemetry, budgets, the choice of models and the scope of agents use it. The runner imports none of them: whoever makes
a Runner passes extensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Mapping, Sequence

    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.engine.steps import Step
    from graphengine.stores.base import RunInfo, Store


class OpenRun(NamedTuple):
    """A run that is about to be driven here, or to be stopped.

    Attributes:
        store: Its store.
        snapshot: Where it is; empty for a new run.
        info: Its row; None for a new run.
        parent: The run that it branches off from.
        caller: The context of the caller who started or resumed it; None if it wakes up here.
    """

    store: Store
    snapshot: Snapshot
    info: RunInfo | None = None
    parent: str | None = None
    caller: contextvars.Context | None = None


class Follower(Protocol):
    """Follows one run for as long as it is driven here. It has only those of these moments that it needs.

    Attributes:
        labels: What it adds to each record of the log.
    """

    labels: Mapping[str, str]

    def entered(self, frame: Frame) -> None:
        """A node is about to begin: called in its context, so that context variables can be set for it."""
        ...

    def ended(self, frame: Frame) -> None:
        """An attempt that recorded work has ended; its event is about to be recorded."""
        ...

    def recorded(self, steps: Sequence[Step]) -> None:
        """Steps are durable."""
        ...

    async def left(self) -> None:
        """The run is driven here no longer."""
        ...


class Extension(Protocol):
    """An extension of a Runner.

    Attributes:
        is_used: Whether the Runner has to wait for it when it closes.
    """

    @property
    def is_used(self) -> bool: ...

    def checked(self, plan: Plan[Any]) -> None:
        """A graph is about to be run. Raises: GraphEngineError, if the extension's options do not fit it."""
        ...

    async def opened(self, run: OpenRun) -> Follower | None:
        """A run is about to be driven here; None if the extension does not follow it."""
        ...

    async def closed(self) -> None:
        """The Runner closes."""
        ...


def told(followers: Sequence[Follower], moment: str) -> Sequence[Callable[..., Any]]:
    """Return the methods to call at a moment."""
    return [getattr(each, moment) for each in followers if hasattr(each, moment)]


async def followers_of(extensions: Sequence[Extension], run: OpenRun) -> Sequence[Follower]:
    """Return what follows a run that is opened."""
    found = [await each.opened(run) for each in extensions]
    return [each for each in found if each is not None]
