"""A Runner as a medium: real node functions, a store in memory, and processes that die at writes.

What it is for
    To see that what the pure engine allows is what a Runner does: it decides when tasks begin, names waits, records
    calls, keeps the inbox, and goes on after a death. `Running(program).play()` drives the run to its end, then hands
    the whole log to the model, step by step, and compares states, statuses and the ledger.

Invariants
    - A `crash` of the program is a death at that write; half of them before it, half right after it is durable.
    - Whatever is in the log before a death is in it after it, unchanged.
    - When the run rests, somebody answers one question, of it or of a child run, or sends one message; if nobody is
      asked, time goes on.
    - A deployment is the code of each later process. The model hears of it before the first step of the next process.
    - The log of each child run that is still there has a model of its own. What happens from outside happens to the
      first run alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections import Counter
from collections.abc import Sequence
from math import inf
from random import Random
from typing import Any, Final

from graphengine import Limits, RunFailed, Runner
from graphengine.budgets import Budget, Budgets
from graphengine.engine import steps
from graphengine.engine.reasons import InForce
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.step_json import encode_step
from graphengine.errors import GraphEngineError, RunCancelled, StoreError
from graphengine.history.load import load_snapshot
from graphengine.history.reasons import load_specs
from graphengine.state.recorded_text import show
from tests.sim import program as p
from tests.sim.build import graph_of
from tests.sim.media import fault_of, place_of, row_of, same, same_edge, state_of
from tests.sim.model import Model, Row, Wrong
from tests.sim.world import COST_USD, RUN, Clock, Loop, Memory, Process, World

MANY: Final = 10_000
"""More runs than any program has."""
MOST_ROUNDS: Final = 2000
"""How often the run may rest before it ends: some eight times for each of a hundred visits, and more."""


class Running:
    """One run in a Runner."""

    def __init__(self, program: p.Program) -> None:
        self.program = program
        self.random = Random(program.order)  # noqa: S311 - no secret
        crashes = [event.at for event in program.events if event.what == "crash"]
        self.world = World({at: self.random.random() < 0.5 for at in crashes}, self.wrote)
        self.stops = [event for event in program.events if event.what in ("stop", "cancel")]
        self.prunes = [event.at for event in program.events if event.what == "prune"]
        self.deploys = [event for event in program.events if event.what == "deploy"]
        self.deployed: dict[int, tuple[p.Change, ...]] = {}
        self.world.limit = program.quarters * COST_USD or inf
        self.graph = graph_of(program.graph, self.world)
        self.children = {op.name: graph_of(op.graph, self.world, op.name) for op in p.starts(program.graph)}
        self.most = program.visits
        self.resumes, self.sent = program.resumes, 0
        self.rows: list[bytes] = []
        self.runner = Runner()

    def play(self) -> Model:
        """Play the program to its end. Raises: Wrong, or whatever the engine raises."""
        self.graph.compile()
        self.loop = Loop()
        self.memory = Memory(clock=self.loop.time)
        logging.disable()
        try:
            return self.loop.run_until_complete(self.played())
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()
            logging.disable(logging.NOTSET)

    async def played(self) -> Model:
        """Play the program to its end."""
        await self.memory.open()
        for _ in range(MOST_ROUNDS):
            await self.lives()
            await self.kept()
            info = await self.info()
            if info is not None and info.status in ("finished", "cancelled"):
                break
            if info is not None and info.status in ("failed", "stopped") and not self.resumes:
                break
        else:
            raise Wrong("the run does not end")
        return await self.checked()

    # --- processes ----------------------------------------------------------------------------------------------------

    async def lives(self) -> None:
        """Let a process live until the run rests, or it dies; then let somebody outside act."""
        while self.deploys and self.deploys[0].at <= self.world.writes:
            changes = self.deployed[len(self.rows) + 1] = self.deploys.pop(0).changes
            self.graph = graph_of(self.program.graph, self.world, changes=changes)
        process = Process(self.world, self.memory)
        self.world.process = process
        budget, over = self.program.budget * COST_USD, self.program.over
        budgets = [Budget(name="b", window="hour", cost_usd=budget, over=over)] if budget else []
        self.world.flying = 0
        runner = Runner(process, clock=Clock(), extensions=[Budgets(*budgets)])
        self.runner, before = runner, asyncio.all_tasks()
        try:
            await self.drives(runner)
            await runner.close()
        except StoreError:
            if not process.is_dead:
                raise
        if process.is_dead:
            self.world.died += 1
        left = asyncio.all_tasks() - before
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def drives(self, runner: Runner) -> None:
        """Start or resume the run, and stop it if the program says so; then answer once."""
        info = await self.info()
        if info is None:
            run = runner.start(self.graph, dict(self.program.begins), run_id=RUN, tags=["first"], limits=self.limits())
        elif info.status in ("failed", "stopped"):
            self.resumes -= 1
            snapshot = await self.snapshot()
            if info.status == "stopped" and snapshot.steps >= self.most:
                self.most += self.program.visits
            if info.status == "stopped" and self.world.spent >= self.world.limit:
                self.world.limit += 2 * COST_USD
            run = runner.resume(RUN, self.graph, limits=self.limits())
        else:
            if info.status == "waiting":
                await self.answers(runner)
            for child in [each for each in await self.memory.runs(limit=MANY) if each.id != RUN]:
                if child.status in ("running", "waiting"):
                    with contextlib.suppress(RunFailed, RunCancelled):
                        await runner.resume(child.id, self.children[child.graph]).result()
            run = runner.resume(RUN, self.graph)
        with contextlib.suppress(RunFailed, RunCancelled):
            await run.result()

    def limits(self) -> Limits:
        """Return the run's limits."""
        return Limits(visits=self.most, cost_usd=self.world.limit if self.program.quarters else None)

    def wrote(self) -> None:
        """Stop the run if the program says so at this write."""
        while self.stops and self.stops[0].at <= self.world.writes:
            event = self.stops.pop(0)
            asyncio.get_running_loop().create_task(self.stop(final=event.what == "cancel"))

        if self.prunes and self.prunes[0] <= self.world.writes:
            asyncio.get_running_loop().create_task(self.prune())

    async def prune(self) -> None:
        """Remove all runs that have finished and are needed no more, but for the first one."""
        with contextlib.suppress(GraphEngineError):
            await self.runner.admin.prune(keep_last=0, statuses=("finished",), keep_tags=["first"])

    async def stop(self, *, final: bool) -> None:
        """Stop the run, which may have ended, or lose its process meanwhile."""
        with contextlib.suppress(GraphEngineError):
            await self.runner.stop(RUN, final=final)

    async def answers(self, runner: Runner) -> None:
        """Give the run one thing that it waits for; without anything to give, time goes on."""
        waits = [
            (info.id, frame, wait)
            for info in await self.memory.runs(limit=MANY)
            if info.status == "waiting"
            for frame in (await load_snapshot(self.memory, info.id, None)).frames.values()
            for wait in frame.waits.values()
            if not (wait.topic or "").startswith("ge:end:")
        ]
        some = [each for each in waits if each[2].kind in ("ask", "unknown", "receive")]
        due = min((wait.due for _, _, wait in waits if wait.due is not None), default=None)
        if due is not None and (not some or self.random.random() < 0.3):
            self.loop.now = max(self.loop.now, due)
            return
        if not some:
            return  # it waits for a child, which a resume resumes
        run_id, frame, wait = self.random.choice(some)
        if wait.kind == "receive":
            self.sent += 1
            await runner.send(run_id, "t", f"message {self.sent}")
        elif wait.kind == "ask":
            asked = show(wait.question)
            may = re.search(r"May .* call t\d+(no)?|this call all the same", asked)
            await runner.answer(run_id, f"said to {asked}" if may is None else not may[1], wait=wait.id)
        else:
            if wait.key.count("|") < 2:  # a whole node, which acts only in its calls
                await runner.answer(run_id, "rerun", wait=wait.id)
                return
            place = place_of(wait.key.rpartition("|")[0])
            key = f"{run_id} {steps.path_of(frame.id, frame.at)} {frame.visit} {place}"
            acted = self.world.acts[key] >= logged(run_id, await self.memory.steps(run_id), "begun")[key]
            await runner.answer(run_id, {"result": "acted"} if acted else "rerun", wait=wait.id)

    # --- what is durable ----------------------------------------------------------------------------------------------

    async def info(self) -> Any:
        """Return what the store knows of the run; None before it began."""
        return next((info for info in await self.memory.runs(limit=MANY) if info.id == RUN), None)

    async def snapshot(self) -> Snapshot:
        """Return the run's snapshot."""
        return await load_snapshot(self.memory, RUN, None)

    async def kept(self) -> None:
        """Check that nothing that was durable has changed."""
        if await self.info() is None:
            return
        rows = [encode_step(step) for step in await self.memory.steps(RUN)]
        if rows[: len(self.rows)] != self.rows:
            raise Wrong("a step that was durable has changed")
        self.rows = rows

    async def checked(self) -> Model:
        """Hand the log to the model, and compare what is left."""
        model = Model(self.program)
        log = await self.memory.steps(RUN)
        in_force = InForce(await load_specs(self.memory, log))
        for step in log:
            if step.seq in self.deployed:
                model.take(Row("deployed", more=self.deployed[step.seq]))
            model.take(row_of(step))
            same_edge(step, model.edge, in_force.ways(step))
        snapshot = await self.snapshot()
        same("the status", snapshot.status, model.status)
        for frame in snapshot.frames.values():
            mine = model.frames.get(frame.id)
            if mine is None:
                raise Wrong(f"the model has no frame {frame.id}")
            same(f"the state of {frame.id!r}", state_of(frame), mine.state)
        if snapshot.status == "failed":
            same("the failure", fault_of(snapshot.failure), model.root.failed)
        self.check_acts(RUN, log)
        await self.check_children()
        return model

    async def check_children(self) -> None:
        """Hand the log of each child run to a model of its own."""
        specs = {op.name: op.graph for op in p.starts(self.program.graph)}
        for info in await self.memory.runs(limit=MANY):
            if info.id == RUN:
                continue
            model = Model(p.Program(specs[info.graph], (("n", 1),), 1000, budget=self.program.budget))
            log = await self.memory.steps(info.id)
            for step in log:
                model.take(row_of(step))
            same(f"the status of {info.id}", info.status, model.status)
            same(
                f"the state of {info.id}",
                state_of((await load_snapshot(self.memory, info.id, None)).root),
                model.root.state,
            )
            self.check_acts(info.id, log)

    def check_acts(self, run_id: str, log: Sequence[steps.Step]) -> None:
        """Compare the ledger with the log of a run."""
        if self.world.broken:
            raise Wrong(self.world.broken)
        begun = logged(run_id, log, "begun")
        for key, number in begun.items():
            if self.world.acts[key] > number and not any("effects" in each for each in self.deployed.values()):
                raise Wrong(f"an effect began {number} times and acted {self.world.acts[key]} times: {key}")
        for key, number in logged(run_id, log, "recorded").items():
            if self.world.acts[key] < number and key not in begun and "'start'" not in key and "'end'" not in key:
                raise Wrong(f"a call is recorded {number} times and acted {self.world.acts[key]} times: {key}")


def logged(run_id: str, log: Sequence[steps.Step], kind: str) -> Counter[str]:
    """Return how many steps of a kind each place of a run has, as the ledger names it."""
    rows = [row for row in map(row_of, log) if row.kind == kind]
    return Counter(f"{run_id} {steps.path_of(row.frame, row.node)} {row.visit} {row.more}" for row in rows)
