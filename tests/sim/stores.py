"""Stores as a medium: several owners of one file, or the store in memory, do what the commands of a program say.

What it is for
    To see that a store answers to any command, in any order, what `rows` says. After each command one owner that is
    open compares one run, its facts, driver, log, inbox and snapshot; `Look` compares every list. At the end all owners
    look, close, and a new one compares every run; doctor then looks at the file.

Invariants
    - Time moves only when a command lets it, so many things are of the same time: their order by id or turn shows.
    - A snapshot says after which steps it was made, so that one that is a step off, or of another run, is seen when it
      is loaded.
    - The threads of the stores take turns of the event loop, and nobody renews a lease but a command, so that the same
      commands always do the same.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch

from msgspec import structs
from pydantic_core import to_json

from graphengine.databases.long_texts import _met
from graphengine.databases.sqlite import SQLiteStore
from graphengine.databases.sqlite.writes import ADD_NEXT_STEP
from graphengine.engine.graph_spec import GraphSpec
from graphengine.engine.step_json import encode_step
from graphengine.engine.steps import Step
from graphengine.errors import GraphEngineError
from graphengine.kernel.testing.kit import run_info, step
from graphengine.records import retention
from graphengine.stores.base import Append, ClaimQuery, Post, QueueLimits, RunInfo, StoredSchedule, Summary
from graphengine.stores.memory import InMemoryStore
from tests.kit.facts import altered
from tests.kit.sqlite_files import empty_file, kill
from tests.sim import commands as c
from tests.sim import rows
from tests.sim.disk import check_file, patched
from tests.sim.model import Wrong
from tests.sim.rows import MIN_ROWS, Refused, Rows, Run, same
from tests.sim.world import Loop

SPEC: Final[GraphSpec] = {"nodes": [{"name": "write"}]}
TEXT_BYTES: Final = 64
"""The length from which texts are kept once, so that short steps share some."""
ENDS_IN: Final = 40
"""In how many turns of the event loop the threads of a store that is abandoned have ended."""
NO_FAULTS: Final = ("not_foldable", "run_without_steps", "parent_damaged")
"""What doctor finds as the runs are nonsense, and some have no steps."""
MANY: Final = 1000
"""More than there is of anything."""


@dataclass
class Tail:
    """What decides whether a run needs a snapshot.

    Attributes:
        shot: After which step the newest one was made; 0 for none.
        claimed: How many bytes its steps after that had when it was last claimed.
        tried: How many they had when the last one was made.
        largest: The bytes of the largest one.
        is_unsure: Whether steps were refused since then, which a store may have counted.
    """

    shot: int = 0
    claimed: int = 0
    tried: int = 0
    largest: int = 0
    is_unsure: bool = False


class Memory:
    """The memory of a process: one owner, which releases its runs when it ends in any way."""

    lease_seconds = inf
    is_file = False

    def __init__(self, loop: Loop) -> None:
        self.store: Any = InMemoryStore(clock=loop.time)

    async def open(self, *, only_reads: bool) -> Any:
        """Return the store, open."""
        del only_reads
        await self.store.open()
        return self.store

    async def kill(self, store: Any) -> None:
        """Close the store."""
        await store.close()

    def owner(self, store: Any) -> str:
        """Return the owner's name."""
        return str(store._owner)  # noqa: SLF001 - no other name is known before it drives

    async def check(self) -> None:
        """Do nothing: there is no file."""

    def remove(self) -> None:
        """Do nothing: it goes with the program."""


class File:
    """A SQLite file, on which each owner has a store."""

    lease_seconds = c.LEASE_SECONDS
    is_file = True

    def __init__(self, loop: Loop, order: int) -> None:
        random = Random(order)  # noqa: S311 - no secret
        self.folder = Path(tempfile.mkdtemp(prefix="graphengine-sim-"))
        self.path = self.folder / "runs.db"
        self.path.touch(0o600)
        self.path.write_bytes(empty_file())
        self._now = loop.time
        self._synchronous: Any = random.choice(("NORMAL", "NORMAL", "FULL"))
        self._patches, self._threads = patched(loop, [random.randint(0, 2) for _ in range(3)])

    async def open(self, *, only_reads: bool) -> Any:
        """Return a new store, open."""
        store = SQLiteStore(
            self.path, synchronous=self._synchronous, lease_seconds=self.lease_seconds, clock=self._now,
            read_only=only_reads,
        )  # fmt: skip
        await store.open()
        return store

    async def kill(self, store: Any) -> None:
        """Kill the owner of a store."""
        await kill(store)

    def owner(self, store: Any) -> str:
        """Return the owner's name."""
        return str(store.lease.id)

    async def check(self) -> None:
        """Let doctor look at the file. Raises: Wrong."""
        check_file(self.path, NO_FAULTS)

    def remove(self) -> None:
        """Remove the file."""
        self._threads.end()
        self._patches.close()
        shutil.rmtree(self.folder)


