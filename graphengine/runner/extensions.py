"""Extensions: how other code acts in the runs of a Runner. Telemetry, agents, budgets and executors are extensions.

The runner imports none of them. Each moment of a run is a method that does nothing here; override those you need:

| moment | method |
|---|---|
| a graph is about to be run, another than the last | `Extension.checked` |
| a run is about to branch off with other instructions | `Extension.instructed` |
| a run continues under a changed graph | `Extension.fitted` |
| another run continues with the state of a run under a changed graph | `Extension.migrate_state` |
| a run is about to be driven here, or stopped | `Extension.opened`, which can return a `Follower` |
| a node begins, in its context | `Follower.entered` |
| an attempt that recorded work ends | `Follower.ended` |
| a step leaves the run waiting, or over | `Extension.told` |
| steps are durable | `Follower.recorded` |
| the run is driven here no longer | `Follower.left` |
| a worker has looked at the queues | `Extension.polled` |
| the Runner closes | `Extension.closed` |

What a method raises fails the run, or the call of the Runner, in which it is called; what `left` raises is logged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Mapping

    from graphengine.engine.graph_spec import GraphSpec
    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import RunStatus, Shift
    from graphengine.runner.followers import Follower
    from graphengine.runner.scope import Children, Executors
    from graphengine.state.json_values import JsonValue
    from graphengine.stores.base import Post, RunInfo, Store


class OpenRun(NamedTuple):
    """A run that is about to be driven here, to be stopped, or to be queued for a worker.

    Attributes:
        store: Its store.
        snapshot: Where it is; of a new run it has only the origin. It changes as the run moves; do not change it.
        info: Its row; None for a new run.
        parent: The run that it branches off from.
        caller: The context of the caller who started or resumed it; None if it wakes up here.
        graph: The name of its graph.
        is_queued: Whether it is a new run that only a worker will drive.
    """

    store: Store
    snapshot: Snapshot
    info: RunInfo | None = None
    parent: str | None = None
    caller: contextvars.Context | None = None
    graph: str = ""
    is_queued: bool = False


class Extension:
    """An extension of a Runner: `Runner(extensions=[…])`.

    Override the methods for the moments at which the extension has something to do. The methods run in the event loop
    and must not block. An exception in a method fails the call or the run. An extension adds nothing to the log of a
    run.

    Example:
        >>> from graphengine.kernel.extension import Follower
        >>> class Kinds(Extension, Follower):
        ...     async def opened(self, run):
        ...         return self  # or an object for each run
        ...
        ...     def recorded(self, steps):
        ...         print([step.kind for step in steps])
        >>> async def main() -> None:
        ...     async with Runner(extensions=[Kinds()]) as runner:
        ...         await runner.start(count).result()
        >>> asyncio.run(main())
        ['started']
        ['node']
        ['node']
        ['node']
    """

    @property
    def models(self) -> Mapping[str, str]:
        """The names of the models that runs are given, by for whom, `*` for all others. The log has them."""
        return {}

    @property
    def executors(self) -> Executors | None:
        """What runs nodes with `on=`; without any, they run in place."""
        return None

    @property
    def children(self) -> Children | None:
        """What starts runs from nodes; without any, `Context.start` fails."""
        return None

    @property
    def is_used(self) -> bool:
        """Whether a Runner has to wait for `closed` when it closes; otherwise it may leave it out."""
        return type(self).closed is not Extension.closed

    def checked(self, plan: Plan[Any], *, is_queued: bool) -> None:
        """A graph is about to be run, here or by a worker.

        Not called for each run: if the last graph that was to run here was this one, and was not refused, it is not
        asked about again, unless it is to be queued. What depends on the run belongs to `opened`.

        Raises:
            GraphEngineError: The graph cannot be run.
        """

    def instructed(self, plan: Plan[Any], instructions: Mapping[str, str]) -> None:
        """A run is about to branch off with these instructions, by whose they are. Raises: InputError, if unknown."""

    def fitted(
        self,
        plan: Plan[Any],  # noqa: ARG002 - for those that override it
        snapshot: Snapshot,  # noqa: ARG002
        graph_spec: GraphSpec | None,  # noqa: ARG002
    ) -> tuple[Shift, Snapshot] | None:
        """A run is to continue under another form of its graph than it was recorded under.

        Args:
            plan: Today's plan.
            snapshot: The run's snapshot; it must not be changed.
            graph_spec: The recorded spec of its graph; None if it is not known.

        Returns:
            What the resume must record, and the snapshot after it; None to leave that to the next extension.

        Raises:
            GraphChanged: The run does not fit the plan.
        """
        return None

    def migrate_state(
        self,
        plan: Plan[Any],  # noqa: ARG002 - for those that override it
        snapshot: Snapshot,  # noqa: ARG002
        graph_spec: GraphSpec | None,  # noqa: ARG002
    ) -> Mapping[str, JsonValue] | None:
        """The state of a run that was recorded under another form of its graph is to be given to code that goes on.

        Args:
            plan: Today's plan.
            snapshot: The run's snapshot; it must not be changed.
            graph_spec: The recorded spec of its graph; None if it is not known.

        Returns:
            The records of the state under today's form; None to leave that to the next extension.

        Raises:
            GraphChanged: The state does not fit the plan.
        """
        return None

    async def opened(self, run: OpenRun) -> Follower | None:  # noqa: ARG002 - for those that override it
        """A run is about to be driven here, or stopped; None if the extension does not follow it."""
        return None

    def told(self, snapshot: Snapshot, status: RunStatus) -> Post | None:  # noqa: ARG002 - for those that override it
        """A step is about to be recorded that leaves a run waiting, or over.

        Returns:
            A message for the inbox of another run, which is posted in the same transaction; None for none.
        """
        return None

    async def polled(self, store: Store) -> None:
        """A worker has looked at the queues; called every 15 seconds at most."""

    async def closed(self) -> None:
        """The Runner closes."""
