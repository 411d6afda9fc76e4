"""The Runner: starts, resumes, branches and stops runs over one store."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel

from graphengine.agents.run_scope import CURRENT
from graphengine.calls.import_guard import check_may_run
from graphengine.errors import DefinitionError, InputError, RunnerClosed
from graphengine.graph.options import Sizes
from graphengine.history.load import Difference, differences, load_snapshot
from graphengine.history.usage import spending
from graphengine.runner import retention as pruning
from graphengine.runner.answers import as_record, check_against, check_answer
from graphengine.runner.clock import Clock, SystemClock
from graphengine.runner.context import Context
from graphengine.runner.model_routing import Models
from graphengine.runner.plans import pauses_of, plan_of
from graphengine.runner.resources import Resources
from graphengine.runner.result import Result, Wait, waits_of
from graphengine.runner.run import Run
from graphengine.runner.supervisor import Tending

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping, Sequence
    from datetime import timedelta
    from os import PathLike
    from types import TracebackType
    from typing import Self

    from graphengine.engine.plan import Plan
    from graphengine.engine.steps import Step
    from graphengine.graph.graph import Graph, Limits
    from graphengine.history.usage import Spent
    from graphengine.models.base import Model
    from graphengine.runner.loop import Driver
    from graphengine.state.json_values import JsonValue
    from graphengine.stores.base import RunInfo, Store

S = TypeVar("S", bound=BaseModel)

_PAGE: Final = 1000
"""So many runs that are due are looked for at first."""


class Runner:
    """Drives runs and keeps them in a store. Use it as an async context manager.

    Args:
        store: A path for a SQLite database, a Store, or nothing for memory.
        resources: Ready-made resources that stand in for the graphs' own, by name.
        models: Models in place of agents' own, as objects or names (`"openai:…"`), by what they are for: an agent's
            name, a node's path (`article/write`), a path and an agent below it (`article/writer`), or `*` for all. The
            most precise one counts. `review_loop:writer` counts in that graph alone.
        check: Catch nodes that change in place what they are given.
        threads: The most sync nodes that run at the same time.
        clock: Tells the time; a test may turn its own.
        sizes: How large a state, an update, a message and recorded work may be.
        grace_seconds: How long nodes in flight may take to finish when it closes.

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
        store: str | PathLike[str] | Store | None = None,
        *,
        resources: Mapping[str, object] | None = None,
        models: Mapping[str, Model | str] | None = None,
        check: bool = True,
        threads: int = 32,
        clock: Clock | None = None,
        sizes: Sizes | None = None,
        grace_seconds: float = 0.0,
    ) -> None:
        self.store: Store = _store(store)
        self._resources = Resources(resources or {})
        self._models = Models(models or {})
        if threads < 1:
            raise DefinitionError(f"Runner(threads={threads})", repair="give 1 or more")
        self._thread_count = threads
        self._threads: ThreadPoolExecutor | None = None
        self._clock = clock or SystemClock()
        self._runs: set[Run[Any]] = set()
        self._sizes = _sizes(sizes)
        self._tending = Tending(
            self.store, self._clock, self._resources, self._models, self._pool, check=check, sizes=self._sizes
        )
        self._tending.grace(grace_seconds)
        self._pid = os.getpid()
        self._closing: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        check_may_run()
        await self.store.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def clock(self) -> Clock:
        """What tells it the time."""
        return self._clock

    async def close(self) -> None:
        """Release the runs that are driven, close resources and the store.

        Nodes in flight have `grace_seconds` to finish; none begins. What is still in flight then is cut off, and runs
        again when the run is resumed. Released runs stay `running`: `recover`, `resume` and workers find them, as those
        of a process that died. A warning names each; its `result()` has the status `running`.
        """
        self._tending.closed = True
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="graphengine close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        async with contextlib.AsyncExitStack() as stack:  # each is closed, whatever the others raise
            stack.push_async_callback(self.store.close)
            stack.push_async_callback(self._resources.close)
            stack.push_async_callback(self._models.close)
            if self._threads is not None:
                stack.callback(self._threads.shutdown, wait=False)
            await self._tending.let_go()
            left: list[asyncio.Task[Any]] = [*self._tending.close(), *(run.cancel() for run in self._runs)]
            left += self._tending.opener.turns.called_off
            if left:
                await asyncio.wait(left)

    def start(  # noqa: PLR0913 - what a run begins with
        self,
        graph: Graph[S],
        state: S | Mapping[str, object] | None = None,
        *,
        run_id: str | None = None,
        limits: Limits | None = None,
        after: str | None = None,
        pause_before: Sequence[str] = (),
        tags: Iterable[str] = (),
    ) -> Run[S]:
        """Begin a run; it is driven in the background.

        Args:
            graph: Its graph.
            state: The initial state, or a mapping of its fields.
            run_id: Its id; one is made if none is given.
            limits: In place of the graph's own.
            after: Begin with what this earlier run left in the fields that the graph keeps; `state` is then an update.
            pause_before: Nodes, by path (`publish`, `article/review`), before which the run waits on every visit, until
                it is answered True.
            tags: Words to mark it with, for `runs` and `prune`.

        Raises:
            CompileError, InputError: At once. What only the store knows (`RunExists`) is raised by `result()`.

        Example:
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         first = await runner.start(count, {"n": 1}, tags=["nightly"]).result()
            ...         second = await runner.start(count, {"n": 0}, after=first.run_id).result()
            ...         print(first.state.n, second.state.n)
            >>> asyncio.run(main())
            3 3
        """
        self._usable()
        plan = plan_of(graph, limits)
        self._check_names(plan)
        given: S | Mapping[str, object] = {} if state is None else state
        initial = None if after else plan.state.initial(given, f"graph {graph.name}")
        pause = pauses_of(plan, pause_before)
        run = self._run(run_id or new_id(self._clock.now()), graph)
        run.tags = pruning.checked_tags(tags, "tags=")
        opening = self._tending.opener.begin(run, plan, initial, given, limits or graph.limits, after, pause)
        return self._live(run, plan, opening)

    def resume(
        self,
        graph: Graph[S],
        run_id: str,
        *,
        limits: Limits | None = None,
        pause_before: Sequence[str] | None = None,
        wait_out: bool = True,
    ) -> Run[S]:
        """Go on with a run after a crash, a stop, a failure, a reached limit, an answer, a message or when it is due.

        A finished one gives its result, one that still waits tells so; neither is touched. Arms of forks and items of
        maps that failed while others wait are tried again at once.

        Args:
            graph: The run's graph, changed or not.
            run_id: The run.
            limits: In place of those it had.
            pause_before: In place of the nodes it had.
            wait_out: Where it comes to wait for nothing but a time, wait that out; else the result is there at once.

        Raises:
            CompileError: At once. `UnknownRun`, `RunIsDriven`, `GraphChanged` are raised by `result()`.

        Example:
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         cut = await runner.start(count, limits=Limits(steps=1)).result()
            ...         whole = await runner.resume(count, cut.run_id, limits=Limits(steps=9)).result()
            ...         print(cut.status, whole.status, whole.state.n)
            >>> asyncio.run(main())
            stopped finished 3
        """
        self._usable()
        plan = plan_of(graph, limits)
        self._check_names(plan)
        run = self._run(run_id, graph)
        run.waits_out = wait_out
        pause = None if pause_before is None else pauses_of(plan, pause_before)
        return self._live(run, plan, self._tending.opener.go_on(run, plan, limits, pause))

    def branch(  # noqa: PLR0913 - a run, a place and what differs
        self,
        graph: Graph[S],
        run_id: str,
        at: int,
        *,
        update: Mapping[str, object] | None = None,
        path: str | None = None,
        branch_id: str | None = None,
        limits: Limits | None = None,
        pause_before: Sequence[str] | None = None,
        tags: Iterable[str] = (),
    ) -> Run[S]:
        """Begin a child run behind a step of another run, which stays as it is.

        Args:
            graph: The run's graph.
            run_id: The parent.
            at: The seq of the last step that the child shares with it.
            update: Fields to write first, through their reducers.
            path: Whose fields, where several states are open at that step: "" for the run's, `article` for those of the
                graph at that path, `~facts` for what the arm to `facts` sees, `article/~facts` for one in a graph.
            branch_id: The child's id; one is made if none is given.
            limits: In place of those last in force in the parent.
            pause_before: In place of the nodes that the parent had.
            tags: Words to mark the child with; it has none of the parent's.

        Raises:
            CompileError: At once. `UnknownRun`, `UnknownStep`, `RunNotResumable`, `InputError` by `result()`.

        Example:
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         first = await runner.start(count).result()
            ...         other = await runner.branch(count, first.run_id, at=2, update={"n": 7}).result()
            ...         print(first.state.n, other.state.n)
            >>> asyncio.run(main())
            3 8
        """
        self._usable()
        plan = plan_of(graph, limits)
        self._check_names(plan)
        if branch_id == run_id:
            told = f"a branch of run {run_id!r} cannot have that id too"
            raise InputError(told, where=f"run {run_id}", repair="choose another branch_id, or give none")
        run = self._run(branch_id or new_id(self._clock.now()), graph)
        run.tags = pruning.checked_tags(tags, "tags=")
        pause = None if pause_before is None else pauses_of(plan, pause_before)

        async def opening() -> Driver:
            await self._known(run_id)
            return await self._tending.opener.branch_off(run, plan, run_id, at, update or {}, path, limits, pause)

        return self._live(run, plan, opening())

    async def stop(self, run_id: str, why: str = "asked") -> None:
        """Stop a run cleanly at its next safe point, whichever process drives it; returns at once for another's.

        Args:
            run_id: The run.
            why: What is recorded as the reason, for people. Where the run has secrets, they are hidden in it; a process
                that has not driven the run's graph cannot find them, and then records no reason.

        Raises:
            UnknownRun.
        """
        self._usable()
        await self._known(run_id)
        driver = self._tending.drivers.get(run_id)
        if driver is None:
            await self.store.open()
            await self._tending.opener.stop(run_id, why)
            self._alarm(run_id)
            return
        driver.stop(why)
        if not _is_inside(run_id):
            await driver.run.ended()

    def drives(self, run_id: str) -> bool:
        """Whether a run is driven here just now; one that sleeps or waits is not."""
        return run_id in self._tending.drivers

    async def leave(self, run_id: str) -> None:
        """Let go of a run that is driven here, or sleeps here, without ending it, and return once that is so.

        Nodes in flight finish and are recorded; nothing more is begun. The run stays `running`, or `waiting`, and
        another Runner can go on with it at once. Nothing happens where it is not driven here.
        """
        self._usable()
        runs = [run for run in self._runs if run.id == run_id]
        for run in runs:
            run.left = True
        driver = self._tending.drivers.get(run_id)
        if driver is not None:
            driver.leave()
        self._alarm(run_id)
        if not _is_inside(run_id):
            for run in runs:
                await run.ended()

    async def due(self, graphs: Sequence[str] | None = None, *, limit: int = 100) -> Sequence[RunInfo]:
        """The runs that somebody should go on with now, those that have been so for longest first; see `Store.due`."""
        self._usable()
        await self.store.open()
        return await self.store.due(self._clock.now(), limit=limit, graphs=graphs)

    async def wants_alone(self, info: RunInfo) -> bool:
        """Whether a run was in flight at two crashes in a row, so that it is to be driven with no other beside it."""
        self._usable()
        return await self._tending.opener.wants_alone(info)

    async def recover(self, *graphs: Graph[Any]) -> Sequence[Run[Any]]:
        """Go on with every orphan of these graphs: runs under way that nobody alive drives, since their process died.

        For a program that starts again and is to finish what it had begun; `Worker` does the same again and again, so
        many at a time, and for runs that wait too. All are driven at once, but for those with a node that was in flight
        at two crashes in a row: they are driven after the others, one at a time. Runs that another process was quicker
        to take are left out, so any number of processes may recover the same runs.

        Args:
            graphs: Their graphs, each of another name.

        Returns:
            A handle on each, those that were left for longest first. One that cannot be gone on with (`GraphChanged`)
            is among them: its `result()` says why.

        Raises:
            CompileError; DefinitionError: Two graphs have one name.

        Example:
            >>> async def main() -> None:
            ...     async with Runner("runs.db") as runner:
            ...         for run in await runner.recover(count):
            ...             await run.result()
            >>> asyncio.run(main())
        """
        self._usable()
        known = {plan_of(graph, None).graph: graph for graph in graphs}
        if len(known) < len(graphs):
            raise DefinitionError("two graphs of one name", where="recover", repair="name each graph differently")
        found, limit = await self.due(list(known), limit=_PAGE), _PAGE
        while len(found) == limit:  # they may not be all
            limit *= 4
            found = await self.due(list(known), limit=limit)
        left = [info for info in found if info.status == "running"]
        alone = [await self._tending.opener.wants_alone(info) for info in left]
        runs = [self._recovered(known[info.graph], info.id, alone=a) for info, a in zip(left, alone, strict=True)]
        taken = await asyncio.gather(*(run.is_taken() for run, a in zip(runs, alone, strict=True) if not a))
        are_taken = iter(taken)
        return [run for run, a in zip(runs, alone, strict=True) if a or next(are_taken) or run.has_trouble]

    def _recovered(self, graph: Graph[S], run_id: str, *, alone: bool) -> Run[S]:
        plan, run = plan_of(graph, None), self._run(run_id, graph)
        run.due_only = True  # another process may have been quicker, and have come to its end
        self._check_names(plan)
        opening = self._tending.opener.go_on(run, plan)
        return self._live(run, plan, self._tending.alone(opening) if alone else opening)

    async def waits(self, run_id: str) -> Sequence[Wait]:
        """What a run waits for. Raises: UnknownRun."""
        await self._known(run_id)
        return waits_of(await load_snapshot(self.store, run_id, None))

    async def answer(self, run_id: str, value: object, *, wait: str | None = None) -> None:
        """Answer what a run asks. Where nobody drives it, `resume` then goes on with it.

        Args:
            run_id: The run.
            value: The answer, as JSON can carry it; a model is written as JSON.
            wait: Which wait; needed where the run has several.

        Raises:
            UnknownRun; InputError: The run waits for no answer of that name, or this is none.

        Example:
            >>> graph = Graph("asks", Count)
            >>> graph.add_node("number", ask("Which number?", int), writes="n")
            >>> graph.add_path(START, "number", END)
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         run = await runner.start(graph).result()
            ...         print(run.status, [wait.question for wait in run.waits])
            ...         await runner.answer(run.run_id, 5)
            ...         print((await runner.resume(graph, run.run_id).result()).state.n)
            >>> asyncio.run(main())
            waiting ['Which number?']
            5
        """
        await self._known(run_id)
        snapshot = await load_snapshot(self.store, run_id, None)
        given = {m.payload["id"] for m in await self.store.inbox([run_id]) if m.kind == "answer"}
        asked = check_answer(snapshot, wait, given)
        record = as_record(value, "the answer", self._sizes.message_bytes)
        check_against(asked, record)
        identity = asked.facts.id
        payload = {"wait": asked.name, "id": identity, "value": record}
        if not await self.store.post(run_id, "answer", payload, key=f"answer {identity}"):
            raise InputError(f"{asked.name!r} was answered already", where=f"run {run_id}", repair="look at the run")
        await self._look(run_id)

    async def send(self, run_id: str, topic: str, payload: object, *, key: str | None = None) -> None:
        """Send a message to a run; it is kept until somebody there receives its topic.

        Args:
            run_id: The run.
            topic: The topic.
            payload: What JSON can carry; a model is written as JSON.
            key: The same key again sends nothing: for callers that may try twice.

        Raises:
            UnknownRun; InputError: The run is over, or JSON cannot carry the payload.
        """
        await self._known(run_id)
        info = await self.store.info(run_id)
        if info.status == "finished":
            raise InputError(f"run {run_id} is over", where=f"run {run_id}", repair="send to a run that goes on")
        message = {"topic": topic, "payload": as_record(payload, "the message", self._sizes.message_bytes)}
        await self.store.post(run_id, "message", message, key=f"message {topic} {key or secrets.token_hex(8)}")
        await self._look(run_id)

    async def _look(self, run_id: str) -> None:
        """Look at a run's inbox now, where it is driven here, or sleeps here."""
        driver = self._tending.drivers.get(run_id)
        if driver is not None:
            driver.deliver(await self.store.inbox([run_id]))
        self._alarm(run_id)

    def _alarm(self, run_id: str) -> None:
        if run_id in self._tending.sleeping:
            self._tending.sleeping[run_id].set()

    async def history(self, run_id: str) -> Sequence[Step]:
        """Every step of a run, those it shares with its parents included. Raises: UnknownRun."""
        await self._known(run_id)
        return await self.store.steps(run_id)

    async def state_at(self, run_id: str, seq: int | None = None) -> Mapping[str, JsonValue]:
        """The state, as recorded, after a step (the last one if none is given). Raises: UnknownRun, UnknownStep."""
        await self._known(run_id)
        return deepcopy((await load_snapshot(self.store, run_id, seq)).root.values)

    async def diff(
        self, first: str, second: str, *, first_seq: int | None = None, second_seq: int | None = None
    ) -> Sequence[Difference]:
        """What differs between the states of two runs, or of one run at two steps. Raises: UnknownRun, UnknownStep."""
        return differences(await self.state_at(first, first_seq), await self.state_at(second, second_seq))

    async def tag(self, run_id: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Sequence[str]:
        """Change a run's tags, whatever its status, whichever process drives it; gives them, sorted.

        Args:
            run_id: The run.
            add: Tags to add, each of 1 to 100 characters that can be printed.
            remove: Tags to take away; those that it has not are ignored.

        Raises:
            UnknownRun; InputError: A text that cannot be a tag.
        """
        added, removed = pruning.checked_tags(add, "add="), pruning.checked_tags(remove, "remove=")
        await self._known(run_id)
        return await self.store.tag(run_id, added, removed)

    async def prune(  # noqa: PLR0913 - one word for each thing that keeps a run
        self,
        *,
        keep_last: int | None = None,
        older_than: float | timedelta | None = None,
        keep_tags: Iterable[str] = (),
        graph: str | None = None,
        statuses: Iterable[str] = ("finished",),
        dry_run: bool = False,
    ) -> pruning.Pruned:
        """Remove old runs, with all that is recorded of them. There is no way back.

        Whatever is asked for, a run stays that is running or waiting, that a live process holds, or whose steps a
        branch needs that stays. The runs are gone when this returns, and their room is free for others; runs of other
        processes go on meanwhile. Cut short, it loses nothing that was to stay, and whoever next opens the store for
        writing frees what is left.

        Args:
            keep_last: So many of the newest runs of each graph stay, whatever their status.
            older_than: Only runs whose last step lies so far back: seconds, or a timedelta.
            keep_tags: Runs with one of these tags stay.
            graph: Only runs of this graph, by name.
            statuses: Only runs of these; `failed` and `stopped` runs could still be resumed, so they must be named.
            dry_run: Only tell what would go.

        Returns:
            What went, and what stayed though it was old enough, with the reasons.

        Raises:
            InputError: Neither keep_last nor older_than is given, or a value makes no sense.
        """
        self._usable()
        wanted = pruning.rule(keep_last, older_than, keep_tags, graph, statuses)
        await self.store.open()
        return await pruning.prune(self.store, wanted, self._clock.now(), dry_run=dry_run)

    async def vacuum(self) -> pruning.Vacuumed:
        """Give the room that pruned runs left back to the disk.

        It goes in strides between which others write, and returns once the room is given back. A database that was made
        by a version before format 3 is written anew, once: that needs twice its size of free space, and whoever writes
        meanwhile waits, and fails with `store_locked` if it takes longer than its time to wait (10 s unless set
        otherwise); its runs can then be resumed. Choose a quiet time for that.

        Raises:
            StoreLocked: Another process was writing all the time.
            StoreFull: The disk has no room for the copy; nothing has changed.
        """
        self._usable()
        await self.store.open()
        return pruning.Vacuumed(*await self.store.vacuum())

    async def spending(self, run_id: str) -> Sequence[Spent]:
        """What a run spent on models so far, by agent, model and node; what it inherited from its parent is told apart.

        Raises:
            UnknownRun.

        Example:
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         run = await runner.start(count).result()
            ...         print([spent.model for spent in await runner.spending(run.run_id)])
            >>> asyncio.run(main())
            []
        """
        await self._known(run_id)
        return spending(await self.store.steps(run_id), (await self.store.info(run_id)).parent_seq)

    async def _known(self, run_id: str) -> None:
        """See to it that a run which was started here just now is there to be looked at."""
        self._usable()
        for run in [run for run in self._runs if run.id == run_id]:
            await run.begun()
        await self.store.open()

    def _run(self, run_id: str, graph: Graph[S]) -> Run[S]:  # noqa: ARG002 - it says what the run is a run of
        if not run_id or any(c.isspace() or ord(c) < ord(" ") for c in run_id) or len(run_id) > 200:  # noqa: PLR2004
            raise InputError(f"{run_id!r} cannot be a run's id", repair="use up to 200 characters without blanks")
        return Run(run_id, lambda after: self.store.steps(run_id, after))

    def _live(self, run: Run[S], plan: Plan[S], opening: Coroutine[Any, Any, Driver | Result[S]]) -> Run[S]:
        """See a run through in the background, from its opening to its result."""
        self._runs.add(run)
        run.start(self._tending.see_through(run, plan, opening), self._runs.discard)
        return run

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._thread_count, thread_name_prefix="graphengine-node")
        return self._threads

    def _usable(self) -> None:
        check_may_run()
        if self._tending.closed or self._pid != os.getpid():
            forked = "" if self._tending.closed else ", in a process that was forked from the one it was made in"
            raise RunnerClosed(f"this Runner is closed{forked}", repair="make a new one: async with Runner(path)")
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if self._loop is not loop:
            raise RunnerClosed(
                "this Runner belongs to another event loop", repair="make one in each: async with Runner(path)"
            )

    def _check_names(self, plan: Plan[Any]) -> None:
        plans = plan.nest
        self._resources.check({name: factory for here in plans for name, factory in here.resources.items()})
        self._models.check(plan)


def _is_inside(run_id: str) -> bool:
    """Whether a node of this run asks, which would wait for itself if it waited for the run."""
    here = CURRENT.get()
    return isinstance(here, Context) and here.run_id == run_id


def _store(given: str | PathLike[str] | Store | None) -> Store:
    if given is None:
        from graphengine.stores.memory import MemoryStore  # noqa: PLC0415 - each store loads when it is used

        return MemoryStore()
    if isinstance(given, (str, os.PathLike)):
        from graphengine.stores.sqlite import SQLiteStore  # noqa: PLC0415

        return SQLiteStore(given)
    return given


def _sizes(given: object) -> Sizes:
    if given is not None and not isinstance(given, Sizes):
        raise DefinitionError(f"Runner(sizes={given!r})", repair="write sizes=Sizes(update_bytes=…)")
    return given or Sizes()


def new_id(now: float) -> str:
    """A new run's id: sorts by time of creation, to the millisecond, and is unlike any other."""
    return f"{int(now * 1000):011x}-{secrets.token_hex(4)}"
