"""What all runs of a database may spend holds for many runs, processes and kills; see `sessions/budgets.txt` too."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import subprocess
import sys
import weakref
from collections import Counter
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine import Agent, Context, Retry, Runner
from graphengine.api.places import store_at
from graphengine.budgets import Budget, Budgets
from graphengine.budgets.ledger import Account, Hold, Ledger, Place, Window, window_of
from graphengine.budgets.left import AccountLeft, BudgetLeft, BudgetsLeft, headline_of
from graphengine.databases.sqlite.doctor import examine
from graphengine.databases.sqlite.doctor.rebuild import rebuild
from graphengine.memory import Memory
from graphengine.models import Request, Response
from graphengine.models.errors import ModelTransient
from graphengine.testing import FakeClock
from tests.agents.run_kits import one, within
from tests.budgets.spending import COST_USD, Noting, writing
from tests.kit.runs import SOON

ROOT = Path(__file__).resolve().parents[2]
MIDNIGHT = 86_400.0 * 20_000


@pytest.fixture(params=["process", "sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """Return where runs are kept."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres"))
    return None if request.param == "process" else str(tmp_path / "runs.db")


@pytest.fixture
def model(tmp_path: Path) -> Noting:
    """Return a model that costs a quarter of a dollar."""
    return Noting(tmp_path / "calls")


async def accounts(store: object) -> list[Account]:
    """Return what is kept of all budgets."""
    return [*await Ledger(store).accounts()]


async def test_runs_share_a_budget_and_wait_for_the_next_day(place: str | None, model: Noting) -> None:
    """Of ten runs at once, four fit; the others sleep until midnight, and then four more do."""
    clock = FakeClock(MIDNIGHT + 100, jumps=False)
    over = Budgets(Budget(name="day", cost_usd=1))
    async with Runner(place, models=model, clock=clock, extensions=[over]) as runner:
        runs = [runner.start(writing(), run_id=f"r{number}") for number in range(10)]
        while Counter(info.status for info in await runner.runs()) != {"finished": 4, "waiting": 6}:
            clock.move(1)
            await asyncio.sleep(0)
        infos = await runner.runs()
        assert {info.due_at for info in infos if info.status == "waiting"} == {MIDNIGHT + 86_400}
        assert model.made == 4
        clock.move(86_400)
        while Counter(info.status for info in await runner.runs()) != {"finished": 8, "waiting": 2}:
            clock.move(1)
            await asyncio.sleep(0)
        (account,) = await accounts(runner.store)
        assert (account.spent["cost_usd"], account.spent["calls"], account.calls_in_flight) == (1.0, 4, 0)
        clock.move(86_400)
        for run in runs:
            assert (await within(run)).status == "finished"
    assert model.made == 10


async def test_a_store_is_freed_with_its_accounts(place: str | None, model: Noting) -> None:
    """A program that opens many, as tests do, and gives each the same budgets, does not fill the memory."""
    over = Budgets(Budget(name="day", cost_usd=1))
    async with Runner(place, models=model, extensions=[over]) as runner:
        await within(runner.start(writing()))
        store = weakref.ref(runner.store)
    del runner
    async with asyncio.timeout(SOON):
        while store() is not None:  # a thread of the event loop keeps its last call until it runs again
            await asyncio.to_thread(int)
            gc.collect()


class Failing:
    """A model whose first answer breaks off after its provider has counted tokens, and whose second never comes."""

    name = "failing"

    def __init__(self) -> None:
        self.made = 0
        self.begun = asyncio.Event()

    async def answer(self, request: Request) -> Response:
        """Fail, or hang."""
        self.made += 1
        if self.made == 1:
            error = ModelTransient("torn")
            error.usage = {"calls": 1, "input_tokens": 5, "output_tokens": 0, "cost_usd": None, "unknown_calls": 1}
            raise error
        self.begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def price_of(self, input_tokens: int, output_tokens: int) -> float | None:
        """Return what a call may cost."""
        return 0.5


