"""Extensions: how other code acts in the runs of a Runner. Telemetry, agents, budgets and executors are extensions.

The runner does not import any of them. Each moment of a run has a method, which does nothing in the base class.
Override the methods that you need:

| moment | method |
|---|---|
| a graph is about to be run, and it is another graph than the last | `Extension.checked` |
| a run is about to branch off with other instructions | `Extension.instructed` |
| a run continues under a changed graph | `Extension.fitted` |
| another run continues with the state of a run under a changed graph | `Extension.migrate_state` |
| a run is about to be driven here, or stopped | `Extension.opened`, which can return a `Follower` |
| a node begins, in its context | `Follower.entered` |
| an attempt that recorded work ends | `Follower.ended` |
| a step leaves the run waiting, or over | `Extension.told` |
| steps are durable | `Follower.recorded` |
| the run is no longer driven here | `Follower.left` |
| a worker has looked at the queues | `Extension.polled` |
| the Runner closes | `Extension.closed` |

An exception in a method fails the run, or the call of the Runner, in which the method was called. An exception in
`left` is only logged.
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
    """A run that is about to be driven in this process, to be stopped, or to be queued for a worker.

    Attributes:
        store: The store of the run.
        snapshot: The snapshot of the run. For a new run it contains only the origin. It changes as the run moves;
            extensions must not change it.
        info: The row of the run in the database; None for a new run.
        parent: The id of the run from which it branches off, if any.
        caller: The context variables of the caller who started or resumed the run; None if the run wakes up here.
        graph: The name of the graph.
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
    """Code that takes part in all runs of a Runner, such as telemetry or budgets: `Runner(extensions=[…])`.

    To write an extension, make a subclass of `Extension`, and override the methods for those moments of a run at which
    the extension has something to do. The methods run in the event loop, so they must not block. If a method raises an
    exception, the call or the run for which it was called fails. An extension does not add anything to the log of a
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
        """The models that the extension gives to agents, by the name of the agent. They are recorded with each run.

        The key `*` stands for all other agents.
        """
        return {}

    @property
    def executors(self) -> Executors | None:
        """The object that runs nodes with `on=` in other processes or on other machines.

        If no `Extension` provides `executors`, nodes with `on=` run in this process.
        """
        return None

    @property
    def children(self) -> Children | None:
        """The object that starts child runs for nodes. If no extension provides one, `Context.start` fails."""
        return None

    @property
    def is_used(self) -> bool:
        """Whether a Runner that closes must wait for `closed`. If False, the Runner may skip the call."""
        return type(self).closed is not Extension.closed

    def checked(self, plan: Plan[Any], *, is_queued: bool) -> None:
        """Called before runs of a graph begin, here or by a worker, so that the extension can refuse the graph.

        `checked` is not called for each run. A graph that is the same as the one checked last, and that was not
        refused, is not checked again, unless the run is to be queued. Put checks that depend on the run into `opened`.

        Raises:
            GraphEngineError: The graph cannot be run.
        """

    def instructed(self, plan: Plan[Any], instructions: Mapping[str, str]) -> None:
        """Called before a run branches off with other instructions for its agents, so that they can be checked.

        The keys of the mapping are the names of the agents, or of other parts that receive the instructions.

        Raises:
            InputError: A name is not known.
        """

    def fitted(
        self,
        plan: Plan[Any],  # noqa: ARG002 - for those that override it
        snapshot: Snapshot,  # noqa: ARG002
        graph_spec: GraphSpec | None,  # noqa: ARG002
    ) -> tuple[Shift, Snapshot] | None:
        """Called before a run continues under a graph that has changed since the run was recorded, to migrate the run.

        Args:
            plan: The compiled current graph.
            snapshot: The snapshot of the run, which must not be changed.
            graph_spec: The recorded declaration of the graph; None if it is not known.

        Returns:
            The changes that the resume must record, and the snapshot after them. None to leave the run to the next
            extension.

        Raises:
            GraphChanged: The run does not fit the current graph.
        """
        return None

    def migrate_state(
        self,
        plan: Plan[Any],  # noqa: ARG002 - for those that override it
        snapshot: Snapshot,  # noqa: ARG002
        graph_spec: GraphSpec | None,  # noqa: ARG002
    ) -> Mapping[str, JsonValue] | None:
        """Called to migrate the recorded state of a run for code that uses the state outside the run.

        Code outside the run uses the state, for example, if a node reads past runs with `ctx.runs`, or if a run begins
        with the state of an earlier run. In contrast to `fitted`, the recorded run itself does not continue, so only
        its state must fit the current graph.

        Args:
            plan: The compiled current graph.
            snapshot: The snapshot of the run, which must not be changed.
            graph_spec: The recorded declaration of the graph; None if it is not known.

        Returns:
            The records of the state in the form of the current graph. None to leave the state to the next extension.

        Raises:
            GraphChanged: The state does not fit the current graph.
        """
        return None

    async def opened(self, run: OpenRun) -> Follower | None:  # noqa: ARG002 - for those that override it
        """Called before a run is driven in this process, or stopped.

        Returns:
            An object that follows the run; None if the extension does not follow the run.
        """
        return None

    def told(self, snapshot: Snapshot, status: RunStatus) -> Post | None:  # noqa: ARG002 - for those that override it
        """Called before a step is recorded that leaves the run waiting or ends it.

        Returns:
            A message for the inbox of another run, which is posted in the same transaction; None to post no message.
        """
        return None

    async def polled(self, store: Store) -> None:
        """Called after a worker has looked at the queues, at most every 15 seconds."""

    async def closed(self) -> None:
        """Called when the Runner closes."""
