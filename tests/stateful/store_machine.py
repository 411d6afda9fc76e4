"""Random commands to the owners of one medium, each compared with the small `store_model`.

Every command runs on a store and on the model; both return the same, or raise an error of the same class. After each
command one reader, chosen at random, must see every run as in the model. A snapshot identifies its log, so that one
which is a step off, of another branch or of steps that were never written is detected when it is loaded.

The threads of the stores are real. The winner of a race may differ in a second run; drawn data never depends on it.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, TypeVar
from unittest.mock import patch

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import structs
from pydantic_core import from_json, to_json

from graphengine.engine.graph_spec import GraphSpec
from graphengine.engine.step_json import encode_step
from graphengine.engine.steps import Step
from graphengine.errors import GraphEngineError, UnknownRun, UnknownStep
from graphengine.kernel.fake_clock import FakeClock
from graphengine.kernel.testing.kit import append, refused, same, seqs, step
from graphengine.state.json_values import JsonValue
from graphengine.stores.base import Append, Loaded, RunInfo, Status, Store
from tests.kit.facts import altered
from tests.stateful.media import LEASE_SECONDS, File, Medium, Memory
from tests.stateful.store_model import Dead, Owner, StoreModel
from tests.stateful.threads import no_sign_of_life

T = TypeVar("T")

MIN_ROWS = 4  # so that an example of some dozens of steps has several snapshots
TEXT_BYTES = 4  # so that steps share texts
STATUSES: tuple[Status, ...] = ("running", "running", "running", "waiting", "waiting", "finished", "stopped", "failed")
UNKNOWN_ID = 10**6
OUTLINE: GraphSpec = {"nodes": [{"name": "write"}]}

ids = st.sampled_from("aaaabbcd")  # few, so that a run has a history
places = st.integers(0, 2)
kinds = st.sampled_from(("answer", "message", "stop"))
keys = st.sampled_from("klm")
beginnings = st.sampled_from(("", "", "k", "l2"))
tags = st.sampled_from("tu")
statuses = st.sampled_from(STATUSES)
wrong = st.sampled_from((0, 0, 0, 0, 0, 0, -1, 1))


@dataclass(frozen=True)
class Wish:
    """A write: how many steps, the status after it, the error in its last seq, the messages that it consumes."""

    count: int
    status: Status
    gap: int
    due_in_seconds: float | None
    consume: Sequence[int]
    is_of_another_graph: bool

    def due_at(self, now: float) -> float | None:
        """Return the time when a timer is due."""
        return None if self.due_in_seconds is None else now + self.due_in_seconds


wishes = st.builds(
    Wish,
    st.integers(0, 6),
    statuses,
    wrong,
    st.sampled_from((None, -5.0, 3.0, 60.0)),
    st.lists(st.integers(0, 2), max_size=3),
    st.booleans(),
)


def digest(log: Sequence[Step]) -> dict[str, JsonValue]:
    """Return the content of a snapshot after this log, which no other snapshot has."""
    return {"seq": len(log), "digest": zlib.crc32(b"".join(map(encode_step, log)))}


class StoreMachine(RuleBasedStateMachine):
    """A medium under random commands."""

    medium_class: ClassVar[type[Memory | File]]

    def __init__(self) -> None:
        super().__init__()
        self.patches = [
            no_sign_of_life(),
            *(patch(f"graphengine.{name}.MIN_ROWS", MIN_ROWS) for name in ("databases.snapshots", "stores.memory")),
            patch("graphengine.databases.long_texts.LEAST_BYTES", TEXT_BYTES),
        ]
        for each in self.patches:
            each.start()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock(start=1000.0, jumps=False)
        self.medium: Medium = self.medium_class(self.clock)
        self.model = StoreModel(self.medium.lease_seconds)
        self.model.now = self.clock.now()
        self.open: dict[int, tuple[int, Store]] = {}
        self.names: dict[int, str] = {}
        self.values = 0
        self.looker = 0

    def teardown(self) -> None:
        """Close all owners, and check everything that was ever written with a new one."""
        try:
            for place in list(self.open):
                self.close(place)
            self.every_run_is_as_modelled()
            self.close(0)
            assert asyncio.all_tasks(self.loop) == set()
        finally:
            for _, store in self.open.values():
                self.do(store.close())
            self.loop.close()
            self.medium.remove()
            for each in self.patches:
                each.stop()

    # -- helpers of the rules

    def do(self, work: Awaitable[T]) -> T:
        """Run something on the loop of this example."""

        async def main() -> T:
            return await work

        return self.loop.run_until_complete(main())

    def at(self, place: int) -> tuple[int, Store]:
        """Return the owner at a place, opened if there is none."""
        place %= self.medium.places
        if place not in self.open:
            owner = len(self.names)
            store = self.do(self.medium.open())
            self.open[place] = owner, store
            self.names[owner] = self.medium.owner_id(store)
            self.model.owners[owner] = Owner(self.clock.now() + self.medium.lease_seconds)
        return self.open[place]

    def both(self, place: int, real: Callable[[Store], Awaitable[T]], modelled: Callable[[int], T]) -> T | None:
        """Give a command to a store and to the model, and check that they agree."""
        owner, store = self.at(place)
        expected: T | type[GraphEngineError] | None
        try:
            expected = modelled(owner)
        except GraphEngineError as error:
            expected = type(error)
        try:
            found: T | type[GraphEngineError] | None = self.do(real(store))
        except GraphEngineError as error:
            found = type(error)
        assert found == expected, (found, expected)
        return None if isinstance(found, type) else found

    def fresh(self, first: int, count: int) -> list[Step]:
        """Return steps from a seq on."""
        made: list[Step] = []
        for seq in range(first, first + count):
            self.values += 1
            made.append(step(seq, at=self.clock.now(), value=f"{self.values % 5}" * (self.values % 7)))
        return made

    def batch(self, run_id: str, wish: Wish, off: int) -> Append:
        """Return a batch with a snapshot that identifies itself and must be requested immediately."""
        run = self.model.runs.get(run_id)
        log = list(run.log if run is not None else ())
        steps = self.fresh(len(log) + 1, wish.count)
        if wish.gap and steps:  # those before the last one are correct, and must not be written either
            steps[-1] = altered(steps[-1], seq=steps[-1].seq + wish.gap)
        log += steps

        def snapshot() -> bytes:
            assert self.calling, "the snapshot was requested after the call of append"
            event("a snapshot was made")
            return to_json(digest(log))

        batch = Append(run_id, self.fence(run_id, off), steps, wish.status, snapshot=snapshot)
        batch.due_at = wish.due_at(self.clock.now())
        if wish.is_of_another_graph:
            batch.fingerprint, batch.graph_spec = f"f{wish.count}", OUTLINE
        return batch

    calling = False

    async def add(self, store: Store, batch: Append) -> None:
        """Append, and wait until it is durable."""
        self.calling = True
        try:
            pending = store.append(batch)
        finally:
            self.calling = False
        if pending is not None:
            await pending

    def known(self, run_id: str) -> str:
        """Return a run that exists, except that `d` may not."""
        runs = list(self.model.runs)
        return run_id if run_id in runs or run_id == "d" or not runs else runs[ord(run_id) % len(runs)]

    # -- commands

    @initialize(wish=wishes)
    def begin(self, wish: Wish) -> None:
        """Start the first run."""
        self.create(0, "a", None, 0, wish, frozenset())

    @rule(place=places, run_id=ids, parent=st.none() | ids, at=st.integers(0, 9), wish=wishes, marks=st.sets(tags))
    def create(self, place: int, run_id: str, parent: str | None, at: int, wish: Wish, marks: AbstractSet[str]) -> None:  # noqa: PLR0913
        """Start a run, or a branch of one."""
        at = at if parent is not None else 0
        seq, now = at + wish.count, self.clock.now() + len(self.model.runs) % 2
        facts = (run_id, f"graph {at % 2}", f"f{at % 3}", wish.status, seq, now, now, parent, at)
        info = RunInfo(*facts, due_at=wish.due_at(self.clock.now()), tags=tuple(sorted(marks)))
        steps = self.fresh(at + 1, wish.count)
        self.both(place, lambda s: s.create(info, steps, OUTLINE), lambda o: self.model.create(o, info, steps))

    @rule(place=places, run_id=ids)
    def claim(self, place: int, run_id: str) -> None:
        """Become a run's driver."""
        run_id = self.known(run_id)
        self.both(place, lambda store: store.claim(run_id), lambda owner: self.model.claim(owner, run_id))

    @rule(run_id=ids)
    def race(self, run_id: str) -> None:
        """Let all owners claim a run at the same time: one of those that are alive gets it."""
        run_id = self.known(run_id)
        owners = [self.at(place) for place in range(self.medium.places)]
        is_known = run_id in self.model.runs
        is_free = is_known and not self.model.drives(self.model.runs[run_id].driver)

        async def claim_all() -> list[int | BaseException]:
            return await asyncio.gather(*(store.claim(run_id) for _, store in owners), return_exceptions=True)

        found = self.do(claim_all())
        won = sorted((fence, owner) for (owner, _), fence in zip(owners, found, strict=True) if isinstance(fence, int))
        assert bool(won) == is_free, found
        for fence, owner in won:  # an owner with an expired lease may lose the run at once
            assert fence == self.model.claim(owner, run_id)

    @rule(place=places, run_id=ids, off=wrong)
    def release(self, place: int, run_id: str, off: int) -> None:
        """Release a run, or try to with a stale fence."""
        run_id = self.known(run_id)
        fence = self.fence(run_id, off)
        self.both(place, lambda s: s.release(run_id, fence), lambda owner: self.model.release(owner, run_id, fence))

    def fence(self, run_id: str, off: int) -> int:
        """Return a run's fence, or a wrong one."""
        run = self.model.runs.get(run_id)
        return (run.fence if run is not None else 0) + off

    @rule(place=places, run_id=ids, wish=wishes, off=wrong)
    def append(self, place: int, run_id: str, wish: Wish, off: int) -> None:
        """Add steps with a correct or wrong fence or seq, and take messages out of the inbox.

        Not both wrong: a store may refuse the steps before or after it looks whose the run is.
        """
        run_id = self.known(run_id)
        run = self.model.runs.get(run_id)
        owner, store = self.at(place)
        if off or run is None or run.driver != owner:
            wish = replace(wish, gap=0)
        batch = self.batch(run_id, wish, off)
        inbox = self.do(store.inbox([run_id])) if run is not None else []
        taken = {each for each in wish.consume if each < len(inbox)}
        batch.consume = [inbox[each].id for each in taken] + [UNKNOWN_ID] * (len(taken) % 2)

        def modelled(owner: int) -> None:
            self.model.append(owner, batch)
            if run is not None:
                run.inbox = [sent for each, sent in enumerate(run.inbox) if each not in taken]

        self.both(place, lambda store: self.add(store, batch), modelled)

    @rule(place=places, run_id=ids, wish=wishes)
    def drive(self, place: int, run_id: str, wish: Wish) -> None:
        """Add steps as the driver, after claiming the run if it has none."""
        run_id = self.known(run_id)
        run = self.model.runs.get(run_id)
        if run is not None and not self.model.drives(run.driver):
            self.claim(place, run_id)
        for each, (owner, _) in list(self.open.items()):
            if run is not None and run.driver == owner:
                self.append(each, run_id, wish, 0)

    @rule(place=places, other=places, run_id=ids, wish=wishes)
    def suspend(self, place: int, other: int, run_id: str, wish: Wish) -> None:
        """Suspend a driver, and wake it after another one claimed its run: it writes nothing more.

        Its steps follow the log as it knows it: a store may refuse others before it looks whose the run is.
        """
        run_id = self.known(run_id)
        wish = replace(wish, gap=0)
        self.claim(place, run_id)
        fence = self.fence(run_id, 0)
        self.at(other)
        self.turn_the_clock(LEASE_SECONDS + 1, self.open.keys() - {place % self.medium.places})
        self.claim(other, run_id)
        batch = self.batch(run_id, wish, 0)
        batch.fence = fence
        self.both(place, lambda store: self.add(store, batch), lambda owner: self.model.append(owner, batch))
        self.both(place, lambda s: s.release(run_id, fence), lambda owner: self.model.release(owner, run_id, fence))

    @rule(
        place=places,
        run_id=ids,
        kind=kinds,
        key=keys,
        payload=st.integers(0, 9),
        alone=st.sampled_from(("", "k", "l2")),
    )
    def post(self, place: int, run_id: str, kind: str, key: str, payload: int, alone: str) -> None:  # noqa: PLR0913
        """Send something to a run, new or sent before, or only if nothing with a key like this was sent."""
        message = self.known(run_id), kind, payload, f"{key}{payload % 4}", alone
        self.both(place, lambda s: s.post(*message), lambda _: self.model.post(*message))

    @rule(place=places, run_id=ids, kind=kinds, wish=wishes, early=st.booleans())
    def wait_for_news(self, place: int, run_id: str, kind: str, wish: Wish, *, early: bool) -> None:
        """Park a run that gets what it waits for before or after that: it must become due."""
        run_id = self.known(run_id)
        self.values += 1
        news = (run_id, kind, self.values, f"news {self.values}")
        if early:
            self.both(place, lambda s: s.post(*news), lambda _: self.model.post(*news))
        self.drive(place, run_id, replace(wish, status="waiting", gap=0, consume=()))
        if not early:
            self.both(place, lambda s: s.post(*news), lambda _: self.model.post(*news))
        self.look_for_due_runs(place, 0.0, 5, None)

    @rule(seconds=st.sampled_from((0.5, 4.0, 20.0, 40.0, 100.0)), renewing=st.sets(places))
    def turn_the_clock(self, seconds: float, renewing: AbstractSet[int]) -> None:
        """Advance the clock; some owners renew their leases, those of others can expire."""
        self.clock.move(seconds)
        self.model.now = self.clock.now()
        for place in renewing & self.open.keys():
            owner, store = self.open[place]
            self.medium.renew(store)
            self.model.owners[owner].expires_at = self.clock.now() + self.medium.lease_seconds

    @rule(place=places)
    def close(self, place: int) -> None:
        """Close an owner's store; another one opens at its place when needed."""
        owner, store = self.at(place)
        del self.open[place % self.medium.places]
        self.do(store.close())
        self.model.close(owner)

    @rule(place=places)
    def kill(self, place: int) -> None:
        """Kill an owner."""
        self.kill_now(place)

    def kill_now(self, place: int) -> None:
        """Kill an owner."""
        owner, store = self.at(place)
        del self.open[place % self.medium.places]
        self.do(self.medium.kill(store))
        if self.medium.shows_death:
            self.model.owners[owner].killed = True
        else:
            self.model.close(owner)

    @rule(place=places, run_id=ids, sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4), turns=st.integers(0, 6))
    def die_writing(self, place: int, run_id: str, sizes: Sequence[int], turns: int) -> None:
        """Kill an owner with batches in flight: acknowledged ones are stored, and of the rest a prefix, each whole."""
        run_id = self.known(run_id)
        owner, store = self.at(place)
        run = self.model.runs.get(run_id)
        if run is None or run.driver != owner:
            return
        batches: list[Append] = []
        waiters: list[asyncio.Future[None]] = []

        async def begin() -> None:
            first = len(run.log) + 1
            for size in sizes:
                batches.append(Append(run_id, run.fence, self.fresh(first, size), "running"))
                waiters.append(asyncio.ensure_future(append(store, batches[-1])))
                first += size
            for _ in range(turns):
                await asyncio.sleep(0)

        self.do(begin())
        self.kill_now(place)

        async def ends() -> list[BaseException | None]:
            return await asyncio.gather(*waiters, return_exceptions=True)

        acknowledged = [error is None for error in self.do(ends())]
        assert acknowledged == sorted(acknowledged, reverse=True)
        _, reader = self.at(place)
        length = len(self.do(reader.steps(run_id)))
        lengths = [len(run.log)]
        for each in batches:
            lengths.append(lengths[-1] + len(each.steps))
        written = lengths.index(length)
        assert written >= sum(acknowledged)
        event(f"died writing: {'some' if 0 < written < len(batches) else 'all' if written else 'none'} written")
        for each in batches[:written]:
            run.log.extend(each.steps)
            run.status, run.due_at = "running", None

    @rule(place=places, run_id=ids, sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3))
    def write_to_a_slow_disk(self, place: int, run_id: str, sizes: Sequence[int]) -> None:
        """Check that nothing is acknowledged before its commit, and that it can then be read past the store."""
        run_id = self.known(run_id)
        owner, store = self.at(place)
        run = self.model.runs.get(run_id)
        if run is not None and not self.model.drives(run.driver):
            self.claim(place, run_id)
        if run is None or run.driver != owner:
            return
        first = len(run.log) + 1
        batches: list[Append] = []
        for size in sizes:
            batches.append(Append(run_id, run.fence, self.fresh(first, size), "running"))
            first += size
        self.do(self.write_slowly(store, run_id, batches))
        for batch in batches:
            self.model.append(owner, batch)

    async def write_slowly(self, store: Store, run_id: str, batches: Sequence[Append]) -> None:
        """Append these batches to a slow disk, and check past the store each time one is acknowledged."""
        early: list[int] = []
        waiters: list[asyncio.Future[None]] = []

        def acknowledged(seq: int) -> None:
            if self.medium.recorded(run_id) < seq:
                early.append(seq)

        async with self.medium.slow(store) as disk:
            for batch in batches:
                note = partial(acknowledged, batch.steps[-1].seq)
                pending = store.append(batch)
                if pending is None:
                    note()
                    continue
                waiters.append(asyncio.ensure_future(pending))
                waiters[-1].add_done_callback(lambda _, note=note: note())  # type: ignore[misc]
            if disk is not None:
                await disk.arrival()
                await asyncio.sleep(0.0001)
                assert not any(waiter.done() for waiter in waiters), "acknowledged before it is durable"
                disk.goes.set()
            await asyncio.gather(*waiters)
        assert not early, f"acknowledged, but not stored: up to step {early}"

    # -- checks

    @rule(place=places, status=st.none() | statuses, graph=st.sampled_from((None, "graph 0", "graph 1", "other")),
          tag=st.none() | tags, limit=st.integers(0, 5))  # fmt: skip
    def page_through(self, place: int, status: Status | None, graph: str | None, tag: str | None, limit: int) -> None:
        """Check that pages of the list follow each other without a gap."""
        _, store = self.at(place)
        expected = self.model.listed(status, graph, tag, None)
        before: str | None = None
        found: list[str] = []
        for _ in range(len(expected) + 1):
            page = self.do(store.runs(limit=limit, status=status, graph=graph, tag=tag, before=before))
            assert [info.id for info in page] == self.model.listed(status, graph, tag, before)[:limit]
            found += [info.id for info in page]
            before = found[-1] if found else None
        assert found == (expected if limit else [])

    @rule(place=places, ahead=st.sampled_from((-10.0, 0.0, 0.0, 50.0)), limit=st.integers(0, 5),
          graphs=st.none() | st.lists(st.sampled_from(("graph 0", "graph 1")), max_size=2))  # fmt: skip
    def look_for_due_runs(self, place: int, ahead: float, limit: int, graphs: Sequence[str] | None) -> None:
        """Check that the due runs are the model's: of dead owners first, then by time; a limit keeps the first ones."""
        owner, store = self.at(place)
        now = self.clock.now() + ahead
        expected = self.model.due(now, owner)
        if graphs is not None:
            expected = {id_: s for id_, s in expected.items() if self.model.runs[id_].first.graph in graphs}
        found = [info.id for info in self.do(store.due(now, graphs=graphs))]
        assert set(found) == set(expected)
        assert len(found) == len(expected)
        known = [expected[run_id] for run_id in found if not isinstance(expected[run_id], Dead)]
        assert all(isinstance(expected[run_id], Dead) for run_id in found[: len(found) - len(known)])
        assert known == sorted(known)
        assert [info.id for info in self.do(store.due(now, graphs=graphs, limit=limit))] == found[:limit]

    @rule(place=places, run_id=ids, upto=st.integers(0, 40))
    def load_at(self, place: int, run_id: str, upto: int) -> None:
        """Check that old steps stay readable, at any seq, through parents and snapshots."""
        run_id = self.known(run_id)
        _, store = self.at(place)
        run = self.model.runs.get(run_id)
        if run is not None and 1 <= upto <= len(run.log):
            self.fits(self.do(store.load(run_id, upto)), run.log[:upto])
            return
        with refused(UnknownRun if run is None else UnknownStep):
            self.do(store.load(run_id, upto))

    def fits(self, loaded: Loaded, log: Sequence[Step]) -> None:
        """Check that a snapshot and the steps after it make this log."""
        start = 0
        if loaded.snapshot is not None:
            event("a snapshot was loaded")
            record = from_json(loaded.snapshot)
            start = record["seq"]
            assert record == from_json(to_json(digest(log[:start])))
            assert start <= len(log)
        assert same(loaded.steps, log[start:])

    @rule(place=places, run_id=ids, after=st.integers(-1, 30), upto=st.none() | st.integers(0, 30))
    def read_a_stretch(self, place: int, run_id: str, after: int, upto: int | None) -> None:
        """Check that any section of a log equals that of the model."""
        run_id = self.known(run_id)
        self.both(
            place,
            lambda store: self.seqs_of(store, run_id, after, upto),
            lambda _: [s for s in seqs(self.model.run(run_id).log) if after < s and (upto is None or s <= upto)],
        )

    async def seqs_of(self, store: Store, run_id: str, after: int, upto: int | None) -> list[int]:
        """Return the seqs of a section, with each step compared with the model's."""
        found = await store.steps(run_id, after, upto)
        log = self.model.runs[run_id].log
        assert same(found, [log[seq - 1] for seq in seqs(found)])
        return seqs(found)

    @invariant()
    def one_run_is_as_modelled(self) -> None:
        """After each command, one owner checks one run, in turns."""
        self.looker += 1
        if self.model.runs and self.open:
            place = list(self.open)[self.looker % len(self.open)]
            self.compare(place, list(self.model.runs)[self.looker // 2 % len(self.model.runs)])
            if self.looker % 3 == 0:
                self.look_for_due_runs(place, 0.0, 2, None)

    def every_run_is_as_modelled(self) -> None:
        """Check that every run equals the model's."""
        for run_id in self.model.runs:
            self.compare(0, run_id)

    def compare(self, place: int, run_id: str) -> None:
        """Compare an owner's view of a run: facts, driver, whole log, inbox, and a load."""
        owner, store = self.at(place)
        run = self.model.runs[run_id]
        expected, driver = self.model.info(run_id, owner)
        loaded = self.do(store.load(run_id))
        info = loaded.info
        assert structs.replace(info, driver=None) == expected
        assert info.driver == (None if driver is None else self.names[driver])
        self.fits(loaded, run.log)
        assert same(self.do(store.steps(run_id)), run.log)
        inbox = [(m.run_id, m.kind, m.payload) for m in self.do(store.inbox([run_id]))]
        assert inbox == [(run_id, sent.kind, sent.payload) for sent in run.inbox]
        assert self.do(store.graph_spec(info.fingerprint)) == OUTLINE