async def test_what_failed_and_was_cut_off_counts(place: str | None, tmp_path: Path) -> None:
    """A failed call of unknown cost counts with its estimate, and a call that was cut off with its question.

    Both are marked as estimated in the account, and nothing stays in flight. The run has no estimate.
    """
    model, budgets = Failing(), Budgets(Budget(name="b", cost_usd=9))
    async with Runner(place, models=model, extensions=[budgets]) as runner:
        run = runner.start(one(Agent("writer", prompt="{task}"), retry=Retry(attempts=2, initial_seconds=0)))
        await model.begun.wait()
        await runner.stop(run.id, now=True)
        stopped = await within(run)
        assert stopped.status == "stopped"
        (account,) = await accounts(runner.store)
        assert account.spent == {"cost_usd": 1.0, "tokens": 7, "calls": 2}
        assert (account.estimated, account.unknown_calls) == ({"cost_usd": 1.0, "tokens": 2}, 2)
        assert (account.calls_in_flight, account.in_flight("cost_usd")) == (0, 0)
        assert (stopped.usage.input_tokens, stopped.usage.cost_usd, stopped.usage.unknown_calls) == (5, None, 2)
    if place is not None:
        other = Noting(tmp_path / "calls")
        async with Runner(place, models=other, extensions=[budgets]) as runner:
            await within(runner.resume(run.id, writing()))
            (account,) = await accounts(runner.store)
        assert (account.spent["cost_usd"], account.spent["calls"], account.calls_in_flight) == (1.25, 3, 0)


async def process(store: str, calls: Path, *ids: str, **variables: str) -> int:
    """Drive runs in another process, and return its exit code."""
    words = [sys.executable, "-m", "tests.budgets.spending", store, str(calls), *ids]
    environment = {**os.environ, **variables}
    ended = await asyncio.to_thread(subprocess.run, words, env=environment, cwd=ROOT, timeout=60, check=False)
    return ended.returncode


