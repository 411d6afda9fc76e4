"""A Runner as a medium: real node functions, a store in memory or a file, and processes that are lost at writes.

What it is for
    To see that what the pure engine allows is what a Runner does: it decides when tasks begin, names waits, records
    calls, keeps the inbox, and goes on after a loss. `Running(program).play()` drives the run to its end, then hands
    the whole log to the model, step by step, and compares states, statuses and the ledger.

Invariants
    - A `crash` of the program is the loss of a process at that write: before it, or right after it is durable, and in a
      file also by a stall.
    - Whatever is in the log before a loss is in it after it, unchanged.
    - Everything that a process does is ordered as data, so that it can be another process of the system.
    - Who resumes the run after its process died while something was in flight records that it crashed. If the store has
      no room for that record, its claim is released, and the next one who resumes the run does not know of the crash.
    - When the run rests, somebody answers one question, of it or of a child run, or sends one message; if nobody is
      asked, time goes on.
    - A deployment is the code of each later process. The model hears of it before the first step of such a process.
    - The log of each child run and branch that is still there has a model of its own, for a branch with the steps that
      it shares. What happens from outside happens to the first run alone; but once a stop of it is acknowledged, no run
      begins below it, and none waits.
    - No effect of a branch has the idempotency key of one of the run that it left.
    - If no process was lost, and no arm cancelled, every act is in the log: nothing is paid twice, or unseen.
    - The state of a conversation is its agent's, and not compared: its steps are.
    - Of a run that was removed, and whose id another one has, the ledger and the model of that other one know nothing;
      `earlier` keeps what must not be seen of it, and its idempotency keys, which must be the same again.
    - With workers, several processes live at the same time, and each ends when nothing is due (`beside`). Only the
      first one acts for somebody outside.
    - How many steps there are between two snapshots depends on the program, so that short runs have some.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from math import inf
from random import Random
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from graphengine import Graph, Limits, RunFailed, Runner
from graphengine.budgets import Budget, Budgets
from graphengine.engine import steps
from graphengine.engine.reasons import InForce
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.step_json import encode_step
from graphengine.errors import (
    GraphChanged,
    GraphEngineError,
    RunCancelled,
    RunIsDriven,
    RunnerClosed,
    RunNotResumable,
    StoreError,
    StoreFull,
    UnknownRun,
)
from graphengine.history.load import load_snapshot
from graphengine.history.reasons import load_specs
from graphengine.runner.run import life_of
from graphengine.runner.runner import lives_of
from graphengine.state.recorded_text import show
from tests.sim import program as p
from tests.sim.beside import Beside, works
from tests.sim.build import graph_of
from tests.sim.disk import Disk
from tests.sim.earlier import Earlier, nonces, refused_as_replaced
from tests.sim.media import fault_of, place_of, row_of, same, same_edge, state_of
from tests.sim.model import Model, Row, Wrong
from tests.sim.world import COST_USD, HERE, RUN, Clock, Loop, Loss, Memory, Outside, Place, Process, World, cost_of

MANY: Final = 10_000
"""More runs than any program has."""
MOST_ROUNDS: Final = 2000
"""How often the run may rest in memory before it ends: some eight times for each of a hundred visits, and more."""
IDLE_ROUNDS: Final = 60
"""After how many rounds in which neither a run nor the clock has moved, it never ends."""
ROUNDS: Final = 100
"""How often it may rest in a file before it is cancelled."""
LAGS: Final = (1, 1, 4, 12)
"""How many turns of the event loop an act takes: with more of them, more acts are in flight at once."""
MIN_ROWS: Final = (3, 12, 256)
"""How many steps there are between two snapshots of a run at least: with 256 few runs have one."""
START: Final[p.Place] = (0, "start", 0)
"""The place of the start of a child run, whichever it is."""
AWAKE_SECONDS: Final = 1.0
"""How long a process that stalled goes on at least."""


class Orders(NamedTuple):
    """What a process is to do: to act for somebody outside, and then to drive the run.

    Attributes:
        starts: Whether to start the run, and not to resume it.
        visits: Its limit of visits from now on; 0 to leave its limits.
        cost_usd: Its limit of costs from then on; 0 for none.
        run: The run to which a message is sent, or whose question is answered.
        topic: The topic of a message to it; "" for none.
        message: The message.
        rests: Whether the first run is over, so that only other runs are resumed.
        wait: What to answer; "" for nothing.
        answer: The answer.
        stop: How to stop the run, and do no more: "stop", or for good "cancel"; "" not to.
        changes: What the code of the process has changed.
        cursor: Where a watcher of an earlier run with the same id was, who goes on in vain, as all that is done; "" if
            there is none.
        links: The ids of the questions that the earlier run asked, which are answered in vain before that.
        orphans: The child runs of the earlier run that have not ended, and are cancelled after that.
        leaves: Whether to leave the run alone after all that: it is over, or workers drive it.
        queue: The queue in which the run is started; "" for none.
        peers: The peers to start before that.
    """

    starts: bool = False
    visits: int = 0
    cost_usd: float = 0.0
    run: str = RUN
    topic: str = ""
    message: Any = None
    rests: bool = False
    wait: str = ""
    answer: Any = None
    stop: str = ""
    changes: Sequence[p.Change] = ()
    cursor: str = ""
    links: Sequence[str] = ()
    orphans: Sequence[str] = ()
    leaves: bool = False
    queue: str = ""
    peers: Sequence[str] = ()


def runner_of(store: Any, program: p.Program) -> Runner:
    """Return the Runner of a process."""
    cost_usd, over = program.budget * COST_USD, program.over
    budgets = [Budgets(Budget(name="b", window="hour", cost_usd=cost_usd, over=over))] if cost_usd else []
    return Runner(store, clock=Clock(), extensions=budgets)


async def speak(runner: Runner, orders: Orders) -> None:
    """Send and answer what is ordered."""
    if orders.topic:
        await runner.send(orders.run, orders.topic, orders.message)
    if orders.wait:
        await runner.answer(orders.run, orders.answer, wait=orders.wait)


async def obey(
    runner: Runner, graph: Graph[Any], children: Mapping[str, Graph[Any]], begins: Mapping[str, Any], orders: Orders
) -> bool:
    """Drive the run as is ordered, until it rests; before it is resumed, other runs are, by the names of their graphs.

    Return whether the run was stopped, if that was ordered, or while children were resumed, and these then, too: a
    resume can undo a stop.
    """
    limits = Limits(visits=orders.visits, cost_usd=orders.cost_usd or None) if orders.visits else None
    ended = contextlib.suppress(RunFailed, RunCancelled, RunIsDriven, StoreFull)  # a stop claims the run, too
    if orders.stop:
        with contextlib.suppress(GraphEngineError):
            await runner.stop(RUN, final=orders.stop != "stop")
            return True
        return False
    if orders.starts:
        with ended:
            queue = orders.queue or None
            await runner.start(graph, dict(begins), run_id=RUN, limits=limits, tags=["first"], queue=queue).result()
    if orders.starts or orders.leaves:
        return False
    if children and limits is None:
        resumed: list[str] = []
        for child in [each for each in await runner.runs(limit=MANY) if each.starter or each.parent]:
            if child.status in ("running", "waiting") or (child.parent and child.status == "interrupted"):
                resumed += [child.id] if child.root == RUN else []
                with ended, contextlib.suppress(UnknownRun):  # it can have been removed meanwhile
                    await runner.resume(child.id, children[child.graph]).result()
                if (await runner.info(RUN)).status == "stopped":  # meanwhile: what is just being resumed goes on
                    for each in resumed:
                        with contextlib.suppress(GraphEngineError):
                            await runner.stop(each)
                    return True
    if orders.rests:
        return False
    with ended:
        await runner.resume(RUN, graph, limits=limits).result()
    return False


async def meddle(runner: Runner, graph: Graph[Any], orders: Orders) -> None:
    """Do what was meant for an earlier run with the same id, in vain, and end the child runs of that one."""
    for link in orders.links:
        await refused_as_replaced(runner.answer(RUN, "late", wait=link))
    await refused_as_replaced(anext(runner.watch(RUN, graph, after=orders.cursor)))
    for child in orders.orphans:
        with contextlib.suppress(GraphEngineError):
            await runner.stop(child, final=True)


@lru_cache(maxsize=200)
def compiled(graph: p.Graph, name: str, changes: tuple[p.Change, ...] = ()) -> Graph[Any]:
    """Return a graph in a deployment, whose functions act outside of the process in which they are called."""
    made = graph_of(graph, Outside(), name, changes)
    made.compile()
    return made


class Running:
    """One run in a Runner; `losses` in place of those that the program draws."""

    def __init__(self, program: p.Program, *, on_disk: bool = False, losses: Mapping[int, Loss] | None = None) -> None:
        self.program, self.on_disk = program, on_disk
        self.random = Random(program.order)  # noqa: S311 - no secret
        self.loop = Loop()
        shared = program.workers > 1
        self.place: Place = Disk(self.loop, program.order) if on_disk else Memory(self.loop, shared=shared)
        crashes = [event.at for event in program.events if event.what == "crash"]
        drawn: Mapping[int, Loss] = {at: self.random.choice(self.place.losses) for at in crashes}
        self.world = World({**(drawn if losses is None else losses)}, self.wrote, self.place.drives, self.tell)
        self.world.lag = LAGS[program.order % len(LAGS)]
        self.stops = [event for event in program.events if event.what in ("stop", "cancel", "again")]
        self.besides = [event for event in program.events if event.what in ("branch", "full")]
        self.transacts = "effect='transaction'" in p.written(program)
        self.gets_full = any(event.what == "full" for event in program.events)
        self.has_branches = any(event.what == "branch" for event in program.events)
        self.agains = sum(event.what == "again" for event in program.events)
        self.earlier = Earlier()
        self.beside = Beside({f"peer{number}": peer for number, peer in enumerate(program.peers)})
        self.posts = [event.at for event in program.events if event.what == "message"]
        self.prunes = [event.at for event in program.events if event.what == "prune"]
        self.deploys = [event for event in program.events if event.what == "deploy"]
        self.deployed: list[tuple[Mapping[str, int], tuple[p.Change, ...]]] = []
        self.changes: tuple[p.Change, ...] = ()
        self.world.limit = program.quarters * COST_USD or inf
        self.most, self.raised_at = program.visits, 0
        self.resumes, self.sent = program.resumes, 0
        self.rows: list[bytes] = []
        starts = *p.starts(program.graph), *(p.Start(peer.graph) for peer in program.peers)
        self.specs = {op.name: op.graph for op in starts}
        self.world.heads = bool(self.deploys and (self.has_branches or self.specs))
        self.has_topics = any(op.topic for op in p.starts(program.graph))
        self.runners: dict[Process, Runner] = {}
        self.stalled: list[Process] = []
        self.at_stop: frozenset[str] | None = None
        self.cut: set[int] = set()

    def play(self) -> Model:
        """Play the program to its end. Raises: Wrong, or whatever the engine raises."""
        logging.disable()
        rows = MIN_ROWS[self.program.order // len(LAGS) % len(MIN_ROWS)]
        patches = contextlib.ExitStack()
        for name in ("databases.snapshots", "stores.memory"):
            patches.enter_context(patch(f"graphengine.{name}.MIN_ROWS", rows))
        patches.enter_context(patch("graphengine.runner.ids.new_nonce", nonces()))
        patches.enter_context(patch("graphengine.runner.shared.LOOK_SECONDS", 60.0))  # looks would take a fifth of it
        try:
            self.graph(())
            return self.loop.run_until_complete(self.played())
        finally:
            patches.close()
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(self.place.remove())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()
            logging.disable(logging.NOTSET)

    def graph(self, changes: Sequence[p.Change]) -> Graph[Any]:
        """Return the graph of a deployment."""
        return compiled(self.program.graph, "sim", tuple(changes))

    def others(self, changes: Sequence[p.Change]) -> Mapping[str, Graph[Any]]:
        """Return the graphs of other runs than the first one in a deployment, by name."""
        graphs = {name: compiled(spec, name, p.of_children(changes)) for name, spec in self.specs.items()}
        branch = self.graph(changes)
        return {branch.name: branch, **graphs} if self.has_branches else graphs

    async def played(self) -> Model:
        """Play the program to its end."""
        await self.place.open()
        last, at = None, 0
        for number in range(MOST_ROUNDS):
            now = self.loop.now, [(info.id, info.status, info.seq) for info in await self.place.view.runs(limit=MANY)]
            if now != last:
                last, at = now, number
            if number - at > IDLE_ROUNDS:
                raise Wrong("the run does not end, and nothing moves")
            if self.on_disk and number and number % ROUNDS == 0:  # one is lost if its Runner closes before
                self.stops.append(p.Event(0, "cancel"))
            await self.lives(await self.ordered())
            await self.kept()
            info = await self.info()
            if info is not None and self.is_over(info.status) and not await self.goes_on():
                if self.agains:
                    await self.begin_again()
                elif not (self.beside.peers and await self.beside.goes_on(self.place.view)):
                    break
        else:
            raise Wrong("the run does not end")
        for each in self.stalled:
            await self.wake(each)
        await self.kept(ended=True)
        model = await self.checked()
        await self.place.check()
        return model

    def is_over(self, status: str) -> bool:
        """Return whether nobody resumes a run with a status any more."""
        return status in ("finished", "cancelled") or (status in ("failed", "stopped") and not self.resumes)

    async def goes_on(self) -> bool:
        """Return whether a branch has yet to end."""
        runs = await self.place.view.runs(limit=MANY) if self.has_branches else ()
        return any(info.parent is not None and info.status in ("running", "waiting") for info in runs)

    async def begin_again(self) -> None:
        """Check the run, which is over, and remove it, so that the next process starts another one with its id."""
        await self.kept(ended=True)
        await self.checked()
        if await self.earlier.remove(self.place.view):  # a process that stalled has claimed it
            for each in self.stalled:
                await self.wake(each)
            self.stalled = []
            same("why a run that is over stays", await self.earlier.remove(self.place.view), "")
        self.agains -= 1
        self.stops = [event for event in self.stops if event.what != "again"]
        self.rows, self.deployed, self.cut = [], [({}, self.changes)], set()
        self.most, self.raised_at, self.resumes = self.program.visits, 0, self.program.resumes
        self.sent = 0 if self.program.graph.talks else self.sent
        self.world.forget()
        self.world.limit = self.program.quarters * COST_USD or inf

    # --- processes ----------------------------------------------------------------------------------------------------

    async def lives(self, orders: Orders) -> None:
        """Let a process live until the run rests, or it is lost; then those that stalled before learn of it.

        With workers, several live at the same time: what one loses, another one takes.
        """
        before = self.stalled
        self.stalled = []
        for each in before:
            self.place.expires(each)
        self.world.flying, self.at_stop = 0, None
        driving: dict[Process, asyncio.Task[None]] = {}
        for number in range(max(1, self.program.workers)):
            process = self.place.process(self.world)
            mine = Orders(changes=orders.changes, leaves=True) if number else orders
            process.changes, process.resumes = mine.changes, not (mine.leaves or mine.rests)
            self.runners[process] = process.context.copy().run(runner_of, process.door, self.program)
            driving[process] = self.loop.create_task(self.drives(process, mine), context=process.context.copy())
        lost = self.world.lost
        while driving:
            losing = [self.loop.create_task(process.lost.wait()) for process in driving]
            await asyncio.wait([*driving.values(), *losing], return_when=asyncio.FIRST_COMPLETED)
            for watch in losing:
                watch.cancel()
            for process in [each for each in driving if each.lost.is_set() or driving[each].done()]:
                done = driving.pop(process)
                await self.ended(process, done, is_last=not driving)
        if self.world.lost == lost:
            if orders.stop and self.program.workers > 1:  # another process that drove the run may have obeyed it later
                await self.note_stop()
            await self.check_stop()
        for each in before:
            await self.wake(each)

    async def ended(self, process: Process, driving: asyncio.Task[None], *, is_last: bool) -> None:
        """Note how a process ended that is lost, or has done what it had to; others can take what it has lost."""
        if process.lost.is_set():
            self.world.lost += 1
            self.world.flying = 0
        if process.has_stalled and not process.is_dead:
            self.stalled.append(process)
            if not is_last:
                self.place.expires(process)
        elif process.is_dead:
            if self.place.drives(process):
                self.cut.add(len(await self.log()))
            await self.end(process)
        else:
            await driving
            self.place.forget(process)

    async def drives(self, process: Process, orders: Orders) -> None:
        """Do what is ordered, let a worker work if the program has any, and close the Runner."""
        runner, graph, others = self.runners[process], self.graph(orders.changes), self.others(orders.changes)
        if orders.cursor:
            await meddle(runner, graph, orders)
        with contextlib.suppress(StoreFull):
            if not orders.cursor:
                await self.act(runner, graph, others, orders)
            if self.program.workers:
                await works(runner, [*{graph.name: graph, **others}.values()], self.place.view, self.breaks)
        with contextlib.suppress(StoreFull):
            await runner.close()

    async def act(self, runner: Runner, graph: Graph[Any], others: Mapping[str, Graph[Any]], orders: Orders) -> None:
        """Do what is ordered, and let the peers go on that no worker drives."""
        for text in self.beside.posts:
            await self.tell(RUN, text)
        await speak(runner, orders)
        peers = await self.go_on(runner, others, orders.peers)
        if await obey(runner, graph, others, dict(self.program.begins), orders):
            await self.note_stop()
        for each in peers:
            with contextlib.suppress(RunFailed, RunCancelled, RunIsDriven, UnknownRun):
                await each.result()

    async def go_on(self, runner: Runner, others: Mapping[str, Graph[Any]], due: Sequence[str]) -> Sequence[Any]:
        """Start the peers that are due; resume the others, unless workers do. Return handles on all."""
        begun: list[Any] = []
        for name in due:
            graph = others[p.Start(self.beside.peers[name].graph).name]
            begun.append(await self.beside.start(runner, name, graph, self.place.view))
        infos = () if self.program.workers else await runner.runs(limit=MANY)
        left = [info for info in infos if info.id in self.beside.begun and info.id not in due]
        begun += [runner.resume(info.id, others[info.graph]) for info in left if info.status not in steps.OVER]
        handles = [each for each in begun if each is not None]
        for each in handles:  # else a failure is logged later if this process is lost before it awaits that
            life_of(each).is_retrieved = True
        return handles

    async def tell(self, to: str, text: str) -> None:
        """Send a message from the process in which the code runs."""
        try:
            await self.beside.tell(self.runners[HERE.get()], to, text, self.place.view)
        except Wrong as wrong:  # a node would take it for a failure of its own
            self.breaks(str(wrong))

    def breaks(self, why: str) -> None:
        """Note what is wrong."""
        self.world.broken = self.world.broken or why

    async def wake(self, process: Process) -> None:
        """Let a process go on that has stalled, if it has lost its run; then end it."""
        if not process.is_dead and not self.place.drives(process):
            process.awake.set()
            await asyncio.sleep(AWAKE_SECONDS)
        process.is_dead = True
        process.awake.set()
        await self.end(process)

    async def end(self, process: Process) -> None:
        """Let the system end a process that is dead."""
        await process.ended()
        await self.place.ends(process)

    def wrote(self, process: Process) -> None:
        """Let happen what the program says for this write, and prune what has finished from such a write on."""
        while self.besides and self.besides[0].at <= self.world.writes:
            event = self.besides.pop(0)
            if event.what == "full":
                self.world.full, self.world.lost = event.many, self.world.lost + 1
            else:
                branch = self.branch(process, event.many, f"branch-{len(self.besides)}")
                self.loop.create_task(branch, context=process.context.copy())
        while self.posts and self.posts[0] <= self.world.writes:
            self.beside.posts.append(f"post {self.posts.pop(0)} {len(self.posts)}")
            self.loop.create_task(self.tell(RUN, self.beside.posts[-1]), context=process.context.copy())
        while self.stops and self.stops[0].at <= self.world.writes:
            event = self.stops.pop(0)
            stop = self.stop(self.runners[process], final=event.what != "stop")
            self.loop.create_task(stop, context=process.context.copy())
        if self.prunes and self.prunes[0] <= self.world.writes:
            self.loop.create_task(self.prune(self.runners[process]), context=process.context.copy())

    async def branch(self, process: Process, back: int, run_id: str) -> None:
        """Branch off so many steps before the last one; the run may have finished there, or none may be there yet."""
        runner = self.runners[process]
        try:
            with contextlib.suppress(GraphChanged, RunFailed, RunNotResumable, RunnerClosed, StoreError, UnknownRun):
                at = max(1, (await runner.info(RUN)).seq - back)
                await runner.branch(RUN, self.graph(process.changes), at, run_id=run_id).result()
        except Exception as error:  # noqa: BLE001 - whatever else it raises is wrong
            self.world.broken = self.world.broken or f"a branch fails: {error!r}"

    async def prune(self, runner: Runner) -> None:
        """Remove all runs that have finished and are needed no more, but for the first one."""
        with contextlib.suppress(GraphEngineError):
            await runner.admin.prune(keep_last=0, statuses=("finished",), keep_tags=["first"])

    async def stop(self, runner: Runner, *, final: bool) -> None:
        """Stop the run, which may have ended, or lose its process meanwhile; a later resume would undo the stop."""
        is_driven = lives_of(runner).shared.has(RUN)
        with contextlib.suppress(GraphEngineError):
            await runner.stop(RUN, final=final)
            if is_driven:
                await self.note_stop()

    async def note_stop(self) -> None:
        """Note which runs there are once the run is stopped."""
        self.at_stop = frozenset([info.id for info in await self.place.view.runs(limit=MANY)])

    async def check_stop(self) -> None:
        """Check, if the run was stopped, that no run below it began after that, or waits (docs/use/children.md).

        One whose process closed before it read its stop has that in its inbox, which its next process obeys. For which
        of several stops the store had no room is not known here.
        """
        there = await self.place.view.runs(limit=MANY) if self.at_stop and not self.gets_full else ()
        infos = {info.id: info for info in self.earlier.left_out(there) if RUN in (info.id, info.root)}
        if RUN not in infos or infos[RUN].status not in ("stopped", "cancelled"):
            return
        for info in infos.values():
            mail = await self.place.view.inbox([info.id]) if info.status == "waiting" else ()
            waits = info.status == "waiting" and not any(each.kind == "stop" for each in mail)
            if info.id not in (self.at_stop or ()) or waits:
                raise Wrong(f"a run goes on below one that was stopped: {info.status}, {info.id}")

    # --- somebody outside ---------------------------------------------------------------------------------------------

    async def ordered(self) -> Orders:
        """Return what the next process is to do, also with peers, and what it leaves to workers."""
        orders = await self.orders()
        if self.beside.peers:
            writes = inf if orders.leaves or orders.rests else self.world.writes
            orders = orders._replace(peers=await self.beside.due(self.place.view, writes))
        if self.program.workers:
            orders = orders._replace(leaves=orders.leaves or not orders.visits, queue=p.QUEUE)
        return orders

    async def orders(self) -> Orders:
        """Return what the next process is to do, but for peers and workers."""
        while self.deploys and self.deploys[0].at <= self.world.writes:
            newer: tuple[p.Change, ...] = ("next",) if "next" in self.changes else ()
            self.changes = tuple(dict.fromkeys((*self.deploys.pop(0).changes, *newer)))
            heads = {info.id: info.seq for info in await self.place.view.runs(limit=MANY)}
            self.deployed.append((heads, self.changes))
        orders = Orders(changes=self.changes)
        info = await self.info()
        if info is None:
            return self.limited(orders)._replace(starts=True)
        if self.is_over(info.status):  # branches and peers go on
            return await self.answers(orders._replace(rests=self.has_branches, leaves=not self.has_branches))
        if info.status in ("failed", "stopped"):
            self.resumes -= 1
            is_at_limit = info.status == "stopped" and (await self.snapshot()).steps >= self.most
            if is_at_limit and self.raised_at != len(self.rows):  # else the resume with that limit is not recorded
                self.most, self.raised_at = self.most + self.program.visits, len(self.rows)
            if info.status == "stopped" and self.world.spent >= self.world.limit:
                self.world.limit += 2 * COST_USD
            return self.limited(orders)
        if info.status == "waiting" and (await self.snapshot()).steps >= self.most:
            raise Wrong("a run at its limit is not stopped, but waits")
        if info.status == "waiting" and self.stops and self.random.random() < 0.2:
            return orders._replace(stop=self.stops.pop(0).what)
        if info.status == "waiting" and self.earlier.cursor:
            cursor, self.earlier.cursor = self.earlier.cursor, ""
            orphans = await self.earlier.orphans(self.place.view)
            return orders._replace(cursor=cursor, links=self.earlier.links, orphans=orphans)
        return await self.answers(orders) if info.status == "waiting" else orders

    def limited(self, orders: Orders) -> Orders:
        """Return orders with the run's limits."""
        return orders._replace(visits=self.most, cost_usd=self.world.limit if self.program.quarters else 0.0)

    async def answers(self, orders: Orders) -> Orders:
        """Give a run one thing that it waits for; without anything to give, time goes on."""
        view = self.place.view
        waits = [
            (info.id, frame, wait)
            for info in await view.runs(limit=MANY)
            if info.status == "waiting"
            for frame in (await load_snapshot(view, info.id, None)).frames.values()
            for wait in frame.waits.values()
            if not (wait.topic or "").startswith("ge:end:")
        ]
        some = [each for each in waits if each[2].kind in ("ask", "unknown", "receive")]
        self.earlier.asked |= {wait.id for run_id, _, wait in some if run_id == RUN and wait.kind == "ask"}
        due = min((wait.due for _, _, wait in waits if wait.due is not None), default=None)
        if due is not None and (not some or self.random.random() < 0.3):
            self.loop.now = max(self.loop.now, due)
            return orders
        if not some or (self.has_topics and self.random.random() < 0.5):
            return orders  # it waits for a child, which a resume resumes, or may be told of one
        run_id, frame, wait = self.random.choice(some)
        orders = orders._replace(run=run_id)
        if wait.kind == "receive":
            self.sent += 1
            return orders._replace(topic=wait.topic or "", message=self.message())
        if wait.kind == "ask":
            asked = show(wait.question)
            may = re.search(r"May .* call t\d+x\d+(no)?|this call all the same", asked)
            return orders._replace(wait=wait.id, answer=f"said to {asked}" if may is None else not may[1])
        if wait.key.count("|") < 2:  # a whole node, which acts only in its calls
            return orders._replace(wait=wait.id, answer="rerun")
        place = place_of(wait.key.rpartition("|")[0])
        key = f"{run_id} {p.first_names(steps.path_of(frame.id, frame.at))} {frame.visit} {place}"
        acts = self.world.acts[key]
        if run_id.startswith("branch"):  # what began before it left is in the ledger of the run that it left
            acts += self.world.acts[key.replace(run_id, RUN, 1)]
        acted = acts >= logged(run_id, await view.steps(run_id), "begun")[key]
        return orders._replace(wait=wait.id, answer={"result": "acted"} if acted else "rerun")

    def message(self) -> Any:
        """Return the next message; that of a chat ends it once all turns had theirs."""
        talks = self.program.graph.talks
        if not talks:
            return f"message {self.sent}"
        return {"id": f"message {self.sent}", "given": {"question": "Go on."}} if self.sent <= len(talks) else None

    # --- what is durable ----------------------------------------------------------------------------------------------

    async def log(self) -> Sequence[steps.Step]:
        """Return the steps of the run; none before it began."""
        return () if await self.info() is None else await self.place.view.steps(RUN)

    async def info(self) -> Any:
        """Return what the store knows of the run; None before it began."""
        return next((info for info in await self.place.view.runs(limit=MANY) if info.id == RUN), None)

    async def snapshot(self) -> Snapshot:
        """Return the run's snapshot."""
        return await load_snapshot(self.place.view, RUN, None)

    async def kept(self, *, ended: bool = False) -> None:
        """Check that nothing that was durable is lost, or at the end has changed; and what processes may do."""
        if self.world.broken:
            raise Wrong(self.world.broken)
        log = await self.log()
        self.world.spent = cost_of(log)
        if len(log) < len(self.rows) or (ended and [encode_step(step) for step in log[: len(self.rows)]] != self.rows):
            raise Wrong("a step that was durable has changed")
        self.rows += [encode_step(step) for step in log[len(self.rows) :]]

    async def checked(self) -> Model:
        """Hand the log of each run to a model, and compare what is left.

        The log of a peer comes after the logs of the runs that it can begin after.
        """
        view, self.beside.ends = self.place.view, {}
        model = await self.followed(await self.info(), Model(self.program))
        events, budget = self.program.events, self.program.budget
        for info in sorted(await view.runs(limit=MANY), key=lambda info: info.id):
            if info.id in self.beside.peers:
                first = state_of((await load_snapshot(view, info.id, 1)).root)
                at = (await view.steps(info.id))[0].at
                await self.followed(info, self.beside.model(info.id, first, at, events))
            elif info.parent is not None:
                await self.followed(info, Model(self.program))
                await self.check_keys(info)
            elif info.id != RUN:
                spec, workers = self.specs[info.graph], int(info.queue == p.QUEUE)
                child = p.Program(spec, (("n", 1),), 1000, events=events, budget=budget, workers=workers)
                await self.followed(info, Model(child))
                await self.check_told(info)
        await self.earlier.check(view)
        await self.beside.check(view)
        return model

    async def followed(self, info: Any, model: Model) -> Model:
        """Hand the log of a run to its model, and compare what is left."""
        view, is_other = self.place.view, info.parent is None and info.id != RUN
        log = await view.steps(info.id)
        in_force = InForce(await load_specs(view, log))
        changes: Sequence[p.Change] = ()
        for step in log:
            if step.kind in ("started", "resumed", "branched"):
                now = self.changes_at(info.parent if step.seq <= info.parent_seq else info.id, step.seq)
                now = p.of_children(now) if is_other else now
                if now != changes:
                    model.take(Row("deployed", more=now))
                changes = now
            if info.id == RUN:
                self.check_resumed(step, model)
            model.take(row_of(step))
            same_edge(step, model.edge, in_force.ways(step))
            self.note_end(info.id, step, model)
        snapshot = await load_snapshot(view, info.id, None)
        woke = info.status == "running" and model.status == "waiting"  # to read its mail, when its Runner closed
        mail = is_other and (await view.inbox([info.id]) or has_mail(log) or self.gets_full)
        if not (woke and (self.world.lost or not info.held) and mail):
            same(f"the status of {info.id}", (info.status, snapshot.status), (model.status, model.status))
        for frame in snapshot.frames.values():
            mine = model.frames.get(frame.id)
            if mine is None:
                raise Wrong(f"the model has no frame {frame.id}")
            if not model.program.graph.talks:  # else it is the agent's
                same(f"the state of {frame.id!r} in {info.id}", state_of(frame), mine.state)
        if snapshot.status == "failed":
            same(f"the failure of {info.id}", fault_of(snapshot.failure), model.root.failed)
        self.check_acts(info.id, log, info.parent_seq)
        return model

    def note_end(self, run_id: str, step: steps.Step, model: Model) -> None:
        """Note with which state a run ended, if it did at this step."""
        if model.status in steps.OVER:
            self.beside.ends.setdefault(run_id, []).append((step, model.status, deepcopy(model.root.state)))

    def check_resumed(self, step: steps.Step, model: Model) -> None:
        """Check that whoever resumes the first run may do that, and records that its process died, if it did."""
        if step.kind != "resumed":
            return
        by = self.world.writers.get((RUN, step.seq))
        if model.status in steps.OVER and by is not None and not by.resumes:
            raise Wrong(f"a worker resumes the run, which is {model.status}, at {step.seq}")
        was_cut = step.seq - 1 in self.cut and model.status == "running" and bool(model.enabled())
        if was_cut and not self.program.quarters and not self.gets_full:  # at a limit nothing is in flight
            same(f"how the run is resumed at {step.seq}", row_of(step).more, "crashed")

    async def check_keys(self, info: Any) -> None:
        """Check that what began in a branch has other idempotency keys than what began before or beside it."""
        log = await self.place.view.steps(info.id)
        others = {keys for step in await self.log() if (keys := getattr(step.data, "idempotency_key", ""))}
        made = {keys for step in log[info.parent_seq :] if (keys := getattr(step.data, "idempotency_key", ""))}
        same(f"which keys {info.id} shares", made & others, set())

    def changes_at(self, run_id: str, seq: int) -> Sequence[p.Change]:
        """Return what the code had changed that recorded a step: of its process, else that of the newest deployment.

        A process that stalled goes on with the code that it has, and can resume the run when it waits.
        """
        if (run_id, seq) in self.world.writers:
            return self.world.writers[run_id, seq].changes
        return next((changes for heads, changes in reversed(self.deployed) if heads.get(run_id, 0) < seq), ())

    async def check_told(self, info: Any) -> None:
        """Check that each end of a child run with a topic is a message of the run that started it, and what that says.

        One that ended for good gets none, or reads none. One that starts it anew, in another attempt of a graph, is
        told again.
        """
        view, order = self.place.view, self.world.order
        began = (await view.steps(info.id))[0].data
        if not (isinstance(began, steps.Started) and began.starter and began.starter.topic):
            return
        child, starter = info.id, began.starter.run_id
        above = next((info for info in await view.runs(limit=MANY) if info.id == starter), None)
        if above is None or (starter == RUN and child in self.earlier.runs):
            return
        log = [step.data for step in await view.steps(starter)]
        mail = [each.payload["payload"] for each in await view.inbox([starter]) if each.kind == "message"]
        mail += [data.payload for data in log if isinstance(data, steps.Message)]
        told = [each for each in mail if isinstance(each, dict) and each.get("run_id") == child]
        begun: list[Any] = [
            data.value for data in log if isinstance(data, steps.Recorded) and place_of(data.key) == START
        ]
        most = sum(value["run_id"] == child for value in begun)
        for step, status, state in self.beside.ends.get(child, ()):
            wanted = (step.seq, status, state if status == "finished" else None)
            ended_before = above.status == "finished" and (starter, above.seq) not in after(order, (child, step.seq))
            least = 0 if ended_before or above.status == "cancelled" else 1
            mine = [each for each in told if (each["seq"], each["status"], each["state"]) == wanted]
            told = [each for each in told if each not in mine]
            if not least <= len(mine) <= max(most, 1):
                raise Wrong(f"that {child} was {status} at {step.seq} is told {len(mine)} times")
        if told:
            raise Wrong(f"it is told of {child} what it did not do: {told}")

    def check_acts(self, run_id: str, log: Sequence[steps.Step], shared: int = 0) -> None:
        """Compare the ledger with the log of a run, of which a branch shares the first steps with another one."""
        log, before = log[shared:], logged(run_id, log[:shared], "begun")
        begun = logged(run_id, log, "begun")
        for key, number in begun.items():
            if self.world.acts[key] > number and not any("effects" in changes for _, changes in self.deployed):
                raise Wrong(f"an effect began {number} times and acted {self.world.acts[key]} times: {key}")
        recorded = logged(run_id, log, "recorded")
        if not self.world.lost and not p.can_cut(self.program.graph):
            for key, number in self.world.acts.items():
                if key.startswith(f"{run_id} ") and number != recorded[key]:
                    raise Wrong(f"a call is recorded {recorded[key]} times and acted {number} times: {key}")
        is_kept = self.transacts and not any("effects" in changes for _, changes in self.deployed)
        for key in [key for key in begun if is_kept and key.rpartition(" ")[2].isdigit()]:
            same(f"how often {key} acted in a transaction", self.world.acts[key], recorded[key])
        before += begun
        for key, number in recorded.items():
            if self.world.acts[key] < number and key not in before and "'start'" not in key and "'end'" not in key:
                raise Wrong(f"a call is recorded {number} times and acted {self.world.acts[key]} times: {key}")


def after(order: Sequence[Any], one: Any) -> Sequence[Any]:
    """Return what follows one thing; nothing if it is not there."""
    return order[order.index(one) :] if one in order else ()


def logged(run_id: str, log: Sequence[steps.Step], kind: str) -> Counter[str]:
    """Return how many steps of a kind each place of a run has, as the ledger names it."""
    rows = [row for row in map(row_of, log) if row.kind == kind]
    paths = [p.first_names(steps.path_of(row.frame, row.node)) for row in rows]
    return Counter(f"{run_id} {path} {row.visit} {row.more}" for path, row in zip(paths, rows, strict=True))


def has_mail(log: Sequence[steps.Step]) -> bool:
    """Return whether a run was told of more ends of child runs than its steps received, so that it goes on at once."""
    told = sum(row_of(step).kind == "told" for step in log)
    answers = [step.data for step in log if isinstance(step.data, steps.Answered) and step.data.by == "message"]
    return told > sum(isinstance(each.answer.value, dict) for each in answers)
