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
    - When the run rests, somebody answers one question or sends one message; if nobody is asked, time goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final, NamedTuple

from graphengine import Graph, Limits, RunFailed, Runner
from graphengine.engine import steps
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.step_json import decode_step, encode_step
from graphengine.errors import GraphEngineError, RunIsDriven
from graphengine.history.load import load_snapshot
from tests.sim import program as p
from tests.sim.build import graph_of
from tests.sim.disk import Disk
from tests.sim.media import fault_of, row_of, same, state_of
from tests.sim.model import Model, Row, Wrong
from tests.sim.world import Clock, Loop, Loss, Memory, Place, Process, World

RUN: Final = "run"
ROUNDS: Final = 100
"""How often the run may rest before it is cancelled."""
MOST_ROUNDS: Final = 130
"""How often it may rest before it ends."""
AWAKE_SECONDS: Final = 1.0
"""How long a process that stalled goes on at least."""


class Orders(NamedTuple):
    """What a process is to do: to act for somebody outside, and then to drive the run.

    Attributes:
        starts: Whether to start the run, and not to resume it.
        visits: Its limit of visits from now on; 0 to leave it.
        message: What to send to it; "" for nothing.
        wait: What to answer; "" for nothing.
        answer: The answer.
        promises: Whether the code promises effects.
    """

    starts: bool = False
    visits: int = 0
    message: str = ""
    wait: str = ""
    answer: Any = None
    promises: bool = True


async def obey(runner: Runner, graph: Graph[Any], begins: Mapping[str, Any], orders: Orders) -> None:
    """Do what is ordered, until the run rests."""
    limits = Limits(visits=orders.visits) if orders.visits else None
    if orders.message:
        await runner.send(RUN, "t", orders.message)
    if orders.wait:
        await runner.answer(RUN, orders.answer, wait=orders.wait)
    if orders.starts:
        run = runner.start(graph, dict(begins), run_id=RUN, limits=limits)
    else:
        run = runner.resume(RUN, graph, limits=limits)
    with contextlib.suppress(RunFailed, RunIsDriven):  # a stop from outside claims the run, too
        await run.result()