class Commanded:
    """The commands of one program, given to stores."""

    def __init__(self, commands: Sequence[c.Command], order: int, *, on_disk: bool) -> None:
        self.commands = commands
        self.loop = Loop()
        self.place = File(self.loop, order) if on_disk else Memory(self.loop)
        self.rows = Rows(self.place.lease_seconds)
        self.open: dict[int, tuple[int | None, Any]] = {}
        self.names: dict[int, str] = {}
        self.shots: dict[tuple[int, int], bytes] = {}
        self.tails: dict[int, Tail] = {}
        self.written = self.glances = 0

    def play(self) -> str:
        """Give all commands to stores. Return "finished". Raises: Wrong, or whatever a store raises."""
        logging.disable()
        _met.clear()
        names = "databases.snapshots", "stores.memory"
        with ExitStack() as patches:
            for each in names:
                patches.enter_context(patch(f"graphengine.{each}.MIN_ROWS", MIN_ROWS))
            patches.enter_context(patch("graphengine.databases.long_texts.LEAST_BYTES", TEXT_BYTES))
            try:
                self.loop.run_until_complete(self.played())
            finally:
                for task in asyncio.all_tasks(self.loop):
                    task.cancel()
                self.loop.run_until_complete(self.left())
                self.place.remove()
                self.loop.close()
                logging.disable(logging.NOTSET)
        return "finished"

    async def left(self) -> None:
        """Free what is still open."""
        for me, store in self.open.values():
            await (store.close() if me is None else self.place.kill(store))

    async def played(self) -> None:
        """Give all commands to stores, and compare everything at the end."""
        for command in self.commands:
            self.rows.now = self.loop.now
            await self.command(command)
            await self.glance()
        for by in [*self.open][::-1]:
            await self.close(c.Close(by))
        await self.look(c.Look(c.READER if self.glances % 2 else 0))
        await self.sweep(c.Sweep())
        for by in [*self.open]:
            await self.close(c.Close(by))
        await self.place.check()

    async def command(self, asked: c.Command) -> None:
        """Give one command to a store."""
        await getattr(self, type(asked).__name__.lower())(asked)

    async def at(self, by: int) -> tuple[int | None, Any]:
        """Return the owner at a place by its number, None if it only reads, and its store, opened if there is none."""
        only_reads = by == c.READER and self.place.is_file
        by = by if self.place.is_file else 0
        if by not in self.open:
            store = await self.place.open(only_reads=only_reads)
            await store.open()  # it is open
            me = None if only_reads else len(self.names)
            if me is not None:
                self.names[me] = self.place.owner(store)
                self.rows.owners[me] = rows.Owner(self.rows.now + self.place.lease_seconds)
            self.open[by] = me, store
        return self.open[by]

    async def writer(self, by: int) -> tuple[int, Any]:
        """Return an owner that writes, and its store."""
        me, store = await self.at(by)
        assert me is not None
        return me, store

    def known(self, run_id: str) -> str:
        """Return the run that a letter stands for."""
        runs = [*self.rows.runs]
        return run_id if run_id in self.rows.runs or run_id in ("z", "") or not runs else runs[ord(run_id) % len(runs)]

    async def same(self, what: object, done: Awaitable[Any], wanted: Any) -> Any:
        """Compare what a store answers, or how it refuses, with what it should. Raises: Wrong."""
        found = await answer(done)
        same(f"the answer to {what}", found, wanted)
        return found

    # --- runs ---------------------------------------------------------------------------------------------------------

    async def create(self, asked: c.Create) -> None:
        """Begin a run."""
        me, store = await self.writer(asked.by)
        starter = self.rows.runs.get(self.known(asked.starter))
        asked = replace(asked, parent=self.known(asked.parent), starter="" if starter is None else starter.id)
        first, now = asked.at + 1 if asked.parent else 1, self.loop.now
        made = self.steps(first, asked.steps, asked.size)
        info = RunInfo(
            asked.run, asked.graph, f"{asked.graph}0", "running" if asked.is_queued else asked.status,
            first + asked.steps - 1, now, now, asked.parent or None, asked.at if asked.parent else 0,
            due_at=now + asked.due if asked.due else None, tags=tuple(sorted(asked.tags)), queue=asked.queue,
            priority=asked.priority, tenant=asked.tenant or None, queued=asked.is_queued, user=asked.user or None,
            starter=asked.starter or None, root=None if starter is None else starter.root or starter.id,
            depth=0 if starter is None else starter.depth + 1,
        )  # fmt: skip
        wanted = asks(lambda: self.rows.create(me, asked, [rows.Step(each.at, each) for each in made]))
        await self.same(asked, store.create(info, made, SPEC), wanted)
        if isinstance(wanted, int):
            run = self.rows.runs[asked.run]
            self.tails[run.number] = Tail(await self.shot_of(store, run))
            self.claimed(asked.run)
        if isinstance(wanted, int) and asked.then and not asked.is_queued:
            await self.add(c.Add(asked.by, asked.run, status=asked.then, size=asked.size))

    def steps(self, first: int, number: int, size: int) -> list[Step]:
        """Return so many steps, of which some have the same texts."""
        made: list[Step] = []
        for seq in range(first, first + number):
            self.written += 1
            text = f"x{self.written % 3}" * (size // 2 or self.written % 7)
            items = [{"k": f"y{self.written % 2}{number}" * 25} for number in range(size // 80)]
            made.append(step(seq, at=self.loop.now, value=items if size and self.written % 4 == 3 else text))
        return made

    async def claim(self, asked: c.Claim) -> None:
        """Become the driver of a run."""
        me, store = await self.writer(asked.by)
        run_id = self.known(asked.run)
        wanted = asks(lambda: self.rows.claim(me, run_id))
        await self.same(asked, store.claim(run_id), wanted)
        if isinstance(wanted, int):
            self.claimed(run_id)

    def claimed(self, run_id: str) -> None:
        """Note how long the tail of a run was when it was claimed."""
        run = self.rows.runs[run_id]
        self.tails.setdefault(run.number, Tail()).claimed = self.bytes_after(run, self.last_shot(run))

    async def release(self, asked: c.Release) -> None:
        """Stop driving a run."""
        run_id = self.known(asked.run)
        driver = self.rows.runs[run_id].driver if run_id in self.rows.runs and not asked.is_stale else None
        by = next((by for by, (me, _) in self.open.items() if me is not None and me == driver), asked.by)
        me, store = await self.writer(by)
        fence = self.fence(run_id) - asked.is_stale
        self.rows.release(me, run_id, fence)
        await self.same(asked, store.release(run_id, fence), None)

    def fence(self, run_id: str) -> int:
        """Return the fence of a run; 1 if there is none."""
        return self.rows.runs[run_id].fence if run_id in self.rows.runs else 1

    async def add(self, asked: c.Add) -> None:
        """Add steps to a run."""
        by = await self.adder(asked)
        if by is not None:
            me, store = await self.writer(by)
            asked, batch = await self.batch(me, store, asked)
            wanted = asks(lambda: self.rows.add(me, asked, batch.fence, recorded(batch)))
            await self.same(asked, append(store, batch), wanted)
            await self.check_shot(asked.run, wanted)

    async def adder(self, asked: c.Add) -> int | None:
        """Return the place of who adds steps to a run, once it has claimed it; None if that has no store any more."""
        run = self.rows.runs.get(self.known(asked.run))
        if asked.is_stranger or run is None:
            return asked.by
        if not self.rows.drives(run.driver):
            await self.claim(c.Claim(asked.by, run.id))
        return next((by for by, (me, _) in self.open.items() if me is not None and me == run.driver), None)

    async def batch(self, me: int, store: Any, asked: c.Add) -> tuple[c.Add, Append]:
        """Return an addition with the runs that its letters stand for, and as a store takes it."""
        run_id = self.known(asked.run)
        run = self.rows.runs.get(run_id)
        is_right = run is not None and run.driver == me and not asked.is_stale
        inbox = [] if run is None else await store.inbox([run_id])
        asked = replace(
            asked, run=run_id, to=self.known(asked.to), gap=asked.gap if is_right else 0,
            consumes=min(asked.consumes, len(inbox)),
        )  # fmt: skip
        made = self.steps(1 if run is None else len(run.log) + 1, asked.steps, asked.size)
        if asked.gap and made:
            made[-1] = altered(made[-1], seq=made[-1].seq + asked.gap)
        last = made[-1] if made else None

        def snapshot() -> bytes:
            assert run is not None
            seq = run_seq + len(made)
            facts = {"seq": seq, "run": run.number, "sum": zlib.crc32(encode_step(last) if last else b"")}
            body = to_json({**facts, "texts": [{"k": f"y{number}" * (asked.size // 8)} for number in range(seq % 9)]})
            self.shots[run.number, seq] = body
            tail = self.tails.setdefault(run.number, Tail())
            tail.tried = self.bytes_after(run, tail.shot) + sum(len(encode_step(each)) for each in made)
            tail.largest = max(tail.largest, len(body))
            return body

        run_seq = 0 if run is None else len(run.log)
        batch = Append(run_id, self.fence(run_id) - asked.is_stale, made, asked.status, snapshot=snapshot)
        batch.consume = [message.id for message in inbox[: asked.consumes]]
        batch.due_at = self.loop.now + asked.due if asked.due else None
        if asked.spec and run is not None:
            batch.fingerprint, batch.graph_spec = f"{run.asked.graph}{asked.spec}", SPEC
        if asked.quarters >= 0:
            batch.summary = Summary("reason", cost_usd=asked.quarters / 4)
        if asked.to and run is not None:
            key = f"of {run_id} {run_seq + len(made)}"
            batch.posts = [Post(asked.to, "message", key, key)]
        return asked, batch

    async def together(self, asked: c.Together) -> None:
        """Let an owner add steps to several runs at once."""
        me, store = await self.writer(asked.by)
        made: list[tuple[c.Add, Append]] = []
        for each in asked.adds:
            run = self.rows.runs.get(self.known(each.run))
            if run is None or run.id in [add.run for add, _ in made]:
                continue
            if not self.rows.drives(run.driver):
                await self.claim(c.Claim(asked.by, run.id))
            made.append(await self.batch(me, store, replace(each, to="", steps=max(1, each.steps))))
        waiting = [asyncio.ensure_future(answer(append(store, batch))) for _, batch in made]
        if asked.dies >= 0 and self.place.is_file:
            for _ in range(asked.dies):
                await asyncio.sleep(0)
            await self.kill(c.Kill(asked.by))
            known = [pending.result() if pending.done() else "lost" for pending in waiting]
            for pending in waiting:
                pending.cancel()
            await self.check_died(me, asked, made, known)
            return
        for (add, batch), pending in zip(made, waiting, strict=True):
            wanted = asks(partial(self.rows.add, me, add, batch.fence, recorded(batch)))
            await self.same(add, pending, wanted)
            await self.check_shot(add.run, wanted, is_unsure=True)

    async def check_died(
        self, me: int, asked: c.Together, made: Sequence[tuple[c.Add, Append]], answers: Sequence[Any]
    ) -> None:
        """Check that what an owner knows to be added when it died is there; of the rest some may be."""
        _, store = await self.writer(asked.by)
        for (add, batch), known in zip(made, answers, strict=True):
            run = self.rows.runs[add.run]
            is_there = len(await store.steps(run.id)) > len(run.log)
            if is_there:
                self.rows.owners[me].is_gone = False
                self.rows.add(me, add, batch.fence, recorded(batch))
                self.rows.owners[me].is_gone = True
            elif known is None:
                raise Wrong(f"what was acknowledged is not there: {add}")
            await self.check_shot(add.run, None, is_unsure=True)

    async def check_shot(self, run_id: str, wanted: object, *, is_unsure: bool = False) -> None:
        """Check that a run has a snapshot when it should, and not before. Raises: Wrong."""
        run = self.rows.runs.get(run_id)
        if run is None or not self.open:
            return
        tail = self.tails.setdefault(run.number, Tail())
        tail.is_unsure = tail.is_unsure or is_unsure or wanted is not None
        writers = [store for me, store in self.open.values() if me is not None]
        shot = await self.shot_of(writers[0], run) if writers else tail.shot
        number, size = len(run.log) - tail.shot, self.bytes_after(run, tail.shot)
        if self.place.is_file:
            enough = size >= max(2.0 * tail.largest, 128.0, 1.5 * tail.claimed, 1.5 * tail.tried)
        else:
            number, enough = min(number, len(run.own)), run.status != "running"
        is_new = shot != tail.shot
        if wanted is None and not tail.is_unsure and is_new and (shot != len(run.log) or number < MIN_ROWS):
            raise Wrong(f"{run_id} has a snapshot after {shot} of {len(run.log)} steps, and had one after {tail.shot}")
        if wanted is None and not tail.is_unsure and not is_new and number >= MIN_ROWS and enough:
            raise Wrong(f"{run_id} has {len(run.log)} steps and no snapshot after {tail.shot}")
        is_sure = wanted is None and not tail.is_unsure and self.place.is_file
        if is_sure and is_new and size < 2 * len(self.shots[run.number, shot]):
            raise Wrong(f"{run_id} has a snapshot of more than half of what its {number} steps take")
        if is_new:
            self.tails[run.number] = Tail(shot, largest=tail.largest, is_unsure=tail.is_unsure)

    async def shot_of(self, store: Any, run: Run) -> int:
        """Return after which step the newest snapshot of a run was made; 0 for none."""
        loaded = await store.load(run.id)
        return len(run.log) - len(loaded.steps) if loaded.snapshot is not None else 0

    def last_shot(self, run: Run) -> int:
        """Return after which step the newest snapshot was made, as far as it was seen."""
        return self.tails.setdefault(run.number, Tail()).shot

    def bytes_after(self, run: Run, seq: int) -> int:
        """Return the bytes of the steps after one."""
        return sum(len(encode_step(each.value)) for each in run.log[seq:])

    # --- messages, tags and queues ------------------------------------------------------------------------------------

    async def post(self, asked: c.Post) -> None:
        """Post to a run."""
        _, store = await self.writer(asked.by)
        asked = replace(asked, run=self.known(asked.run))
        wanted = asks(lambda: self.rows.post(asked))
        await self.same(asked, store.post(asked.run, asked.kind, asked.key, asked.key, asked.alone), wanted)

    async def tag(self, asked: c.Tag) -> None:
        """Change the tags of a run."""
        _, store = await self.writer(asked.by)
        asked = replace(asked, run=self.known(asked.run))
        wanted = asks(lambda: tuple(self.rows.tag(asked)))
        await self.same(asked, store.tag(asked.run, asked.add, asked.remove), wanted)

    async def mark(self, asked: c.Mark) -> None:
        """Mark a run as stopped."""
        _, store = await self.writer(asked.by)
        asked = replace(asked, run=self.known(asked.run))
        self.rows.mark(asked)
        await self.same(asked, store.mark_stop(asked.run, asked.mark), None)

    async def take(self, asked: c.Take) -> None:
        """Take runs from queues."""
        me, store = await self.writer(asked.by)
        asked = replace(asked, aside=tuple(self.known(each) for each in asked.aside))
        pick = ClaimQuery(
            self.loop.now, asked.limit, asked.graphs or None, asked.queues or None, asked.aside, (),
            asked.aside if asked.refused else (), asked.paused,
        )  # fmt: skip
        taken = await store.take(pick)
        self.rows.take(me, asked, [(each.info.id, each.fence is not None) for each in taken])
        for each in taken:
            run = self.rows.runs[each.info.id]
            if each.fence is not None:
                same(f"the fence of {run.id}", each.fence, run.fence)
                self.fits(run, each.loaded, len(run.log))
                same(f"the inbox of {run.id}", letters(each.inbox), mail(run))
                self.claimed(run.id)

    async def limit(self, asked: c.Limit) -> None:
        """Set the limits of a queue."""
        _, store = await self.writer(asked.by)
        none = not (asked.most or asked.of_tenant or asked.is_paused)
        limits = QueueLimits(
            concurrency=asked.most or None, tenant_concurrency=asked.of_tenant or None, paused=asked.is_paused
        )
        await store.limit_queue(asked.queue, None if none else limits)
        self.rows.limits.pop(asked.queue, None)
        if not none:
            self.rows.limits[asked.queue] = asked
        same("the queues that have limits", sorted(await store.queue_limits()), sorted(self.rows.limits))

    async def plan(self, asked: c.Plan) -> None:
        """Keep, drop or move a schedule."""
        _, store = await self.writer(asked.by)
        known = self.rows.plan(asked)
        if asked.does == "drop":
            await self.same(asked, store.drop_schedule(asked.name), known)
        elif asked.does == "keep":
            await store.keep_schedule(StoredSchedule(asked.name, {}, float(asked.at)))
        else:
            await store.move_schedule(asked.name, float(asked.seen), float(asked.at))
        plans = [(each.name, each.next_at) for each in await store.schedules()]
        same("the schedules", plans, sorted(self.rows.plans.items()))

    # --- time and owners ----------------------------------------------------------------------------------------------

    async def wait(self, asked: c.Wait) -> None:
        """Let time pass, and renew some leases."""
        self.loop.now += asked.seconds
        self.rows.now = self.loop.now
        for by in asked.renews:
            me, store = self.open.get(by, (None, None))
            if me is not None and self.place.is_file:
                store.lease.renew()
                self.rows.renew(me)

    async def close(self, asked: c.Close) -> None:
        """Close the store of an owner."""
        me, store = self.open.pop(asked.by if self.place.is_file else 0, (None, None))
        if store is not None:
            await store.close()
            await store.close()  # it is closed
            same("what a closed store answers", await answer(store.runs()), "RunnerClosed")
        if me is not None:
            self.rows.gone(me, releases=True)

    async def kill(self, asked: c.Kill) -> None:
        """Kill an owner."""
        me, store = self.open.pop(asked.by if self.place.is_file else 0, (None, None))
        if store is not None and me is not None:
            if asked.abandons and self.place.is_file:
                store.abandon()
                for _ in range(ENDS_IN):
                    await asyncio.sleep(0)
            else:
                await self.place.kill(store)
            self.rows.gone(me, releases=not self.place.is_file)

    async def full(self, asked: c.Full) -> None:
        """Let an owner write when the disk is full."""
        write = asked.write
        if isinstance(write, c.Add):
            by = await self.adder(write)
            if by is None:
                return
            me, store = await self.writer(by)
            write, batch = await self.batch(me, store, write)
            wanted = asks(partial(deepcopy(self.rows).add, me, write, batch.fence, recorded(batch)))
            done, run_id = partial(append, store, batch), write.run
            if run_id in self.rows.runs:
                self.tails.setdefault(self.rows.runs[run_id].number, Tail()).is_unsure = True
        else:
            me, store = await self.writer(write.by)
            wanted, done = self.refusal(me, store, write)
        if self.place.is_file:
            with full_disk(store):
                await self.same(asked, done(), wanted if isinstance(wanted, str) else "StoreFull")

    def refusal(self, me: int, store: Any, write: c.Create | c.Claim | c.Post | c.Tag) -> tuple[Any, Any]:
        """Return what a store would answer to a write, and what makes it."""
        model, run_id = deepcopy(self.rows), self.known(write.run)
        match write:
            case c.Create():
                write = replace(write, parent="", starter="")
                info = structs.replace(run_info(write.run), seq=0)
                return asks(partial(model.create, me, write, [])), partial(store.create, info, [], SPEC)
            case c.Claim():
                return asks(partial(model.claim, me, run_id)), partial(store.claim, run_id)
            case c.Post():
                asked = replace(write, run=run_id)
                facts = run_id, write.kind, write.key, write.key, write.alone
                return asks(partial(model.post, asked)), partial(store.post, *facts)
            case c.Tag():
                return asks(partial(model.tag, replace(write, run=run_id))), partial(store.tag, run_id, write.add, ())

    # --- removal ------------------------------------------------------------------------------------------------------

    async def prune(self, asked: c.Prune) -> None:
        """Remove old runs."""
        me, store = await self.writer(asked.by)
        keep, age = None if asked.keep < 0 else asked.keep, None if asked.age < 0 else float(asked.age)
        now, before = self.loop.now, {**self.rows.runs}
        if asked.in_bites:
            rule = retention.Rule(keep, age, frozenset(asked.tags), asked.graph, asked.statuses)
            gone = [number async for number in retention.bites(store, rule, now)]
            same(f"how many runs go by {asked}", sum(gone), self.rows.bitten(me, asked))
            return
        rule = retention.rule(keep, age, asked.tags, asked.graph or None, asked.statuses)
        pruned = await retention.prune(store, rule, now, dry_run=asked.is_dry)
        going, kept = self.rows.pruned(me, asked)
        same(f"what goes by {asked}", sorted(pruned.runs), sorted(going))
        same(f"what {asked} keeps", sorted(pruned.kept), sorted(kept))
        same("how many steps go", pruned.steps, sum(len(before[each].own) for each in going))
        places = {run_id: place for place, run_id in enumerate(pruned.runs)}
        for run_id in pruned.runs:
            run = before[run_id]
            if run.parent is not None and places.get(run.parent.id, MANY) < places[run_id]:
                raise Wrong(f"{run_id} goes after the run that it branched from")
            if places.get(run.starter, -1) > places[run_id] and before[run.starter].number < run.number:
                raise Wrong(f"{run_id} goes before the run that started it")

    async def remove(self, asked: c.Remove) -> None:
        """Remove runs."""
        _, store = await self.writer(asked.by)
        infos: list[RunInfo] = []
        for run_id in map(self.known, asked.runs):
            info = run_info(run_id) if run_id not in self.rows.runs else await store.info(run_id)
            if asked.off == "seq":
                info = structs.replace(info, seq=info.seq - 1)
            elif asked.off == "tags":
                info = structs.replace(info, tags=(*info.tags, "v"))
            elif asked.off == "status":
                info = structs.replace(info, status="stopped" if info.status == "failed" else "failed")
            infos.append(info)
        kept = await store.remove(infos)
        if not all(kept.values()):
            raise Wrong(f"runs stay without a reason: {kept}")
        stay = self.rows.remove([(info.id, not asked.off) for info in infos])
        same(f"what stays after {asked}", sorted(kept), sorted(stay))

    async def trim(self, asked: c.Trim) -> None:
        """Remove what old steps of a run recorded."""
        _, store = await self.writer(asked.by)
        run = self.rows.runs.get(self.known(asked.run))
        if run is None:
            await self.same(asked, store.trim("z", asked.keep, asked.limit), "UnknownRun")
            return
        number = await store.trim(run.id, asked.keep, asked.limit)
        gone = 0
        for place, (each, found) in enumerate(zip(run.log, await store.steps(run.id), strict=True)):
            if found.kind == "removed":
                is_shot = bool(bytes(found.data.snapshot))
                gone += each.left != "nothing" and not is_shot
                is_free = run.parent_seq < place < len(run.log) - asked.keep and not self.rows.branches([run.id])
                if each.left == "all" and not is_free:
                    raise Wrong(f"step {place + 1} of {run.id} is removed by {asked}")
                each.left = "snapshot" if is_shot else "nothing"
        same(f"how many steps {asked} removes", number, gone)
        if gone > asked.limit:
            raise Wrong(f"{gone} steps are removed by {asked}")

    async def sweep(self, asked: c.Sweep) -> None:
        """Free what removed runs leave, and check which graph specs are kept."""
        _, store = await self.writer(asked.by)
        await store.sweep()
        names = [f"{graph}{spec}" for graph in "gh" for spec in range(3)]
        has = {name for name in names if await store.graph_spec(name) is not None}
        same("the graph specs that are kept", has, self.rows.needed_specs())

    # --- comparing ----------------------------------------------------------------------------------------------------

    async def glance(self) -> None:
        """Let one owner compare one run, in turns."""
        self.glances += 1
        if self.open and self.rows.runs:
            me, store = [*self.open.values()][self.glances % len(self.open)]
            runs = [*self.rows.runs.values()]
            await self.compare(me, store, runs[self.glances // 2 % len(runs)])

    async def look(self, asked: c.Look) -> None:
        """Compare all runs and lists."""
        me, store = await self.at(asked.by)
        asked = replace(asked, starter=asked.starter and self.known(asked.starter))
        for run in self.rows.runs.values():
            await self.compare(me, store, run)
        await self.page_through(store, asked)
        graphs = None if asked.graph is None else [asked.graph]
        found = [info.id for info in await store.due(self.loop.now + asked.ahead, graphs=graphs, limit=MANY)]
        self.rows.check_due(me, self.loop.now + asked.ahead, asked.graph, found)
        first = await store.due(self.loop.now + asked.ahead, graphs=graphs, limit=asked.limit)
        same("what is due first", [info.id for info in first], found[: asked.limit])
        if asked.status in c.ENDED:
            await self.compare_ended(store, asked)
        every = asked.every or None
        counts = await store.counts(tag=asked.tag, tenant=asked.tenant, text=asked.text, every_seconds=every)
        same("the counts", {(e.graph, e.status, e.since): e.runs for e in counts if e.runs}, self.rows.counts(asked))
        places = [(each.queue, each.queued, each.driven) for each in await store.queue_counts()]
        same("the places in queues", places, self.rows.queue_counts())
        owners = {each.id: sorted(each.runs) for each in await store.owners()}
        same("the owners", owners, {self.names[each]: runs for each, runs in self.rows.driven(me).items()})
        some = [*self.rows.runs][: asked.limit]
        branches = sorted(info.id for info in await store.branches(some))
        same("the branches", branches, sorted(self.rows.branches(some)))
        started = sorted(info.id for info in await store.started(some))
        same("the runs that are started", started, sorted(r.id for r in self.rows.runs.values() if r.starter in some))
        moved = await store.moved(dict.fromkeys([*some, "z"], 2))
        same("what has moved", sorted(moved), sorted([*(e for e in some if len(self.rows.runs[e].log) != 2), "z"]))
        same("the ids", list(await store.ids("", limit=asked.limit)), sorted(self.rows.runs)[: asked.limit])

    async def compare_ended(self, store: Any, asked: c.Look) -> None:
        """Compare the runs that ended, page by page."""
        wanted = self.rows.ended(asked.status, asked.graph)  # type: ignore[arg-type]
        after, found = None, []
        for _ in range(len(wanted) + 1):
            page = await store.ended(asked.status, graph=asked.graph, after=after, limit=asked.limit)
            found += page
            after = page[-1] if page else after
        same("what has ended", [each.id for each in found], wanted if asked.limit else [])
        for each in found:
            run = self.rows.runs[each.id]
            facts = each.seq, each.updated_at, each.parent, each.starter, each.depth, each.branched, each.tags
            same(f"what a prune needs of {each.id}", facts, (
                len(run.log), run.updated_at, run.parent and run.parent.id, run.starter or None, run.depth,
                bool(self.rows.branches([run.id])), tuple(sorted(run.tags)),
            ))  # fmt: skip

    async def page_through(self, store: Any, asked: c.Look) -> None:
        """Compare a list of runs, page by page."""
        words = {
            "status": asked.status, "graph": asked.graph, "tag": asked.tag, "tenant": asked.tenant, "user": asked.user,
            "starter": asked.starter, "text": asked.text, "sort": asked.sort, "ascending": asked.is_ascending,
            "begun_after": None if asked.young is None else self.loop.now - asked.young,
            "begun_before": None if asked.old is None else self.loop.now - asked.old,
        }  # fmt: skip
        wanted = self.rows.listed(asked)
        before: str | None = None
        found: list[str] = []
        for _ in range(len(wanted) + 1):
            page = await store.runs(limit=asked.limit, before=before, **words)
            found += [info.id for info in page]
            before = found[-1] if found else None
        same(f"the list of {asked}", found, wanted if asked.limit else [])

    async def compare(self, me: int | None, store: Any, run: Run) -> None:
        """Compare what an owner sees of a run."""
        loaded = await store.load(run.id)
        self.compare_facts(me, loaded.info, run)
        self.fits(run, loaded, len(run.log))
        self.same_steps(run, await store.steps(run.id), 0, len(run.log))
        same(f"the inbox of {run.id}", letters(await store.inbox([run.id])), mail(run))
        keys = {key: bool(number) for key, number in (await store.message_keys(run.id)).items()}
        left = {each.key for each in run.inbox}
        same(f"the keys of {run.id}", [*keys.items()], [(key, key in left) for key in run.keys])
        newest = await store.message_keys(run.id, 2)
        same(f"the newest keys of {run.id}", [*newest], run.keys[-2:])
        over = await store.stop_over(run.id)
        stops = self.rows.stop_over(run.id)
        if (over is not None or stops) and (over is None or tuple(over) not in stops):
            raise Wrong(f"the stop over {run.id} is {over}, but should be one of {stops}")
        if self.place.is_file:
            same(f"the lease on {run.id}", await store.former_lease(run.id), self.rows.former_lease(me, run))
        if await store.graph_spec(loaded.info.fingerprint) is None:
            raise Wrong(f"{run.id} has no graph spec")

    def compare_facts(self, me: int | None, info: RunInfo, run: Run) -> None:
        """Compare the facts of a run."""
        asked = run.asked
        driver = self.names[run.driver] if run.driver is not None and self.rows.drives(run.driver, me) else None
        cost = None if run.quarters is None else run.quarters / 4
        wanted = RunInfo(
            run.id, asked.graph, f"{asked.graph}{run.spec}", run.status, len(run.log), run.created_at, run.updated_at,
            None if run.parent is None else run.parent.id, run.parent_seq, driver, run.driver is not None, run.due_at,
            tuple(sorted(run.tags)), asked.queue, asked.priority, asked.tenant or None, not run.fence,
            None if cost is None else Summary("reason", cost_usd=cost), user=asked.user or None,
            starter=run.starter or None, root=run.root, depth=run.depth, began_with=f"{asked.graph}0",
            stop_asked=run.mark, ended_at=run.ended_at,  # type: ignore[arg-type]
        )  # fmt: skip
        for name in RunInfo.__struct_fields__:
            same(f"{name} of {run.id}", getattr(info, name), getattr(wanted, name))

    async def read(self, asked: c.Read) -> None:
        """Compare a part of a log, and the run as it was after a step."""
        _, store = await self.at(asked.by)
        run = self.rows.runs.get(self.known(asked.run))
        if run is None:
            await self.same(asked, store.load("z", asked.upto), "UnknownRun")
            await self.same(asked, store.steps("z"), "UnknownRun")
            return
        if not 1 <= asked.upto <= len(run.log):
            await self.same(asked, store.load(run.id, asked.upto), "UnknownStep")
        else:
            self.fits(run, await store.load(run.id, asked.upto), asked.upto)
        upto = min(asked.upto, len(run.log))
        self.same_steps(run, await store.steps(run.id, asked.after, asked.upto), max(asked.after, 0), upto)

    def fits(self, run: Run, loaded: Any, upto: int) -> None:
        """Check that a snapshot and the steps after it make the log up to a step. Raises: Wrong."""
        first = 0
        if loaded.snapshot is not None:
            first = upto - len(loaded.steps)
            line: Run | None = run
            while line is not None and line.parent is not None and first <= line.parent_seq:
                line = line.parent
            assert line is not None
            same(f"the snapshot of {run.id}", bytes(loaded.snapshot), self.shots.get((line.number, first)))
        self.same_steps(run, loaded.steps, first, upto)

    def same_steps(self, run: Run, found: Sequence[Step], after: int, upto: int) -> None:
        """Compare a part of a log. Raises: Wrong."""
        same(f"the steps of {run.id}", [each.seq for each in found], [*range(after + 1, upto + 1)])
        for each in found:
            wanted = run.log[each.seq - 1]
            if wanted.left == "all":
                is_right = encode_step(each) == encode_step(wanted.value)
            else:
                is_right = each.kind == "removed" and each.at == wanted.at
            if not is_right:
                raise Wrong(f"step {each.seq} of {run.id} is {each}, but should be {wanted}")


class FullDisk:
    """A connection to a file on a full disk."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        """Execute a statement, but no COMMIT and no lone step. Raises: sqlite3.OperationalError."""
        if sql == "COMMIT" or (sql == ADD_NEXT_STEP and not self._connection.in_transaction):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return self._connection.execute(sql, *given)


@contextmanager
def full_disk(store: Any) -> Iterator[None]:
    """Let the disk be full for one store."""
    opened, direct = store._writer._opened, store._direct  # noqa: SLF001 - the store has no seam there
    before, writes = [*opened], direct._connection  # noqa: SLF001
    opened[:], direct._connection = [FullDisk(each) for each in opened], FullDisk(writes)  # noqa: SLF001
    try:
        yield
    finally:
        opened[:], direct._connection = before, writes  # noqa: SLF001


def asks(modelled: Any) -> Any:
    """Return what `rows` answers; if it refuses, the name of the error."""
    try:
        return modelled()
    except Refused as refused:
        return str(refused)


async def answer(done: Awaitable[Any]) -> Any:
    """Return what a store answers; if it refuses, the name of the error."""
    try:
        return await done
    except GraphEngineError as error:
        return type(error).__name__


async def append(store: Any, batch: Append) -> None:
    """Add steps, and return once they are durable."""
    pending = store.append(batch)
    if pending is not None:
        await pending


def recorded(batch: Append) -> list[rows.Step]:
    """Return the steps of a batch."""
    return [rows.Step(each.at, each) for each in batch.steps]


def letters(inbox: Sequence[Any]) -> list[tuple[str, str]]:
    """Return the messages of an inbox."""
    return [(each.kind, each.payload) for each in inbox]


def mail(run: Run) -> list[tuple[str, str]]:
    """Return the messages that an inbox should have."""
    return [(each.kind, each.key) for each in run.inbox]
