"""Clocks that jump can give a run to another owner too early or too late, but never to two writers."""

from __future__ import annotations

from random import Random

from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import LeaseLost, RunIsDriven
from graphengine.kernel.testing.kit import append, batch, new_run, seqs, step
from tests.databases.support import Clock, OpenStore

OWNERS = 3
RUNS = 20
COMMANDS = 60
JUMPS_SECONDS = (-1e7, -3600.0, -31.0, -1.0, 1.0, 31.0, 3600.0, 1e7)


class Writers:
    """Owners of one database, each with its own clock, that compete for one run."""

    def __init__(self, run_id: str, stores: list[tuple[SQLiteStore, Clock]], fence: int) -> None:
        self.run_id = run_id
        self.stores = stores
        self.beliefs = {0: fence}  # the owners that consider themselves the driver, with their fences
        self.holder = 0
        self.written = 0
        self.doubts = 0  # how often two did at the same time

    async def claim(self, number: int) -> None:
        """Let an owner claim the run; the clocks decide whether it gets it."""
        try:
            self.beliefs[number] = await self.stores[number][0].claim(self.run_id)
        except RunIsDriven:
            return
        self.holder = number
        self.doubts += len(self.beliefs) > 1

    async def append(self, number: int) -> None:
        """Let an owner append: only the last one that claimed the run can write."""
        fence = self.beliefs.get(number)
        if fence is None:
            return
        try:
            await append(self.stores[number][0], batch(self.run_id, fence, [step(self.written + 1)]))
        except LeaseLost:
            assert number != self.holder
            del self.beliefs[number]
        else:
            assert number == self.holder, "two can write"
            self.written += 1

    async def act(self, random: Random) -> None:
        """Do something at random."""
        number = random.randrange(OWNERS)
        store, clock = self.stores[number]
        what = random.choice(("claim", "append", "jump", "renew"))
        if what == "claim":
            await self.claim(number)
        elif what == "append":
            await self.append(number)
        elif what == "jump":
            clock.now += random.choice(JUMPS_SECONDS)
        elif store.lease is not None:
            store.lease.renew()


async def test_clocks_that_jump_never_give_a_run_two_writers(open_store: OpenStore) -> None:
    """Whatever the clocks show, only the last owner that claimed the run can write."""
    doubts = 0
    clocks = [Clock() for _ in range(OWNERS)]
    stores = [(await open_store(clock=clock, lease_seconds=30.0), clock) for clock in clocks]
    for seed in range(RUNS):
        random = Random(seed)  # noqa: S311 - repeatable, not for security
        run_id = f"r{seed}"
        writers = Writers(run_id, stores, await new_run(stores[0][0], run_id))
        for _ in range(COMMANDS):
            await writers.act(random)
        for number in range(OWNERS):
            await writers.append(number)
        assert seqs(await stores[0][0].steps(run_id)) == list(range(1, writers.written + 1))
        doubts += writers.doubts
    assert doubts > RUNS, "the clocks caused too few conflicts for this test to show anything"