class Running:
    """One run in a Runner; `losses` in place of those that the program draws."""

    def __init__(self, program: p.Program, *, on_disk: bool = False, losses: Mapping[int, Loss] | None = None) -> None:
        self.program, self.on_disk = program, on_disk
        self.random = Random(program.order)  # noqa: S311 - no secret
        self.loop = Loop()
        self.place: Place = Disk(self.loop, program.order) if on_disk else Memory(self.loop)
        crashes = [event.at for event in program.events if event.what == "crash"]
        drawn: Mapping[int, Loss] = {at: self.random.choice(self.place.losses) for at in crashes}
        self.world = World({**(drawn if losses is None else losses)}, self.wrote, self.place.drives)
        self.stops = [event for event in program.events if event.what in ("stop", "cancel")]
        self.deploys = [event.at for event in program.events if event.what == "deploy"]
        self.deployed_after = -1
        self.most = program.visits
        self.resumes, self.sent = program.resumes, 0
        self.rows: list[bytes] = []
        self.graphs: dict[bool, Graph[Any]] = {}
        self.runners: dict[Process, Runner] = {}
        self.stalled: list[Process] = []

    def play(self) -> Model:
        """Play the program to its end. Raises: Wrong, or whatever the engine raises."""
        logging.disable()
        try:
            self.graph(promises=True)
            return self.loop.run_until_complete(self.played())
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(self.place.remove())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()
            logging.disable(logging.NOTSET)

    def graph(self, *, promises: bool) -> Graph[Any]:
        """Return the graph, with code that promises effects or none."""
        if promises not in self.graphs:
            self.graphs[promises] = graph_of(self.program.graph, self.world, promises=promises)
            self.graphs[promises].compile()
        return self.graphs[promises]

    async def played(self) -> Model:
        """Play the program to its end."""
        await self.place.open()
        for number in range(MOST_ROUNDS):
            if number == ROUNDS:
                self.stops.append(p.Event(0, "cancel"))
            await self.lives(await self.orders())
            await self.kept()
            info = await self.info()
            if info is not None and info.status in ("finished", "cancelled"):
                break
            if info is not None and info.status in ("failed", "stopped") and not self.resumes:
                break
        else:
            raise Wrong("the run does not end")
        for each in self.stalled:
            await self.wake(each)
        await self.kept()
        model = await self.checked()
        await self.place.check()
        return model

    # --- processes ----------------------------------------------------------------------------------------------------

    async def lives(self, orders: Orders) -> None:
        """Let a process live until the run rests, or it is lost; then those that stalled before learn of it."""
        before = self.stalled
        self.stalled = []
        for each in before:
            self.place.expires(each)
        process = self.place.process(self.world)
        self.runners[process] = process.context.copy().run(Runner, process.door, clock=Clock())
        driving = self.loop.create_task(self.drives(process, orders), context=process.context.copy())
        losing = self.loop.create_task(process.lost.wait())
        await asyncio.wait([driving, losing], return_when=asyncio.FIRST_COMPLETED)
        losing.cancel()
        if process.has_stalled and not process.is_dead:
            self.world.lost += 1
            self.stalled.append(process)
        elif process.is_dead:
            self.world.lost += 1
            await self.end(process)
        else:
            await driving
            self.place.forget(process)
        for each in before:
            await self.wake(each)

    async def drives(self, process: Process, orders: Orders) -> None:
        """Do what is ordered, and close the Runner."""
        runner = self.runners[process]
        await obey(runner, self.graph(promises=orders.promises), dict(self.program.begins), orders)
        await runner.close()

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
        """Stop the run if the program says so at this write."""
        while self.stops and self.stops[0].at <= self.world.writes:
            event = self.stops.pop(0)
            stop = self.stop(self.runners[process], final=event.what == "cancel")
            self.loop.create_task(stop, context=process.context.copy())

    async def stop(self, runner: Runner, *, final: bool) -> None:
        """Stop the run, which may have ended, or lose its process meanwhile."""
        with contextlib.suppress(GraphEngineError):
            await runner.stop(RUN, final=final)

    # --- somebody outside ---------------------------------------------------------------------------------------------

    async def orders(self) -> Orders:
        """Return what the next process is to do."""
        if self.deploys and self.deploys[0] <= self.world.writes and self.deployed_after < 0:
            self.deployed_after = len(self.rows)
        orders = Orders(promises=self.deployed_after < 0)
        info = await self.info()
        if info is None:
            return orders._replace(starts=True, visits=self.most)
        if info.status in ("failed", "stopped"):
            self.resumes -= 1
            if info.status == "stopped" and (await self.snapshot()).steps >= self.most:
                self.most += self.program.visits
            return orders._replace(visits=self.most)
        return await self.answers(orders) if info.status == "waiting" else orders

    async def answers(self, orders: Orders) -> Orders:
        """Give the run one thing that it waits for; without anything to give, time goes on."""
        snapshot = await self.snapshot()
        waits = [(frame, wait) for frame in snapshot.frames.values() for wait in frame.waits.values()]
        some = [(frame, wait) for frame, wait in waits if wait.kind in ("ask", "unknown", "receive")]
        due = min((wait.due for _, wait in waits if wait.due is not None), default=None)
        if due is not None and (not some or self.random.random() < 0.3):
            self.loop.now = max(self.loop.now, due)
            return orders
        if not some:
            raise Wrong(f"the run waits for nothing: {waits}")
        frame, wait = self.random.choice(some)
        if wait.kind == "receive":
            self.sent += 1
            return orders._replace(message=f"message {self.sent}")
        if wait.kind == "ask":
            return orders._replace(wait=wait.id, answer="said")
        if wait.key.count("|") < 2:  # a whole node, which acts only in its calls
            return orders._replace(wait=wait.id, answer="rerun")
        key = f"{steps.path_of(frame.id, frame.at)} {frame.visit} {wait.key.split('|')[-3]}"
        acted = self.world.acts[key] >= self.logged("begun")[key]
        return orders._replace(wait=wait.id, answer={"result": "acted"} if acted else "rerun")

    def logged(self, kind: str) -> Counter[str]:
        """Return how many steps of a kind each call has, as the ledger names it."""
        log = [row_of(decode_step(number, row)) for number, row in enumerate(self.rows, start=1)]
        rows = [row for row in log if row.kind == kind]
        return Counter(f"{steps.path_of(row.frame, row.node)} {row.visit} {row.more}" for row in rows)

    # --- what is durable ----------------------------------------------------------------------------------------------

    async def log(self) -> Sequence[steps.Step]:
        """Return the steps of the run; none before it began."""
        return () if await self.info() is None else await self.place.view.steps(RUN)

    async def info(self) -> Any:
        """Return what the store knows of the run; None before it began."""
        return next(iter(await self.place.view.runs(limit=10)), None)

    async def snapshot(self) -> Snapshot:
        """Return the run's snapshot."""
        return await load_snapshot(self.place.view, RUN, None)

    async def kept(self) -> None:
        """Check that nothing that was durable has changed, and that no process did what it may not."""
        if self.world.broken:
            raise Wrong(self.world.broken)
        rows = [encode_step(step) for step in await self.log()]
        if rows[: len(self.rows)] != self.rows:
            raise Wrong("a step that was durable has changed")
        self.rows = rows

    async def checked(self) -> Model:
        """Hand the log to the model, and compare what is left."""
        model = Model(self.program)
        for step in await self.log():
            if step.seq == self.deployed_after + 1:
                model.take(Row("deployed"))
            model.take(row_of(step))
        snapshot = await self.snapshot()
        same("the status", snapshot.status, model.status)
        for frame in snapshot.frames.values():
            mine = model.frames.get(frame.id)
            if mine is None:
                raise Wrong(f"the model has no frame {frame.id}")
            same(f"the state of {frame.id!r}", state_of(frame), mine.state)
        if snapshot.status == "failed":
            same("the failure", fault_of(snapshot.failure), model.root.failed)
        begun = self.logged("begun")
        for key, number in begun.items():
            if self.world.acts[key] > number and self.deployed_after < 0:
                raise Wrong(f"an effect began {number} times and acted {self.world.acts[key]} times: {key}")
        for key, number in self.logged("recorded").items():
            if self.world.acts[key] < number and key not in begun:
                raise Wrong(f"a call is recorded {number} times and acted {self.world.acts[key]} times: {key}")
        return model
