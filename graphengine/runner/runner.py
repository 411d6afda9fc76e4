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
"""How many due runs `recover` asks for at first; it asks for more if there may be more."""


class Runner:
    """Drives runs and records them in a store: the Runner of the core, with the options that need nothing else.

    `graphengine.Runner`, which programs use, describes them.

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
        """Release the runs that are driven, and close resources and the store.

        Nodes in flight have `grace_seconds` to finish, and no node begins. Nodes that are still in flight then are cut
        off, and run again when the run is resumed. Released runs are `interrupted`, like those of a process that died:
        `recover`, `resume` and workers find them. A warning names each, and any run that was just being started; the
        `result()` of a released run has the status `running`.
        """
        shared = self._shared
        shared.closed = True
        for life in shared.lives:
            life.ask(Closed())
        opened = shared.resources.is_used
        for each in shared.closing:  # a generator for `any` would take longer than what it asks
            opened = opened or each.is_used
        if self._in_memory and not (opened or shared.lives or shared.leaving):
            shared.unwatch()
            shared.threads.shutdown(wait=False)
            await self.store.close()  # there is nothing to wait for
            return
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="graphengine close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        shared = self._shared
        async with contextlib.AsyncExitStack() as stack:  # closes each, even if another one raises
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
                    log.warning(_UNOPENED, life.id)  # nothing else would report that

    async def _let_finish(self) -> None:
        """Wait the grace time for nodes in flight."""
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
        """Start a run; it is driven in the background, or by a worker if a queue is given.

        With a queue the run is only recorded here, and `result()` returns then, with the status `queued`:
        a `Worker` of that queue drives it, in this process or another one. `get(run_id, graph).result()` waits for its
        end.

        Args:
            graph: The graph.
            state: The initial state, or a mapping of its fields.
            run_id: The run's id; generated if not given.
            limits: Limits that replace the graph's own.
            after: An earlier run whose final state, in the fields that the graph keeps, is the initial state; `state`
                is then an update to it.
            pause_before: Nodes, by path (`publish`, `article/review`), before which the run waits on every visit, until
                it is answered True.
            tags: Tags of the run, for `runs` and `prune`.
            queue: The queue from which a worker takes the run.
            priority: The higher, the sooner it is taken from its queue.
            tenant: For whom the run is, such as a customer: the tenants of a queue take turns, and can have limits. Its
                branches are for the same.
            user: Who starts it: the runs that its nodes start have the same.
            wait_out: Whether to wait if the run waits only for a time; else `result()` then returns at once.

        Raises:
            CompileError, InputError: At once. Errors of the store (`RunExists`) are raised by `result()`.

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
        """Resume a run after a crash, a stop, a failure, a reached limit, an answer, a message or when it is due.

        A run that is finished, or still waits, is not changed; its result states that. Arms of forks and items of maps
        that failed while others wait are retried, unless an answer, a message or a time has come. Failed items of a map
        with `on_item_error="keep"` are settled, and not retried unless `retry_failed` says so.

        Args:
            run_id: The run.
            graph: Its graph, changed or not.
            limits: Limits that replace those it had.
            pause_before: Nodes that replace those before which it pauses.
            retry_failed: Whether to retry all that failed, also the items of maps that keep what succeeds, until such a
                map is left, and also if the run has other things to do.
            user: Who resumes it; recorded.
            wait_out: Whether to wait if the run waits only for a time; else `result()` then returns at once.

        Raises:
            CompileError: At once, as `RunIsDriven` if it is driven here: `get` returns its handle then. `UnknownRun`,
                `RunIsDriven` by another process and `GraphChanged` are raised by `result()`, and by `events()`.

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
        """Start a child run after a step of another run, which is not changed.

        Args:
            parent: The id of the run to branch from.
            graph: Its graph.
            at: The last step that the child shares with the parent: its seq, or a node's path and visit, as
                `("review", 2)` or `"review:2"`: the step that completed that visit.
            update: Fields to write first, through their reducers.
            path: The state to write to, if several are open at that step: "" for the run's, `article` for that of the
                graph at that path, `~facts` for the view of the arm to `facts`, `article/~facts` for an arm in a graph.
            run_id: The child's id; generated if not given.
            limits: Limits that replace those last in force in the parent.
            pause_before: Nodes that replace those before which the parent pauses.
            tags: Tags of the child; it does not inherit the parent's.
            instructions: Standing instructions that replace those in the graph, by an agent's name or path, as models
                are given. They are recorded: a resume and branches of the child have them too.
            user: Who branches it off.

        Raises:
            CompileError: At once. `UnknownRun`, `UnknownStep`, `RunNotResumable` and `InputError` by `result()`.

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
        """Return a handle on a run: the same one that `start` or `resume` returned if it is driven here.

        For any other run `events()` follows it, and `result()` waits until no process drives it, it is not queued, and
        it does not only wait for a time or a run of its own that a worker goes on with. To drive it here, call
        `resume`. A start or resume that is about to fail is not distinguished: its handle raises its error, as
        `RunExists`.

        Args:
            run_id: The run.
            graph: The run's graph, for the types of the result's state, and for `Run.branch`. Without it, and if no run
                of it is driven here, the state of the result has the recorded JSON values.

        Raises:
            CompileError: At once. `UnknownRun` by the handle's methods.

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
        """Iterate over what happens to a run, whichever process drives it, until it is over.

        The events are recorded steps after seq `after`, `StatusChanged` whenever the status, the driver or the waits
        have changed, live events while the run is driven here, and `RunEnded` with the result. Only the database is
        read: the run and its driver are not affected.

        Args:
            run_id: The run.
            graph: The run's graph, as for `get`.
            after: Leave out the steps up to this seq, or up to this cursor, as for `Run.events`.
            wait_out: Whether to continue while the run waits, or while no process drives it; else that is its end.
            live: Whether live events are wanted, as for `Run.events`.

        Raises:
            CompileError: At once. `UnknownRun` when iterated.

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
        """Return the facts about a run: its graph, status, last seq, driver, times, tags. Raises: UnknownRun."""
        await self._lives.known(run_id)
        info = await self.store.info(run_id)
        return replace(info, status=status_of(info))

    async def history(self, run_id: str, *, after: int | str = 0, limit: int | None = None) -> Sequence[Step]:
        """Return the steps of a run after a seq or a cursor, at most `limit`, with those it shares with its parents.

        Raises:
            UnknownRun: No run with this id is recorded.
            RunReplaced: The cursor is of an earlier run with this id.
        """
        return await Run(run_id, self._lives).history(after=after, limit=limit)

    async def state_at(self, run_id: str, at: At | None = None) -> Mapping[str, Any]:
        """Return the recorded state after a step: a seq, or a node's path and visit; by default after the last step.

        Raises:
            UnknownRun; UnknownStep: There is no such step or visit.
        """
        await self._lives.known(run_id)
        return deepcopy((await load_snapshot(self.store, run_id, at)).root.values)

    async def stop(self, run_id: str, why: str = "asked", *, now: bool = False, final: bool = False) -> None:
        """Stop a run, and all that its nodes started, at the next safe point of each.

        If another process drives one, return without waiting for that.

        Args:
            run_id: The run.
            why: The reason to record, for people. The run's secrets are hidden in it; without its graph it is withheld.
            now: Whether to cancel what is in flight, which a resume repeats. A function in a thread ends first.
            final: Whether it ends as `cancelled`: no resume, answer or message continues it. So does then one that
                failed or was stopped before. Branches of it can begin.

        Raises:
            UnknownRun: No run with this id is recorded.
        """
        await Run(run_id, self._lives).stop(why, now=now, final=final)

    async def release(self, run_id: str, *, now: bool = False) -> None:
        """Release a run that is driven here, or sleeps here, without ending it, and return when it is released.

        Nodes in flight finish and are recorded; nothing more is started. The run stays `running`, or `waiting`, and
        another Runner can resume it at once. Right after `start` this records the run and starts no node, so that a
        worker drives it. Does nothing if the run is not driven here.

        Args:
            run_id: The run.
            now: Whether to cancel what is in flight, which a resume repeats. A function in a thread ends first.
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
        """Resume every orphan of these graphs: runs whose process died, or released them.

        For a program that restarts and should finish what it had started. `Worker` does the same continuously, with a
        limited number at a time, and also for runs that wait. All are driven at once, except those with a node that was
        in flight at two crashes in a row: they are driven after the others, one at a time. Runs that another process
        claims first are left out, so any number of processes can recover the same runs.

        Args:
            graphs: The graphs, with distinct names.

        Returns:
            A handle on each, longest orphaned first. Runs that cannot be resumed (`GraphChanged`) are included: their
            `result()` raises the reason.

        Raises:
            CompileError; DefinitionError: Two graphs have one name.

        Example:
            >>> async def main() -> None:
            ...     async with Runner("runs.db") as runner:
            ...         for run in await runner.recover(count):
            ...             await run.result()
            >>> asyncio.run(main())
        """
        self._lives.check_usable()
        known = graphs_by_name(graphs, "recover(")
        for graph in graphs:
            compiled(graph)
        await self.store.open()
        limit, due = _PAGE, partial(self.store.due, self._shared.clock.now(), graphs=list(known))
        while len(found := await due(limit=limit)) == limit:  # there may be more
            limit *= 4
        found = [info for info in found if info.status == "running"]
        alone = [await opening.is_better_alone(self.store, info) for info in found]
        plans = {name: self._lives.checked(compiled(known[name])) for name in {info.graph for info in found}}
        # Not asked: if another process was faster and the run ended there, it is not retried.
        claims = [Claim(asked=False, gives_way=True, held_back=a) for a in alone]
        begin = self._lives.begin
        lives = [begin(plans[i.graph], i.id, opening.resume, c) for i, c in zip(found, claims, strict=True)]
        # Else an error before they are returned would be logged.
        runs = [handle_on(life, self._lives) for life in lives]
        taken = await asyncio.gather(*(each.is_taken() for each, a in zip(lives, alone, strict=True) if not a))
        are_taken = iter(taken)
        kept: list[Run[Any]] = []
        for run, life, a in zip(runs, lives, alone, strict=True):
            if a or next(are_taken) or life.has_trouble:
                kept.append(run)
            else:
                life.is_retrieved = True  # another process has it
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

        Without its graph the answer is only recorded: what drives the run takes it up, a worker or a call with the
        graph. What is returned says so, and so does a warning in the log if no process drives it and no worker is
        alive. If the graph was changed so that the question is another one, the answer to the old one is not recorded:
        the run is migrated, asks today's question, and that is the error.

        Args:
            run_id: The run.
            value: The answer, a JSON value or a pydantic model. A text that does not fit the question, as from a form,
                is parsed as on the command line: `"yes"` and `"5"` also answer questions for a bool and a number.
            graph: The run's graph, changed or not.
            wait: The question: a `Wait` of a result or of `runner.waits(run_id)`, or its id. Its name will do if the
                run has asked no other question of that name. Without it the answer is for the question that is open
                when the call begins; required if several are.
            by: Who answers; it is recorded with the answer as it is given.
            reason: Why, in their words; recorded too.
            through: The door through which it came, such as `cli`; recorded too.

        Returns:
            A handle on the run, which is driven from now on, here or by the process that has it; without a graph, what
            takes the answer up.

        Raises:
            UnknownRun; AsksNothing; InputError: The run has no such question, or the answer does not fit it.
            AnsweredAlready, QuestionWithdrawn: The question is no longer open.
            AmbiguousWait: The run has asked several questions of that name.
            GraphChanged: The run does not fit the graph; nothing is recorded.
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
        given = await run.answer(value, wait=wait, by=by, reason=reason, through=through)
        if graph is not None:
            return await self.drive(run_id, graph)
        if not through and given.driver is None:  # noqa: SIM102 - a door shows it itself; no worker takes a stopped run
            if (await self.info(run_id)).status == "stopped" or all(x.role is None for x in await self.store.owners()):
                log.warning("the answer to %r of run %s is recorded; %s", given.wait, run_id, given.then)
        return given

    async def answer_ahead(
        self,
        run_id: str,
        value: EffectAnswer,
        graph: GraphDefinition[Any],
        *,
        function: str | None = None,
        by: str = "",
    ) -> None:
        """Record a rule that answers, in the place of a person, whether earlier code did an effect already.

        The rule holds for exactly the present code of the graph. The run may go on under this code, and ask whether an
        effect that is about to begin was done by the earlier code. Then the rule gives the answer, if the question
        offers this answer. A rule that is recorded later takes precedence.

        Args:
            run_id: The run.
            value: The answer: `same`, `another` or `fail`.
            graph: The graph of the run, with the code that the rule is for.
            function: Only for effects of this function, by its name; None for all.
            by: Who made the rule. The recorded answer names the person.

        Raises:
            UnknownRun: There is no such run.
            InputError: The value is none of the three answers.
            CompileError: The graph has an error.
        """
        if str(value) not in ("same", "another", "fail"):
            text, repair = f"{value!r} answers no question about an effect", "give 'same', 'another' or 'fail'"
            raise InputError(text, where=f"run {run_id}", repair=repair)
        rule = {"code": code_of(compiled(graph)).id, "answer": value, "function": function, "by": by}
        await self.store.open()
        key = f"{RULES} {new_id(self._shared.clock.now())}"
        await self.store.post(run_id, "message", {"topic": RULES, "payload": rule}, key=key)

    async def send(self, run_id: str, topic: str, payload: object, *, idempotency_key: str | None = None) -> None:
        """Send a message to a run; it is kept until a node receives its topic.

        Args:
            run_id: The run.
            topic: The topic.
            payload: A JSON value or a pydantic model.
            idempotency_key: A second message with the same one is not sent: for callers that may retry.

        Raises:
            UnknownRun; InputError: The run is over, JSON cannot represent the payload, or the topic or the key has a
                NUL or a lone surrogate.
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
        """Send a message to a run that is driven here from then on; start the run first if there is none.

        For a chat, or an account, that has one run: its first message starts it, and every further one continues it.
        Any number of processes can call it at the same time. After a crash in between, call it again, with an
        `idempotency_key`.

        Args:
            graph: The run's graph.
            run_id: The run.
            topic: The topic of the message.
            payload: A JSON value or a pydantic model.
            state: The initial state if the run is started, as for `start`.
            idempotency_key: A second message with the same one is not sent.
            limits: Limits that replace the graph's own if the run is started.
            tags: Tags of the run if it is started.

        Returns:
            A handle on the run. If another process drives it, the handle follows it there, and continues it here when
            that process has left it with the message unread. A run that failed or was stopped is resumed.

        Raises:
            CompileError, StoreError; InputError: The run is over, or JSON cannot represent the payload.
        """
        lives, run_id = self._lives, chosen_id(run_id)
        payload = as_input(compiled(graph), topic, payload, f"run {run_id}")
        record = as_record(payload, "the message", self._shared.sizes.message_bytes, marks=True)
        await lives.known(run_id)
        if not await self.store.infos([run_id]):
            await lives.known(run_id)  # another caller may have started it here meanwhile, and it may rest already
            if not await self.store.infos([run_id]) and lives.of(run_id) is None:
                run = self.start(graph, state, run_id=OwnId(run_id), limits=limits, tags=tags)
                with contextlib.suppress(RunExists):  # another process has just started it
                    await run.begun()
        await self.send(run_id, topic, record, idempotency_key=idempotency_key)
        return await self.drive(run_id, graph)

    async def drive(
        self, run_id: str, graph: GraphDefinition[S, Out_co], *, limits: Limits | None = None
    ) -> Run[S, Out_co]:
        """Return a handle on a run that is driven here from now on, unless it is driven already, here or elsewhere.

        For servers and pages to which a client comes back: the handle has the run's events and its result,
        whichever process drives it. If another process leaves it with something to do, it continues here.

        Args:
            run_id: The run.
            graph: The run's graph.
            limits: Limits that replace those it has, as for `resume`, if it is not driven already.

        Raises:
            CompileError: At once. `UnknownRun` and `GraphChanged` are raised by `result()`, and by `events()`.
        """
        lives = self._lives
        await lives.known(run_id)  # another caller's start may be about to find that the run exists
        resume = opening.resume if limits is None else partial(opening.resume, limits=as_limits(limits))
        return handle_on(drive_here(lives, compiled(graph), run_id, resume), lives)


async def ask_anew(runner: Runner, run_id: str, graph: GraphDefinition[Any], wait: str | Wait | None) -> str:
    """Before an answer is recorded, let the run ask today's question if its graph was changed so: for doors too.

    Returns:
        The id of the question that the answer is for.

    Raises:
        QuestionChanged: It did.
        GraphChanged: The run does not fit the graph.
    """
    lives = lives_of(runner)
    plan, shared = lives.checked(compiled(graph)), lives.shared
    await lives.known(run_id)
    asked = await answers.find_asked_wait(shared.store, shared.kept, run_id, wait)
    if await opening.asks_anew(shared, plan, run_id, asked.facts.id):
        result = await runner.resume(run_id, graph, wait_out=False).result()
        raise asked.changed(run_id, result.waits)
    return asked.facts.id


def lives_of(runner: Runner) -> Lives:
    """Return the runs that live in a Runner: for workers, the command line and the inspector."""
    return runner._lives  # noqa: SLF001 - of this module