@pytest.fixture(params=["sqlite", "postgres"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a database."""
    return str(request.getfixturevalue("postgres")) if request.param == "postgres" else str(tmp_path / "runs.db")


async def test_two_processes_spend_no_more_than_one(shared: str, tmp_path: Path) -> None:
    """Of 24 runs in two processes at once, exactly seven calls are made."""
    calls = tmp_path / "calls"
    halves = [[f"{half}{number}" for number in range(12)] for half in "ab"]
    variables = {"MOST": str(7 * COST_USD), "OVER": "ask"}
    assert await asyncio.gather(*(process(shared, calls, *half, **variables) for half in halves)) == [0, 0]
    assert len(calls.read_text().splitlines()) == 7
    (account,) = await _kept(shared)
    assert (account.spent["cost_usd"], account.calls_in_flight) == (7 * COST_USD, 0)


@pytest.mark.parametrize(("dies", "made"), [("1", 2), ("-1", 2)])
async def test_a_killed_call_counts_as_often_as_it_is_paid(shared: str, tmp_path: Path, dies: str, made: int) -> None:
    """Killed in the call, its question counts as an estimate; killed after the answer is spent, both calls count."""
    calls = tmp_path / "calls"
    assert await process(shared, calls, "r", DIES=dies, MOST="9") == 9
    (account,) = await _kept(shared)
    assert (account.spent["calls"], account.calls_in_flight, account.unknown_calls) == (1, 0, int(dies == "1"))
    assert await process(shared, calls, "r", MOST="9") == 0
    (account,) = await _kept(shared)
    assert len(calls.read_text().splitlines()) == made
    assert (account.spent["calls"], account.calls_in_flight) == (2, 0)


async def _kept(store: str) -> list[Account]:
    opened = store_at(store)
    try:
        return await accounts(opened)
    finally:
        await opened.close()


async def test_a_memory_cannot_reach_accounts(model: Noting, tmp_path: Path) -> None:
    """They are in tables of their own, whatever is put or cleared."""
    async with Runner(tmp_path / "runs.db", models=model, extensions=[Budgets(Budget(name="b", calls=9))]) as runner:
        await within(runner.start(writing()))
        before = await accounts(runner.store)
        async with Memory(tmp_path / "runs.db") as memory:
            await memory.put("budgets/b", "all", 1)
            await memory.clear("")
            assert await memory.list() == []
        assert (before, before[0].spent["calls"]) == (await accounts(runner.store), 1)


async def test_the_doctor_saves_accounts(model: Noting, tmp_path: Path) -> None:
    """A copy of what can be read has what was spent and what is in flight; a call without an account is found."""
    path, copy, budget = tmp_path / "runs.db", tmp_path / "copy.db", Budget(name="b", calls=9)
    async with Runner(path, models=model, extensions=[Budgets(budget)]) as runner:
        await within(runner.start(writing()))
        await Ledger(runner.store).reserve([Place(budget, "", 0.0)], Hold("cut off", amounts={"calls": 1}))
        before = await accounts(runner.store)
        await runner.store.vacuum()
    assert examine(path).is_sound
    with closing(sqlite3.connect(path)) as damaged:
        rebuild(damaged, copy)
    assert examine(copy).is_sound
    assert await _kept(str(copy)) == before
    with closing(sqlite3.connect(copy, isolation_level=None)) as damaged:
        damaged.execute("DELETE FROM budget_accounts")
    assert [each.code for each in examine(copy).findings] == ["stray"]


@given(st.floats(0, 4e9), st.sampled_from(["hour", "day", "month"]))
def test_windows_follow_one_another(now: float, window: Window) -> None:
    """Every time is in one window, which ends where the next begins."""
    begin, end = window_of(window, now)
    assert begin <= now < end
    assert window_of(window, end)[0] == end
    assert window_of(window, begin) == (begin, end)


def test_todays_card_has_the_budget_for_all() -> None:
    """What was spent of it, and by the end of its window at the same rate once a twentieth of that is over."""
    whole, begin = 86_400.0, MIDNIGHT
    left = [
        BudgetLeft(
            budget=Budget(name=by, cost_usd=2, by=by),
            accounts=[
                AccountLeft(
                    key="", begin=begin, end=begin + whole, spent={"cost_usd": 0.5}, in_flight={}, calls_in_flight=0
                )
            ],
        )
        for by in ("agent", "all")
    ]
    first, early, later = (headline_of(BudgetsLeft(budgets=left), begin + part * whole) for part in (0, 0.01, 0.25))
    assert first == early == "$0.5000 of $2.0000 of the budget all"
    assert later == f"{early}, about $2.0000 by the end of the day"
    assert headline_of(BudgetsLeft(budgets=left[:1]), begin) == ""


async def test_an_agent_in_a_call_waits_for_a_call_in_flight(model: Noting, monkeypatch: pytest.MonkeyPatch) -> None:
    """For hours, if the process of that one was killed: here from the thousandth try on."""
    budget, tries = Budget(name="b", calls=1), count(1)

    async def work(ctx: Context) -> str:
        return str(await ctx.call(Agent("writer", prompt="hi", model=model).run))

    async def until(*_: object) -> None:
        if next(tries) == 10:
            await ledger.settle(places, hold, {})

    monkeypatch.setattr("graphengine.budgets.shared.count", partial(count, 1020))
    monkeypatch.setattr("graphengine.budgets.shared.until", until)
    async with Runner(clock=FakeClock(MIDNIGHT), extensions=[Budgets(budget)]) as runner:
        hold = Hold("of another process", amounts={"calls": 1})
        ledger, places = Ledger(runner.store), [Place(budget, "", window_of(budget.window, MIDNIGHT)[0])]
        await ledger.reserve(places, hold)
        assert (await within(runner.start(one(work)))).status == "finished"
    assert model.made == 1
