"""Programs are driven to their ends: by processes that die, stop and take over, and by a person who answers.

Whenever nothing can move by itself, the world outside goes on: a process is begun in place of each dead one, a question
is answered, a message sent, a stopped or failed run resumed. A program has ended once every run has.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Any, cast
from unittest.mock import patch

from graphengine import Limits, RunFailed, Runner
from graphengine.agents.runs import RunWaits
from graphengine.budgets import Budget, Budgets
from graphengine.engine.phases import Collecting
from graphengine.engine.ready import limit_reached
from graphengine.engine.snapshot import Frame, Snapshot
from graphengine.errors import (
    CompileError,
    DefinitionError,
    GraphEngineError,
    InputError,
    RunIsDriven,
    RunnerClosed,
    RunNotResumable,
    StoreError,
    UnknownRun,
)
from graphengine.history.load import load_snapshot
from graphengine.records.retention import ENDED
from graphengine.runner.ids import derive_id
from graphengine.runner.runner import lives_of
from graphengine.state.recorded_text import show
from graphengine.stores.base import RunInfo, Store
from tests.crossing import program as p
from tests.crossing.build import KNOWN, PAID, Built
from tests.crossing.draw import weight
from tests.crossing.media import Medium, infos, medium_of
from tests.crossing.world import (
    COST_USD,
    HERE,
    Cell,
    Door,
    Loop,
    LoopClock,
    Process,
    World,
    Wrong,
    around,
    by_write,
    tries,
)

FOR_GOOD = ("refused", "cut", "bad")
"""How turns of a chat fail that no retry helps."""
REFUSED = ("inside a ctx.call or an effect", "which a wait begins again")
"""What failures say that refuse a wait inside an effect."""
MOST_ROUNDS = 60
"""How often the world outside may go on before every run has ended, and twice as often as a program is large."""
MANY = 6
"""From so many waits on all are answered at once."""
LATE = 16
"""How many writes may come between a stop and its mark, from when on no run begins below: those of some turns."""
MOST_RESUMES = 12
"""How often a run that failed is resumed, and as often again as a program is large; `Fail` lets it pass before."""


@dataclass
class Play:
    """One program on its way.

    Attributes:
        refused: Why the program cannot be: it waits inside an effect, which is refused.
    """

    program: p.Program
    world: World = field(default_factory=World)
    medium: Medium = field(init=False)
    refused: str = ""
    version: int = 1
    changes: tuple[p.Change, ...] = ()
    """What differs in the code that processes have now."""
    slots: dict[int, Process] = field(default_factory=dict)
    built: dict[tuple[int, tuple[p.Change, ...]], Built] = field(default_factory=dict)
    outside: set[asyncio.Task[None]] = field(default_factory=set)
    resumes: Counter[str] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    """The runs whose start was acknowledged."""
    troubles: list[BaseException] = field(default_factory=list)
    known: dict[str, tuple[tuple[float, int, int], Snapshot]] = field(default_factory=dict)
    """The snapshot of each run at the last look, with when it began, its step, and how often one of its id was pruned.

    A chat that is pruned and begins again can have as many steps in the same moment.
    """
    posted: int = 0
    begun: int = 0
    chats: dict[int, Any] = field(default_factory=dict)
    """The agent of the chat, by the identity of its deployment."""
    turns: int = 0
    """How many turns of the chat are over."""

    def run(self) -> None:
        """Drive the program to its end, and check all that was promised."""
        from tests.crossing.check import check  # noqa: PLC0415 - it looks at what is here

        loop = Loop()
        self.medium = medium_of(self.program, loop)
        logging.disable()
        yields = -1.0 if self.program.lag % 2 else inf  # else how busy the machine is decides
        try:
            with patch("graphengine.runner.driving._TURN_SECONDS", yields):
                loop.run_until_complete(self._run())
                if not self.refused:
                    loop.run_until_complete(check(self))
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            with contextlib.suppress(Wrong):
                loop.run_until_complete(self.medium.remove())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            logging.disable(logging.NOTSET)

    async def _run(self) -> None:
        self.world.events = dict(by_write(self.program.events))
        self.world.happens = self.happens
        self.world.most_writes = 2000 + 100 * weight(self.program.main)
        await self.medium.open()
        try:
            self.main()
        except CompileError as error:
            self.refused = str(error)
            return
        if isinstance(self.program.main, p.Graph):
            self.aside(self.begin())
        for _ in range(MOST_ROUNDS + 2 * weight(self.program.main)):
            await asyncio.get_running_loop().until_quiet()  # type: ignore[attr-defined]
            if self.troubles:
                raise self.troubles[0]
            if self.world.broken:
                raise Wrong(self.world.broken)
            first = self.world.events.pop(0, ())
            for event in first:
                self.world.notes(event)
                self.happens(event)
            if not first and (self.refused or not await self.goes_on()):
                break
        else:
            raise Wrong(f"no end: {[(info.id, info.status) for info in await self.infos()]}")
        for process in self.slots.values():
            await process.runner.close()

    # --- processes ----------------------------------------------------------------------------------------------------

    @property
    def current(self) -> Built:
        """The graphs of the version, and of the deployment, that processes have now."""
        key = self.version, self.changes
        return self.built.setdefault(key, Built(self.world, self.program, *key))

    def main(self) -> Any:
        """Return the first run's graph, or the chat's agent."""
        main = self.program.main
        if isinstance(main, p.Chat):
            built = self.current
            if id(built) not in self.chats:
                self.chats[id(built)] = built.agent("chat", main, ("chat",))
            return self.chats[id(built)]
        graph = self.current.graph(main)
        graph.compile()
        return graph

    def at(self, slot: int) -> Process:
        """Return the process of a slot; a new one if it is dead or closed."""
        if slot not in self.slots:
            self.begun += 1
            process = self.slots[slot] = Process(f"process {self.begun}")
            cost = self.program.budget * COST_USD
            budgets = [Budget(name="b", window="hour", cost_usd=cost, over=self.program.over)] if cost else []
            process.store = self.medium.store(process)
            process.door = Door(self.world, process.store, process)
            extensions = [Budgets(*budgets)] if budgets or self.program.quarters else []
            # A node may be what happens meanwhile; a process is none of its children.
            made = partial(Runner, cast("Store", process.door), clock=LoopClock(), extensions=extensions)
            process.runner = Context().run(made)
        return self.slots[slot]

    def aside(self, work: Coroutine[Any, Any, None], slot: int = 0) -> None:
        """Do something from outside, through a process."""
        process = self.at(slot)

        async def doing() -> None:
            HERE.set(process)
            try:
                await process.door.open()
                await work
            except Wrong as error:
                self.troubles.append(error)
            except (StoreError, RunnerClosed, RunIsDriven, InputError, UnknownRun, RunNotResumable):
                pass  # its process died, the store was full, the run moved meanwhile: it was not accepted
            except Exception as error:  # noqa: BLE001 - all else is a fault
                if not process.is_dead:
                    self.troubles.append(error)

        task = asyncio.get_running_loop().create_task(doing(), name="outside")
        task.add_done_callback(lambda _: work.close())  # it may have been cancelled before it began
        self.outside.add(task)
        task.add_done_callback(self.outside.discard)

    def happens(self, event: p.Event) -> None:
        """Let something happen from outside, beside what made the write."""
        match event:
            case p.Kill():
                self.ends(None)
            case p.Close():
                self.ends(HERE.get(None))
            case p.Stop(now=now):
                self.aside(self.stop(now=now), self.peer)
            case p.Peer():
                self.aside(self.resume_all(self.peer), self.peer)
            case p.Post():
                self.aside(self.send(self.first, self.peer), self.peer)
            case p.Branch(back=back) if isinstance(self.program.main, p.Graph):
                self.aside(self.branch(back))
            case p.Migrate() | p.Deploy():
                self.version = 2 if isinstance(event, p.Migrate) else self.version
                self.changes = event.changes if isinstance(event, p.Deploy) else self.changes
                self.main()
            case p.Trim():
                self.aside(self.trim())
            case p.Prune(failed=failed):
                self.aside(self.prune(failed=failed), self.peer)

    @property
    def first(self) -> str:
        """The id of the first run, or of the chat."""
        return "first" if isinstance(self.program.main, p.Graph) else derive_id("chat", "c")

    @property
    def peer(self) -> int:
        """The slot of the process through which others act."""
        return self.program.processes - 1

    def ends(self, closed: Process | None) -> None:
        """Let a process go that is to be closed, and those that are dead."""
        for slot, process in list(self.slots.items()):
            if process.is_dead or process is closed:
                del self.slots[slot]
                self.close(process)

    def close(self, process: Process) -> None:
        """Close a process's runner; one that is dead leaves no trace."""

        async def closing() -> None:
            if process.is_dead:
                await self.medium.kill(process.store)
            with contextlib.suppress(GraphEngineError):
                await process.runner.close()

        task = asyncio.get_running_loop().create_task(closing(), name="closing")
        self.outside.add(task)
        task.add_done_callback(self.outside.discard)

    # --- what is done from outside ------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Start the first run."""
        runner = self.at(0).runner
        limits = None
        if self.program.visits or self.program.quarters:
            cost = self.program.quarters * COST_USD or None
            limits = Limits(visits=self.program.visits or None, cost_usd=cost)
        run = runner.start(self.main(), run_id=self.first, limits=limits)
        await run.begun()
        if (await self.infos()) and not self.at(0).is_dead:
            self.accepted.append(self.first)
        with contextlib.suppress(RunFailed):
            await run.result()

    async def turn(self, chat: p.Chat, slot: int) -> None:
        """Send the next message of the chat, or the same one again, and note its outcome."""
        process, number = self.at(slot), self.turns
        try:
            question = {"question": f"turn {number}."}
            said = await process.runner.run(self.main(), chat="c", idempotency_key=f"turn {number}", **question)
            if chat.turns[number].how in FOR_GOOD:
                self.world.breaks(f"turn {number} fails for good, and its sender got {said!r}")
        except (RunWaits, StoreError, RunnerClosed, RunIsDriven, DefinitionError):
            return  # a person is asked first, or its run did not end here
        except GraphEngineError as error:
            is_gone = isinstance(error, UnknownRun) and self.first in self.world.pruned
            if process.is_dead or is_gone:
                return
            if chat.turns[number].how not in FOR_GOOD:
                self.world.breaks(f"turn {number} got the failure of another one: {error}")
        self.turns += 1

    async def stop(self, *, now: bool) -> None:
        """Stop the first run, and note that nothing begins below it from then on, unless it is resumed meanwhile."""
        process, first = self.at(self.peer), self.first
        self.world.stopped.setdefault(first, self.world.writes + LATE)
        self.world.stopping[first] = process
        try:
            await process.runner.stop(first, "enough", now=now)
        except BaseException:
            self.world.stopped.pop(first, None)
            raise
        finally:
            self.world.stopping.pop(first, None)

    async def send(self, run_id: str, slot: int, topic: str = "t") -> None:
        """Send a message, and note it once it is accepted."""
        self.posted += 1
        word = f"message {self.posted}"
        said = self.at(slot).runner.send(run_id, topic, word, idempotency_key=word)
        await self.world.accepts(run_id, said, "message", word)

    async def branch(self, back: int) -> None:
        """Branch off the first run."""
        runner = self.at(0).runner
        info = await runner.info(self.first)
        at = max(1, info.seq - back)
        name = f"branch {self.world.writes}"
        run = runner.branch(self.first, self.main(), at, run_id=name)
        await run.begun()
        with contextlib.suppress(RunFailed):
            await run.result()

    async def trim(self) -> None:
        """Trim old steps of all runs."""
        for info in await self.infos():
            await self.medium.view.trim(info.id, 2, 100)

    async def prune(self, *, failed: bool) -> None:
        """Remove runs that have ended; one that is kept because another one needs it counts as well."""
        done = await self.at(self.peer).runner.admin.prune(keep_last=0, statuses=ENDED if failed else ("finished",))
        if any(why.startswith("needed") for why in done.kept.values()):
            self.world.happened.add("prune")

    async def infos(self) -> list[RunInfo]:
        """Return all runs, the oldest first."""
        return await infos(self.medium.view)

    async def resume_all(self, slot: int) -> None:
        """Resume all that a process can have."""
        for info in await self.infos():
            if info.status == "running" and info.driver is None:
                self.aside(self.resume(info, slot), slot)

    async def resume(self, info: RunInfo, slot: int, limits: Limits | None = None) -> None:
        """Resume a run, and wait for its end."""
        graph = self.current.by_name.get(info.graph)
        runner = self.at(slot).runner
        if graph is None or info.id in lives_of(runner).shared.driven:
            return
        with contextlib.suppress(RunFailed):
            await runner.resume(info.id, graph, limits=limits).result()

    # --- going on -----------------------------------------------------------------------------------------------------

    async def goes_on(self) -> bool:
        """Do what the world outside has to do. Return whether there was anything."""
        slot = self.world.writes % self.program.processes
        infos, main = await self.infos(), self.program.main
        for info in infos:
            if self.world.trees.get(info.id) in self.world.stopped and (info.status == "waiting" or info.driver):
                raise Wrong(f"a tree is stopped, and a run of it goes on: {info.id}: {info.status}")
        if not infos and isinstance(main, p.Graph):
            return self.begins()
        asking = [info for info in infos if await self.asks(info)]
        if isinstance(main, p.Chat) and not asking:
            if self.turns < len(main.turns):
                self.aside(self.turn(main, slot), slot)
            return self.turns < len(main.turns)
        todo = [info for info in infos if info.status != "finished"]
        for info in todo:
            if info.driver is not None:
                raise Wrong(f"a run hangs: {info.id} is driven by {info.driver}, and nothing moves")
        waiting = [info for info in todo if info.status == "waiting"]
        heard = [info.id for info in waiting if await self.heard(info, slot)]
        if heard:
            return True
        others = [info for info in todo if info not in waiting] or waiting
        limited = [
            info for info in others if info.status == "stopped" and info.summary and info.summary.kind == "limit"
        ]
        ids = {info.id for info in others}
        roots = [info for info in others if self.world.starters.get(info.id) not in ids or info.due_at is not None]
        for info in limited or roots:  # a resume of a run resumes those that it started and waits for
            await self.revived(info, slot)
        return bool(todo)

    def begins(self) -> bool:
        """Start the first run, unless it had ended and was removed. Return whether it is started."""
        is_new = self.first not in self.world.pruned
        if is_new:
            self.aside(self.begin())
        return is_new

    async def snapshot(self, info: RunInfo) -> Snapshot:
        """Return a run's snapshot, to be read: in a deep tree most runs have not moved since the last look."""
        seen, known = self.known.get(info.id, (None, Snapshot()))
        now = info.created_at, info.seq, self.world.pruned[info.id]
        if seen != now:
            known = await load_snapshot(self.medium.view, info.id, None)
            self.known[info.id] = now, known
        return known

    async def asks(self, info: RunInfo) -> bool:
        """Return whether a run waits for a person who has not answered yet."""
        if info.status != "waiting":
            return False
        snapshot = await self.snapshot(info)
        inbox = await self.medium.view.inbox([info.id])
        waits = [wait for frame in snapshot.frames.values() for wait in frame.waits.values()]
        asked = [wait for wait in waits if wait.kind not in ("receive", "sleep")]
        return bool(asked) and not any(message.kind == "answer" for message in inbox)

    async def revived(self, info: RunInfo, slot: int) -> None:
        """Resume a run that was interrupted, stopped or failed, with higher limits if it met those it had."""
        limits = None
        snapshot = await self.snapshot(info)
        if snapshot.failure is not None and any(text in show(snapshot.failure.message) for text in REFUSED):
            self.refused = show(snapshot.failure.message)
        if info.status == "failed":
            self.resumes[info.id] += 1
            if self.resumes[info.id] > MOST_RESUMES + weight(self.program.main):
                raise Wrong(f"a run fails for ever: {info.id}: {snapshot.failure}")
            if snapshot.failure is not None and "was removed: its end" in show(snapshot.failure.message):
                raise Wrong(f"a run needed what was removed: {info.id}: {snapshot.failure}")
        if info.status == "stopped" and snapshot.ending is not None and snapshot.ending.reason == "limit":
            visits, cost = snapshot.limits.get("visits"), snapshot.limits.get("cost_usd")
            limits = Limits(visits=visits and 2 * visits, cost_usd=cost and cost + 2 * COST_USD, unknown_cost=True)
        self.aside(self.resume(info, slot, limits), slot)

    async def heard(self, info: RunInfo, slot: int) -> bool:
        """Give a waiting run what it waits for. Return whether there was anything to give."""
        snapshot = await self.snapshot(info)
        waits = [(frame, name, wait) for frame in snapshot.frames.values() for name, wait in frame.waits.items()]
        if not waits:
            raise Wrong(f"a run says not what it waits for: {info.id}")
        check_slots(snapshot)
        inbox = await self.medium.view.inbox([info.id])
        pending = {message.payload["id"] for message in inbox if message.kind == "answer"}
        given: list[Callable[[], Coroutine[Any, Any, None]]] = []
        for frame, name, wait in waits:
            if given and len(waits) < MANY:
                break  # one after another, so that others can come in between
            if wait.kind in ("ask", "unknown") and wait.id not in pending:
                value = self.knows(snapshot, frame, wait) if wait.kind == "unknown" else self.says(wait)
                no = self.refusing(info, frame, wait) if value is False else None
                given.append(partial(self.answer, info, (name, wait.id), value, slot, no))
            elif wait.topic == "t":
                given.append(partial(self.send, info.id, slot))
        if given or inbox:
            self.aside(self.heeds(given, info, slot), slot)
        return bool(given or inbox)

    async def heeds(self, given: list[Callable[[], Coroutine[Any, Any, None]]], info: RunInfo, slot: int) -> None:
        """Give a run what it waits for, and let it go on."""
        for each in given:
            await each()
        await self.resume(info, slot)

    async def answer(self, info: RunInfo, asked: tuple[str, str], value: Any, slot: int, no: Cell | None) -> None:
        """Answer a question, and note that it was accepted; a no to a call also by its place."""
        with contextlib.suppress(InputError):
            said, before = self.at(slot).runner.answer(info.id, value, wait=asked[1]), self.world.pruned[info.id]
            await self.world.accepts(info.id, said, "answer", asked[0].replace("n", "m"))
            if no is not None and self.world.pruned[info.id] == before:
                self.world.noes.add(no)

    def refusing(self, info: RunInfo, frame: Frame, wait: Any) -> Cell:
        """Return the place of the call that a person refuses, and how often the graphs around it had been tried."""
        (what,) = {f"pay{number}no" for number in range(20) if f"pay{number}no" in wait.question}
        return Cell(info.id, around(frame), f"{what} {tries(frame)}")

    def says(self, wait: Any) -> Any:
        """Return a person's answer: it names its question."""
        if (wait.schema or {}).get("type") == "string":
            return str(wait.question)
        return not any(f"pay{number}no" in wait.question for number in range(20))

    def knows(self, snapshot: Snapshot, frame: Any, wait: Any) -> Any:
        """Return what a person says who looks how an effect ended."""
        there = [cell for cell in self.world.acts if cell[:2] == (snapshot.run_id, around(frame))]
        place = wait.key.partition(" ")[2].rpartition("|")[0]
        if place:
            return {"result": PAID} if any(cell.what in place for cell in there) else "rerun"
        return {"result": [KNOWN]} if any(cell.what.startswith("node ") for cell in there) else "rerun"


def is_in_turn(frame: Frame) -> bool:
    """Return whether a frame is in an item of a map that was woken, and waits for its turn for a slot."""
    above = frame.up
    if above is None:
        return False
    woken = above.phase.woken if isinstance(above.phase, Collecting) else ()
    return any(frame.id == above.item_id(at) for at in woken) or is_in_turn(above)


def check_slots(snapshot: Snapshot) -> None:
    """Check that no item of a map needs a slot while those that have one only wait, but for waits that keep it."""
    if limit_reached(snapshot):
        return
    for frame in snapshot.frames.values():
        phase = frame.phase
        if not isinstance(phase, Collecting) or is_in_turn(frame):
            continue
        can_begin = phase.next < phase.count or phase.again
        if phase.woken or (can_begin and len(phase.live) + len(phase.idle) < phase.max_open):
            items = [frame.item_id(at) for at in phase.live]
            below = [each for each in snapshot.frames.values() if each.id.startswith(tuple(items))]
            if not any(wait.keeps_slot or wait.kind == "unknown" for each in below for wait in each.waits.values()):
                raise Wrong(f"an item waits for a slot, and those that have one wait: {snapshot.run_id}: {items}")
