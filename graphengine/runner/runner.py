"""The Runner: starts, resumes, branches and stops runs over one store."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, Final, overload

from msgspec.structs import replace

from graphengine.compile.code import code_of
from graphengine.compile.compiler import compiled
from graphengine.engine.claim import Claim, Closed, Release
from graphengine.engine.steps import Started
from graphengine.errors import InputError, RunExists, RunIsDriven
from graphengine.graph.effect import check_effects
from graphengine.history.load import load_snapshot
from graphengine.runner import answers, opening
from graphengine.runner.arguments import (
    as_limits,
    check_tags,
    graphs_by_name,
    pauses_of,
    place_in,
    sizes_of,
    store_of,
)
from graphengine.runner.clock import Clock, SystemClock, first_of
from graphengine.runner.ids import OwnId, check_id, chosen_id, new_id
from graphengine.runner.life import Lives
from graphengine.runner.recorded_inputs import as_input
from graphengine.runner.resources import Resources
from graphengine.runner.rules_for_effects import RULES
from graphengine.runner.run import Run, drive_here, handle_on, is_inside
from graphengine.runner.second_pass import SecondPass
from graphengine.runner.shared import Shared
from graphengine.runner.threads import Threads
from graphengine.state.given import as_record
from graphengine.stores.base import status_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from graphengine.engine.steps import OriginRecord, Step
    from graphengine.graph.definition import GraphDefinition, Out_co, S
    from graphengine.graph.effect import Effects
    from graphengine.graph.options import Limits, Sizes
    from graphengine.history.load import At, Wait
    from graphengine.runner.extensions import Extension
    from graphengine.runner.life import Life
    from graphengine.runner.rules_for_effects import EffectAnswer
    from graphengine.runner.run import Posted
    from graphengine.runner.run_events import Event
    from graphengine.stores.base import RunInfo, Store


log = logging.getLogger("graphengine.runner")

_UNOPENED: Final = (
    "run %s was just being started or resumed when its Runner closed, and may not be recorded\n"
    "  repair: await run.result() before the Runner closes"
)
_PAGE: Final = 1000
"""The number of due runs for which `recover` asks at first. It asks for more if this number is reached."""


class Runner:
    """Drives runs and records them in a store.

    This is the Runner of the core, with the options that need no other part of the package. Programs use
    `graphengine.Runner`, which describes the options.

    Example:
        >>> async def main() -> None:
        ...     async with Runner("runs.db") as runner:
        ...         result = await runner.start(count, run_id="first").result()
        ...         print(result.state.n, [step.kind for step in await runner.history("first")])
        >>> asyncio.run(main())
        3 ['started', 'node', 'node', 'node']
    """

    def __init__(  # noqa: PLR0913 - what a whole program's runs share
        self,
        store: Store | None = None,
        *,
        resources: Mapping[str, object] | None = None,
        check: bool = True,
        threads: int = 32,
        clock: Clock | None = None,
        sizes: Sizes | None = None,
        grace_seconds: float = 0.0,
        effects: Effects = "act",
        run_again: bool = False,
        extensions: Sequence[Extension] = (),
        origin: OriginRecord | None = None,
    ) -> None:
        self.store: Store = store_of(store)
        self._in_memory = store is None
        self._grace_seconds = grace_seconds
        self._shared: Shared[Life[Any]] = Shared(
            self.store,
            clock or SystemClock(),
            Resources(resources or {}),
            Threads("graphengine-node", threads),
            (*extensions, SecondPass()) if run_again else tuple(extensions),
            checks=check,
            sizes=sizes_of(sizes),
            effects=check_effects(effects, "Runner"),
            runs_again=run_again,
            origin=origin,
        )
        self._lives = Lives(self._shared)
        self._closing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._lives.check_usable()
        await self.store.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Release the runs that are driven, and close the resources and the store.

        Nodes in flight have `grace_seconds` to finish, and no further node begins. Nodes that are still in flight after
        that time are cut off, and run again when the run is resumed. Released runs have the status `interrupted`, like
        runs of a process that died: `recover`, `resume` and workers find them. A warning in the log names each released
        run, and each run that was just being started. The `result()` of a released run has the status `running`.
        """
        shared = self._shared
        shared.closed = True
        for life in shared.lives:
            life.ask(Closed())
        opened = shared.resources.is_used
        for each in shared.closing:  # a generator in `any` would take longer than the loop
            opened = opened or each.is_used
        if self._in_memory and not (opened or shared.lives or shared.leaving):
            shared.unwatch()
            shared.threads.shutdown(wait=False)
            await self.store.close()  # There is nothing to wait for.
            return
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="graphengine close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        shared = self._shared
        async with contextlib.AsyncExitStack() as stack:  # closes everything, even if closing one part raises an error
            stack.push_async_callback(self.store.close)
            stack.push_async_callback(shared.resources.close)
            stack.callback(shared.threads.shutdown, wait=False)
            stack.callback(shared.unwatch)
            for each in shared.extensions:
                stack.push_async_callback(each.closed)
            await self._let_finish()
            lives = list(shared.lives)
            for life in lives:
                life.task.cancel()
            left = [*shared.close(), *(life.task for life in lives)]
            if left:
                await asyncio.wait(left)
            for life in lives:
                if life.task.cancelled() and not life.seq:
                    log.warning(_UNOPENED, life.id)  # Otherwise nobody would report this.

    async def _let_finish(self) -> None:
        """Wait for the nodes in flight when the Runner closes, but not longer than its `grace_seconds`."""
        driven = list(self._shared.driven.values())
        if driven and self._grace_seconds:
            clock = self._shared.clock
            ended = asyncio.gather(*(life.until("over") for life in driven), return_exceptions=True)
            await first_of(ended, clock.sleep_until(clock.now() + self._grace_seconds))

    def start(  # noqa: PLR0913 - what a run begins with
        self,
        graph: GraphDefinition[S, Out_co],
        state: S | Mapping[str, object] | None = None,
        *,
        run_id: str | None = None,
        limits: Limits | None = None,
        after: str | None = None,
        pause_before: Sequence[str] = (),
        tags: Iterable[str] = (),
        queue: str | None = None,
        priority: int = 0,
        tenant: str | None = None,
        user: str | None = None,
        wait_out: bool = True,
    ) -> Run[S, Out_co]:
        """Start a run of a graph. The run is driven in the background, or by a worker if a queue is given.

        If you give `start` a queue, the run is only recorded here, and `result()` returns at once with the status
        `queued`. A `Worker` of that queue drives the run, in this process or in another one. To wait for the end of the
        run, call `get(run_id, graph).result()`.

        Args:
            graph: The graph.
            state: The initial state, or a mapping of its fields.
            run_id: The id of the run. If not given, an id is generated.
            limits: Limits that replace the limits of the graph.
            after: The id of an earlier run. Its final state, in the fields that the graph keeps, becomes the initial
                state, and `state` is then an update to it.
            pause_before: Nodes, by path (`publish`, `article/review`). Before each visit of such a node, the run waits
                until it gets the answer True.
            tags: Tags of the run, by which `runs` and `prune` can select it.
            queue: The queue from which a worker takes the run.
            priority: Workers take runs with a higher priority from the queue first.
            tenant: The tenant to whom the run belongs, such as a customer. The tenants of a queue take turns, and can
                have limits. Branches of the run belong to the same tenant.
            user: The user who starts the run. Runs that its nodes start have the same user.
            wait_out: Whether `result()` keeps waiting while the run waits only for a time. If False, it returns at
                once.

        Raises:
            CompileError: The graph has an error. Raised at once.
            InputError: An argument is not valid. Raised at once.
            RunExists: A run with this id exists already. Raised by `result()`, as other errors of the store are.

        Example:
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         first = await runner.start(count, {"n": 1}, tags=["nightly"]).result()
            ...         second = await runner.start(count, {"n": 0}, after=first.run_id).result()
            ...         print(first.state.n, second.state.n)
            >>> asyncio.run(main())
            3 3
        """
        is_placed = queue is not None or priority or tenant is not None or user is not None
        place = place_in(queue, priority, tenant, user) if is_placed else None
        lives = self._lives
        plan = lives.checked(compiled(graph), is_queued=queue is not None)
        run_id = new_id(lives.shared.clock.now()) if run_id is None else chosen_id(run_id, tenant)
        given = {} if state is None else state
        begin = partial(
            opening.begin,
            initial=None if after else plan.state.initial(given, f"graph {plan.graph}"),
            given=given,
            facts=Started(
                run_id=run_id,
                graph=plan.graph,
                version=plan.version,
                fingerprint=plan.fingerprint,
                limits=plan.limits.copy() if limits is None else as_limits(limits),
                after=after or "",
                pause=pauses_of(plan, pause_before) if pause_before != () else (),
            ),
            tags=check_tags(tags, "tags=") if tags != () else (),
            place=place,
        )
        return handle_on(lives.begin(plan, run_id, begin, Claim(waits_out=wait_out)), lives)

    def resume(  # noqa: PLR0913 - options of a resume
        self,
        run_id: str,
        graph: GraphDefinition[S, Out_co],
        *,
        limits: Limits | None = None,
        pause_before: Sequence[str] | None = None,
        retry_failed: bool = False,
        user: str | None = None,
        wait_out: bool = True,
    ) -> Run[S, Out_co]:
        """Continue a run, for example after a crash, a stop, a failure, a reached limit, an answer or a message.

        `resume` does not change a run that has finished or that still waits. The status of its result tells which of
        the two is the case.

        Some arms of a fork or some items of a map may have failed while others wait. `resume` then retries the failed
        ones, unless an answer, a message or the end of a waiting time lets the run continue. In a map with
        `on_item_error="keep"`, failed items count as done, so they are retried only with `retry_failed`.

        Args:
            run_id: The id of the run.
            graph: The graph of the run. Its code and declaration may have changed since the run began.
            limits: Limits that replace the limits of the run.
            pause_before: Nodes that replace the nodes before which the run pauses.
            retry_failed: Whether to retry all failed parts, even if the run has other things to do. This includes
                failed items of maps that keep the items that succeeded, as long as the run has not left the map.
            user: The user who resumes the run, who is recorded.
            wait_out: Whether `result()` keeps waiting while the run waits only for a time. If False, it returns at
                once.

        Raises:
            CompileError: The graph has an error. Raised at once.
            RunIsDriven: This Runner drives the run. Raised at once; `get` returns the handle on the run. If another
                process drives the run, `result()` and `events()` raise it.
            UnknownRun: No run with this id is recorded. Raised by `result()` and `events()`.
            GraphChanged: The run does not fit the graph. Raised by `result()` and `events()`.

        Example:
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         cut = await runner.start(count, limits=Limits(visits=1)).result()
            ...         whole = await runner.resume(cut.run_id, count, limits=Limits(visits=9)).result()
            ...         print(cut.status, whole.status, whole.state.n)
            >>> asyncio.run(main())
            stopped finished 3
        """
        plan = self._lives.checked(compiled(graph))
        if check_id(run_id) in self._shared.driven:
            raise RunIsDriven(run_id, "this Runner", math.inf)
        pause = None if pause_before is None else pauses_of(plan, pause_before)
        record = None if limits is None else as_limits(limits)
        resume = partial(opening.resume, limits=record, pause=pause, retry_failed=retry_failed, user=user)
        return handle_on(self._lives.begin(plan, run_id, resume, Claim(waits_out=wait_out)), self._lives)

    def branch(  # noqa: PLR0913 - a run, a place and what differs
        self,
        parent: str,
        graph: GraphDefinition[S, Out_co],
        at: At,
        *,
        update: Mapping[str, object] | None = None,
        path: str | None = None,
        run_id: str | None = None,
        limits: Limits | None = None,
        pause_before: Sequence[str] | None = None,
        tags: Iterable[str] = (),
        instructions: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> Run[S, Out_co]:
        """Start a child run that continues after a step of another run. The other run is not changed.

        Args:
            parent: The id of the run from which to branch off.
            graph: The graph of the run.
            at: The last step that the child shares with the parent. Either the seq of the step, or the path and the
                visit of a node, such as `("review", 2)` or `"review:2"`, for the step that completed that visit.
            update: Fields to write first, through their reducers.
            path: The state to which `update` is written, if several are open at that step: "" for the state of the run,
                `article` for the state of the graph at that path, `~facts` for the view of the arm to `facts`,
                `article/~facts` for an arm inside a graph.
            run_id: The id of the child. If not given, an id is generated.
            limits: Limits that replace the limits that were last in force in the parent.
            pause_before: Nodes that replace the nodes before which the parent pauses.
            tags: Tags of the child. It does not inherit the tags of the parent.
            instructions: Standing instructions that replace the instructions in the graph. The keys are names or paths
                of agents, as for models. The instructions are recorded, so that they also apply after a resume and in
                branches of the child.
            user: The user who branches off the run.

        Raises:
            CompileError: The graph has an error. Raised at once.
            UnknownRun: No run with the id of the parent is recorded. Raised by `result()`.
            UnknownStep: The parent has no such step or visit. Raised by `result()`.
            RunNotResumable: The run cannot continue after that step. Raised by `result()`.
            InputError: The update does not fit the state. Raised by `result()`.

        Example:
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         first = await runner.start(count).result()
            ...         other = await runner.branch(first.run_id, count, at=("more", 1), update={"n": 7}).result()
            ...         print(first.state.n, other.state.n)
            >>> asyncio.run(main())
            3 8
        """
        self._lives.check_usable()
        run: Run[S, Out_co] = Run(parent, self._lives, plan=compiled(graph))
        return run.branch(
            at,
            update=update,
            path=path,
            run_id=run_id,
            limits=limits,
            pause_before=pause_before,
            tags=tags,
            instructions=instructions,
            user=user,
        )

    @overload
    def get(self, run_id: str, graph: None = None) -> Run[Any]: ...

    @overload
    def get(self, run_id: str, graph: GraphDefinition[S, Out_co]) -> Run[S, Out_co]: ...

    def get(self, run_id: str, graph: GraphDefinition[Any] | None = None) -> Run[Any]:
        """Return a handle on an existing run, without starting or resuming the run.

        If this Runner drives the run, `get` returns the handle that `start` or `resume` returned. For any other run,
        `events()` of the handle follows the run in the database. `result()` waits until no process drives the run and
        the run is not queued. If a worker will continue the run after a pause or after a child run, `result()` waits
        for that, too. To drive the run in this process, call `resume`.

        If the run was just started or resumed here and the start or resume fails, the methods of the handle raise the
        reason, for example `RunExists`.

        Args:
            run_id: The id of the run.
            graph: The graph of the run, which determines the type of the result's state and is needed for `Run.branch`.
                Without it, the state of the result contains the recorded JSON values, unless a run of this graph is
                driven here.

        Raises:
            CompileError: The graph has an error. Raised at once.
            UnknownRun: No run with this id is recorded. Raised by the methods of the handle.

        Example:
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         run = runner.start(count, run_id="first")
            ...         print(runner.get("first") is run, (await runner.get("first").result()).state.n)
            ...         print((await runner.get("first", count).result()).state)
            >>> asyncio.run(main())
            True 3
            n=3
        """
        self._lives.check_usable()
        plan = None if graph is None else compiled(graph)
        life = self._lives.of(run_id)
        return Run(run_id, self._lives, plan=plan) if life is None else handle_on(life, self._lives)

    def watch(
        self,
        run_id: str,
        graph: GraphDefinition[Any] | None = None,
        *,
        after: int | str = 0,
        wait_out: bool = True,
        live: bool = True,
    ) -> AsyncGenerator[Event, None]:
        """Iterate over the events of a run until it is over, whichever process drives it.

        `watch` yields the recorded steps, and live events if the run is driven in this process. It yields
        `StatusChanged` whenever the status, the driver or the waits of the run have changed, and at the end `RunEnded`
        with the result. `watch` only reads the database, so it does not affect the run or the process that drives it.

        Args:
            run_id: The id of the run.
            graph: The graph of the run, as for `get`.
            after: Skip the steps up to this step number (`seq`), or up to this cursor, as for `Run.events`.
            wait_out: Whether to continue while the run waits, or while no process drives it. If False, the iteration
                ends there.
            live: Whether live events are wanted, as for `Run.events`.

        Raises:
            CompileError: The graph has an error. Raised at once.
            UnknownRun: No run with this id is recorded. Raised when the iterator is used.

        Example:
            >>> from graphengine import RunEnded, StepRecorded
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         runner.start(count, run_id="first")
            ...         async for event in runner.watch("first", after=2):
            ...             if isinstance(event, StepRecorded):
            ...                 print(event)
            ...             if isinstance(event, RunEnded):
            ...                 print(event.result.status)
            >>> asyncio.run(main())
            3 node more (visit 2, attempt 1) → more
            4 node more (visit 3, attempt 1) → END
            finished
        """
        return self.get(run_id, graph).events(after, wait_out=wait_out, live=live)

    async def info(self, run_id: str) -> RunInfo:
        """Return what the database lists about a run: its graph, status, last step, driving process, times and tags.

        Raises:
            UnknownRun: No run with this id is recorded.
        """
        await self._lives.wait_until_recorded(run_id)
        info = await self.store.info(run_id)
        return replace(info, status=status_of(info))

    async def history(self, run_id: str, *, after: int | str = 0, limit: int | None = None) -> Sequence[Step]:
        """Return the recorded steps of a run in order. For a branch, the steps shared with the parent run are included.

        Args:
            run_id: The id of the run.
            after: Return only the steps after this one, given by its number (`seq`) or by a cursor.
            limit: The maximum number of steps; None for all steps.

        Raises:
            UnknownRun: No run with this id is recorded.
            RunReplaced: The cursor belongs to an earlier run with this id.
        """
        return await Run(run_id, self._lives).history(after=after, limit=limit)

    async def state_at(self, run_id: str, at: At | None = None) -> Mapping[str, Any]:
        """Return the recorded state of a run after one of its steps; by default after the last step.

        Args:
            run_id: The id of the run.
            at: The number of the step (`seq`), or the path and the visit of a node for the step that completed that
                visit, such as `("review", 2)`.

        Raises:
            UnknownRun: No run with this id is recorded.
            UnknownStep: The run has no such step or visit.
        """
        await self._lives.wait_until_recorded(run_id)
        return deepcopy((await load_snapshot(self.store, run_id, at)).root.values)

    async def stop(self, run_id: str, why: str = "asked", *, now: bool = False, final: bool = False) -> None:
        """Stop a run and all runs that its nodes started, each at its next safe point.

        If another process drives one of these runs, the call returns without waiting for its end.

        Args:
            run_id: The id of the run.
            why: The reason to record, for people. The secrets of the run are hidden in it. If the run has secrets and
                its graph is not known here, the reason is withheld.
            now: Whether to cancel the nodes in flight, which run again after a resume. A function in a thread still
                runs to its end first.
            final: Whether the run ends as `cancelled`, so that no resume, answer or message can continue it. This also
                applies to a run that failed or was stopped before. Branches of the run can still be started.

        Raises:
            UnknownRun: No run with this id is recorded.
        """
        await Run(run_id, self._lives).stop(why, now=now, final=final)

    async def release(self, run_id: str, *, now: bool = False) -> None:
        """Give up a run that is driven or sleeps here, so that another process can continue the run.

        After `release`, nodes in flight finish and are recorded, and no further node is started. The run keeps the
        status `running` or `waiting`, and another Runner can resume it at once. If you call `release` right after
        `start`, the run is recorded without starting a node, so that a worker can drive it. If the run is not driven
        here, `release` does nothing.

        Args:
            run_id: The id of the run.
            now: Whether to cancel the nodes in flight, which run again after a resume. A function in a thread still
                runs to its end first.
        """
        self._lives.check_usable()
        lives = [life for life in self._shared.lives if life.id == run_id]
        for life in lives:
            life.ask(Release(now=now))
            self._shared.wake(run_id)
        if not is_inside(run_id):
            for life in lives:
                await life.until("over")

    async def recover(self, *graphs: GraphDefinition[Any]) -> Sequence[Run[Any]]:
        """Resume every run of these graphs whose process died or released the run.

        Call `recover` at the beginning of a program that was restarted and has to finish the runs that it had started
        before. A `Worker` does the same continuously. It drives a limited number of runs at a time, and also continues
        runs that wait.

        `recover` drives all these runs at the same time, with one exception. If a node of a run was in flight at two
        crashes in a row, the node may have caused them. Such runs are driven after the others, one at a time. Runs that
        another process claims first are left out, so any number of processes can call `recover` for the same runs.

        Args:
            graphs: The graphs, with distinct names.

        Returns:
            Handles on the runs, beginning with the run that has had no process for the longest time. Runs that cannot
            be resumed (`GraphChanged`) are included: their `result()` raises the reason.

        Raises:
            CompileError: A graph has an error.
            DefinitionError: Two graphs have the same name.

        Example:
            >>> async def main() -> None:
            ...     async with Runner("runs.db") as runner:
            ...         for run in await runner.recover(count):
            ...             await run.result()
            >>> asyncio.run(main())
        """
        self._lives.check_usable()
        by_name = graphs_by_name(graphs, "recover(")
        for graph in graphs:
            compiled(graph)
        await self.store.open()
        limit, due = _PAGE, partial(self.store.due, self._shared.clock.now(), graphs=list(by_name))
        while len(found := await due(limit=limit)) == limit:  # there may be more runs
            limit *= 4
        found = [info for info in found if info.status == "running"]
        better_alone = [await opening.is_better_alone(self.store, info) for info in found]
        plans = {name: self._lives.checked(compiled(by_name[name])) for name in {info.graph for info in found}}
        # The claims do not have `asked`: if another process was faster and the run ended there, it is not retried.
        claims = [Claim(asked=False, gives_way=True, held_back=is_alone) for is_alone in better_alone]
        begin = self._lives.begin
        lives = [begin(plans[i.graph], i.id, opening.resume, c) for i, c in zip(found, claims, strict=True)]
        # The handles are made now. Otherwise an error that occurs before they are returned would be logged.
        runs = [handle_on(life, self._lives) for life in lives]
        taken = await asyncio.gather(
            *(life.is_taken() for life, is_alone in zip(lives, better_alone, strict=True) if not is_alone)
        )
        are_taken = iter(taken)
        kept: list[Run[Any]] = []
        for run, life, is_alone in zip(runs, lives, better_alone, strict=True):
            if is_alone or next(are_taken) or life.has_trouble:
                kept.append(run)
            else:
                life.is_retrieved = True  # another process has the run
        return kept

    @overload
    async def answer(
        self,
        run_id: str,
        value: object,
        graph: GraphDefinition[S, Out_co],
        *,
        wait: str | Wait | None = None,
        by: str = "",
        reason: str = "",
        through: str = "",
    ) -> Run[S, Out_co]: ...

    @overload
    async def answer(
        self,
        run_id: str,
        value: object,
        graph: None = None,
        *,
        wait: str | Wait | None = None,
        by: str = "",
        reason: str = "",
        through: str = "",
    ) -> Posted: ...

    async def answer(  # noqa: PLR0913 - an answer, and where it comes from
        self,
        run_id: str,
        value: object,
        graph: GraphDefinition[Any] | None = None,
        *,
        wait: str | Wait | None = None,
        by: str = "",
        reason: str = "",
        through: str = "",
    ) -> Run[Any] | Posted:
        """Answer a question of a run, and drive the run on with its graph.

        If you call `answer` without the graph, the answer is only recorded. It is processed by the process that drives
        the run, by a worker, or by a later call with the graph, and the returned `Posted` says by which of them. If no
        process drives the run and no worker is alive, a warning in the log says so.

        If the graph was changed so that the run would now ask another question, `answer` does not record the answer to
        the old question. It migrates the run, which then asks the new question, and raises `QuestionChanged`.

        Args:
            run_id: The id of the run.
            value: The answer, a JSON value or a pydantic model. A text that does not fit the question, for instance
                from a form, is parsed as on the command line: `"yes"` and `"5"` also answer questions for a bool and a
                number.
            graph: The graph of the run, changed or not.
            wait: The question: a `Wait` of a result or of `runner.waits(run_id)`, or its id. The name of the question
                is enough if the run has asked no other question with that name. If not given, the answer is for the
                question that is open when the call begins. Required if several questions are open.
            by: Who answers. The name is recorded with the answer as it is given.
            reason: The reason for the answer, in the words of the person who answers. It is recorded too.
            through: The door through which the answer came, such as `cli`. It is recorded too.

        Returns:
            With a graph: a handle on the run, which is driven from now on, here or by the process that has it. Without
            a graph: a `Posted`, which names what will process the answer.

        Raises:
            UnknownRun: No run with this id is recorded.
            AsksNothing: The run has no open question.
            InputError: The run has no such question, or the answer does not fit the question.
            AnsweredAlready: The question has been answered.
            QuestionWithdrawn: The run no longer asks the question.
            AmbiguousWait: The run has asked several questions with that name.
            GraphChanged: The run does not fit the graph. Nothing is recorded.
            QuestionChanged: The graph asks another question now.

        Example:
            >>> graph = Graph("asks", Count)
            >>> graph.add_node("number", ask("Which number?", int), writes="n")
            >>> graph.add_path(START, "number", END)
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         run = await runner.start(graph).result()
            ...         print(run.status, [wait.question for wait in run.waits])
            ...         going_on = await runner.answer(run.run_id, 5, graph)
            ...         print((await going_on.result()).state.n)
            >>> asyncio.run(main())
            waiting ['Which number?']
            5
        """
        if graph is not None:
            wait = await ask_anew(self, run_id, graph, wait)
        run: Run[Any] = Run(run_id, self._lives, plan=None if graph is None else compiled(graph))
        posted = await run.answer(value, wait=wait, by=by, reason=reason, through=through)
        if graph is not None:
            return await self.drive(run_id, graph)
        if not through and posted.driver is None:  # noqa: SIM102 - a door shows it itself; no worker takes a stopped run
            if (await self.info(run_id)).status == "stopped" or all(x.role is None for x in await self.store.owners()):
                log.warning("the answer to %r of run %s is recorded; %s", posted.wait, run_id, posted.then)
        return posted

    async def answer_ahead(
        self,
        run_id: str,
        value: EffectAnswer,
        graph: GraphDefinition[Any],
        *,
        function: str | None = None,
        by: str = "",
    ) -> None:
        """Record a rule that answers, in place of a person, whether a run has already done a side effect.

        Such a question can arise after a deployment. A run that continues under the new code may ask whether a side
        effect that is about to begin was already done by the old code. A rule recorded with `answer_ahead` then gives
        the answer, if the question offers this answer. The rule applies only to the present code of the graph. If
        several rules apply, the one that was recorded last decides.

        Args:
            run_id: The id of the run.
            value: `same` if the effect was already done, `another` if it is a new one, or `fail` to let the node fail.
            graph: The graph of the run, with the code to which the rule applies.
            function: The name of the function to whose effects the rule applies; None for all effects.
            by: The person who made the rule. The recorded answer names the person.

        Raises:
            UnknownRun: No run with this id is recorded.
            InputError: The value is not one of the three answers.
            CompileError: The graph has an error.
        """
        if str(value) not in ("same", "another", "fail"):
            text = f"{value!r} is not an answer to a question about an effect"
            repair = "give 'same', 'another' or 'fail'"
            raise InputError(text, where=f"run {run_id}", repair=repair)
        rule = {"code": code_of(compiled(graph)).id, "answer": value, "function": function, "by": by}
        await self.store.open()
        key = f"{RULES} {new_id(self._shared.clock.now())}"
        await self.store.post(run_id, "message", {"topic": RULES, "payload": rule}, key=key)

    async def send(self, run_id: str, topic: str, payload: object, *, idempotency_key: str | None = None) -> None:
        """Send a message to a run. The message is kept until a node receives a message on its topic.

        Args:
            run_id: The id of the run.
            topic: The topic of the message.
            payload: A JSON value or a pydantic model.
            idempotency_key: A key for callers that may retry. A second message with the same key is not sent.

        Raises:
            UnknownRun: No run with this id is recorded.
            InputError: The run is over, JSON cannot represent the payload, or the topic or the key contains a NUL
                character or a lone surrogate.
        """
        await Run(run_id, self._lives).send(topic, payload, idempotency_key=idempotency_key)

    async def start_or_send(  # noqa: PLR0913 - what a run begins with, and a message
        self,
        graph: GraphDefinition[S, Out_co],
        run_id: str,
        topic: str,
        payload: object,
        *,
        state: S | Mapping[str, object] | None = None,
        idempotency_key: str | None = None,
        limits: Limits | None = None,
        tags: Iterable[str] = (),
    ) -> Run[S, Out_co]:
        """Send a message to a run. If the run does not exist, start it first. The run is driven here from then on.

        Use `start_or_send` for a chat or an account that has one run: the first message starts the run, and every
        further message continues it. Any number of processes can call `start_or_send` at the same time. Pass an
        `idempotency_key`, so that you can repeat the call after a crash and the message is still received only once.

        Args:
            graph: The graph of the run.
            run_id: The id of the run.
            topic: The topic of the message.
            payload: A JSON value or a pydantic model.
            state: The initial state if the run is started, as for `start`.
            idempotency_key: A second message with the same key is not sent.
            limits: Limits that replace the limits of the graph if the run is started.
            tags: Tags of the run if it is started.

        Returns:
            A handle on the run. If another process drives the run, the handle follows the run there. If that process
            stops driving the run and leaves the message unread, the run continues here. A run that failed or was
            stopped is resumed.

        Raises:
            CompileError: The graph has an error.
            StoreError: The store failed.
            InputError: The run is over, or JSON cannot represent the payload.
        """
        lives, run_id = self._lives, chosen_id(run_id)
        payload = as_input(compiled(graph), topic, payload, f"run {run_id}")
        record = as_record(payload, "the message", self._shared.sizes.message_bytes, marks=True)
        await lives.wait_until_recorded(run_id)
        info = next(iter(await self.store.infos([run_id])), None)
        if info is None:
            # Another caller may have started the run here meanwhile, and it may be resting already.
            await lives.wait_until_recorded(run_id)
            if not await self.store.infos([run_id]) and lives.of(run_id) is None:
                run = self.start(graph, state, run_id=OwnId(run_id), limits=limits, tags=tags)
                with contextlib.suppress(RunExists):  # another process has just started the run
                    await run.begun()
        await Run(run_id, lives)._send(topic, record, idempotency_key, info=info)  # noqa: SLF001 - without reading it again
        return await self.drive(run_id, graph)

    async def drive(
        self, run_id: str, graph: GraphDefinition[S, Out_co], *, limits: Limits | None = None
    ) -> Run[S, Out_co]:
        """Return a handle on a run, and continue the run here if no process drives it.

        Use `drive` in servers and pages to which a client returns. The returned handle gives the events and the result
        of the run, whichever process drives it. If another process leaves the run while it still has something to do,
        the run continues here.

        Args:
            run_id: The id of the run.
            graph: The graph of the run.
            limits: Limits that replace the limits of the run, as for `resume`, if the run is not already driven.

        Raises:
            CompileError: The graph has an error. Raised at once.
            UnknownRun: No run with this id is recorded. Raised by `result()` and `events()`.
            GraphChanged: The run does not fit the graph. Raised by `result()` and `events()`.
        """
        lives = self._lives
        await lives.wait_until_recorded(run_id)  # A start by another caller may be about to find that the run exists.
        resume = opening.resume if limits is None else partial(opening.resume, limits=as_limits(limits))
        return handle_on(drive_here(lives, compiled(graph), run_id, resume), lives)


async def ask_anew(runner: Runner, run_id: str, graph: GraphDefinition[Any], wait: str | Wait | None) -> str:
    """Let a run ask its question again if its graph has changed, before an answer to the old question is recorded.

    Otherwise a person could answer a question that the new code no longer asks. The HTTP service and the protocol
    adapters call this too.

    Returns:
        The id of the question to which the answer belongs.

    Raises:
        QuestionChanged: The run now asks another question, so the answer must not be recorded.
        GraphChanged: The run does not fit the graph.
    """
    lives = lives_of(runner)
    plan, shared = lives.checked(compiled(graph)), lives.shared
    await lives.wait_until_recorded(run_id)
    asked = await answers.find_asked_wait(shared.store, shared.kept, run_id, wait)
    if await opening.asks_anew(shared, plan, run_id, asked.facts.id):
        result = await runner.resume(run_id, graph, wait_out=False).result()
        raise asked.changed(run_id, result.waits)
    return asked.facts.id


def lives_of(runner: Runner) -> Lives:
    """Return the object that keeps the active runs of a Runner. Workers, the command line and the inspector use it."""
    return runner._lives  # noqa: SLF001 - of this module
