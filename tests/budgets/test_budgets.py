"""What all runs of a database may spend in a window holds for any number of runs, processes and kills."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import weakref
from collections import Counter
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine import Agent, Limits, Result, Retry, RunFailed, Runner
from graphengine.api.places import store_at
from graphengine.budgets import Budget, Budgets, BudgetSpent
from graphengine.budgets.ledger import Account, Ledger, Place, Window, window_of
from graphengine.errors import DefinitionError
from graphengine.memory import Memory
from graphengine.models import Request, Response
from graphengine.models.errors import ModelTransient, PriceUnknown
from graphengine.testing import FakeClock
from tests.agents.run_kits import Work, failing, one, within
from tests.budgets.spending import COST_USD, Noting, writing

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


async def spent(run: Any) -> BudgetSpent:
    """Return the error of a run whose budget is spent."""
    with pytest.raises(RunFailed) as caught:
        await within(run)
    assert isinstance(caught.value.__cause__, BudgetSpent)
    return caught.value.__cause__


async def of_tenant(runner: Runner, tenant: str, **options: Any) -> Any:
    """Return a run of a tenant that is driven here."""
    queued = runner.start(writing(), queue="default", tenant=tenant, **options)
    await queued.result()
    return await runner.drive(queued.id, writing())


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
        assert (account.spent["cost_usd"], account.spent["calls"], account.in_flight) == (1.0, 4, {})
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
    await asyncio.sleep(0)
    gc.collect()
    assert store() is None


@pytest.mark.parametrize(("name", "limit"), [("tokens", 25), ("calls", 3)])
async def test_tokens_and_calls_are_limited_too(name: str, limit: int, model: Noting, tmp_path: Path) -> None:
    """Each amount has a limit of its own; a call that would exceed it does not begin unless it is alone."""
    budget = Budget(name="b", over="fail", **{name: limit})  # type: ignore[arg-type]
    async with Runner(tmp_path / "runs.db", models=model, extensions=[Budgets(budget)]) as runner:
        for _ in range(3):
            await within(runner.start(writing()))
        await spent(runner.start(writing()))
    assert model.made == 3


async def test_a_budget_that_fails_says_what_is_spent(model: Noting) -> None:
    """The error has the key, the amounts and the window; it is not retried, and the run can be resumed."""
    clock = FakeClock(MIDNIGHT)
    budgets = Budgets(Budget(name="b", by="tenant", window="hour", cost_usd=0.25, over="fail"))
    async with Runner(models=model, clock=clock, extensions=[budgets]) as runner:
        await within(await of_tenant(runner, "acme"))
        await within(await of_tenant(runner, "other"))
        run = await of_tenant(runner, "acme")
        error = await spent(run)
        assert error.message == "the budget 'b' of tenant 'acme' is spent: $0.2500 of $0.2500 this hour"
        clock.move(3600)
        assert (await within(runner.resume(run.id, writing(), retry_failed=True))).status == "finished"


@pytest.mark.parametrize("answer", [True, False])
async def test_a_person_may_let_a_call_exceed_it(place: str | None, model: Noting, answer: bool) -> None:  # noqa: FBT001
    """The question says what is spent; yes lets this one call be made, which counts, no fails the run."""
    budgets = Budgets(Budget(name="b", by="agent", calls=1, over="ask"))
    async with Runner(place, models=model, extensions=[budgets]) as runner:
        await within(runner.start(writing()))
        asked = await within(runner.start(writing()))
        (wait,) = asked.waits
        assert (
            wait.question
            == "the budget 'b' of agent 'writer' is spent: 1 of 1 calls this day. Make this call all the same?"
        )
        await runner.answer(asked.run_id, answer)
        run = runner.resume(asked.run_id, writing())
        result = await (within(run) if answer else failing(run))
    assert (result.status, model.made) == (("finished", 2) if answer else ("failed", 1))


@pytest.mark.parametrize(
    ("by", "spent"),
    [("all", [""]), ("tenant", ["", "acme"]), ("user", ["", "ada"]), ("agent", ["writer"]), ("graph", ["one"])],
)
async def test_what_has_an_account_of_its_own(by: Any, spent: list[str], model: Noting, tmp_path: Path) -> None:
    """Runs without such a key share one account."""
    async with Runner(
        tmp_path / "runs.db", models=model, extensions=[Budgets(Budget(name="b", by=by, calls=9))]
    ) as runner:
        await within(await of_tenant(runner, "acme", tags=["user:ada"]))
        await within(runner.start(writing()))
        await within(runner.start(writing()))
        found = {account.key: account.spent["calls"] for account in await accounts(runner.store)}
    assert sorted(found) == spent
    assert sum(found.values()) == 3


async def test_a_call_counts_for_all_budgets_or_for_none(model: Noting, tmp_path: Path) -> None:
    """Where one has no room, no other one keeps a place for the call."""
    both = Budgets(Budget(name="a", calls=9, over="fail"), Budget(name="b", by="graph", calls=1, over="fail"))
    async with Runner(tmp_path / "runs.db", models=model, extensions=[both]) as runner:
        await within(runner.start(writing()))
        await failing(runner.start(writing()))
        assert [(each.spent["calls"], each.in_flight) for each in await accounts(runner.store)] == [(1, {}), (1, {})]


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


async def test_what_failed_and_was_cut_off_counts(tmp_path: Path) -> None:
    """A failed call of unknown cost counts with its estimate; one that was cut off keeps its place until it is made."""
    model = Failing()
    async with Runner(tmp_path / "runs.db", models=model, extensions=[Budgets(Budget(name="b", cost_usd=9))]) as runner:
        run = runner.start(one(Agent("writer", prompt="{task}"), retry=Retry(attempts=2, initial_seconds=0)))
        await model.begun.wait()
        await runner.stop(run.id, now=True)
        assert (await within(run)).status == "stopped"
        (account,) = await accounts(runner.store)
        assert account.spent == {"cost_usd": 0.5, "tokens": 5, "calls": 1}
        assert [each["cost_usd"] for each in account.in_flight.values()] == [0.5]
    other = Noting(tmp_path / "calls")
    async with Runner(tmp_path / "runs.db", models=other, extensions=[Budgets(Budget(name="b", cost_usd=9))]) as runner:
        await within(runner.resume(run.id, writing()))
        (account,) = await accounts(runner.store)
    assert (account.spent["cost_usd"], account.spent["calls"], account.in_flight) == (0.75, 2, {})


async def test_a_call_that_was_not_begun_takes_nothing(model: Noting, tmp_path: Path) -> None:
    """Calls that wait for room in the limit of their run, and halt when it is met, leave no place behind."""
    graph = one(Agent("writer", prompt="{item}"), "drafts", each={"item": "items"}, concurrency=3)
    async with Runner(tmp_path / "runs.db", models=model, extensions=[Budgets(Budget(name="b", cost_usd=9))]) as runner:
        stopped = await within(runner.start(graph, limits=Limits(cost_usd=COST_USD)))
        (account,) = await accounts(runner.store)
    assert (stopped.status, model.made) == ("stopped", 1)
    assert (account.spent["calls"], account.in_flight) == (1, {})


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
    assert (account.spent["cost_usd"], account.in_flight) == (7 * COST_USD, {})


@pytest.mark.parametrize(("dies", "made"), [("1", 2), ("-1", 2)])
async def test_a_killed_call_counts_as_often_as_it_is_paid(shared: str, tmp_path: Path, dies: str, made: int) -> None:
    """Killed in the call, its place is kept; killed after the answer is spent, both calls are."""
    calls = tmp_path / "calls"
    assert await process(shared, calls, "r", DIES=dies, MOST="9") == 9
    (account,) = await _kept(shared)
    assert (account.spent.get("calls", 0), len(account.in_flight)) == ((0, 1) if dies == "1" else (1, 0))
    assert await process(shared, calls, "r", MOST="9") == 0
    (account,) = await _kept(shared)
    assert len(calls.read_text().splitlines()) == made
    assert (account.spent["calls"], account.in_flight) == (1 if dies == "1" else 2, {})


async def _kept(store: str) -> list[Account]:
    opened = store_at(store)
    try:
        return await accounts(opened)
    finally:
        await opened.close()


async def test_a_memory_neither_lists_nor_clears_accounts(model: Noting, tmp_path: Path) -> None:
    """They are in the same table, after all its namespaces."""
    async with Runner(tmp_path / "runs.db", models=model, extensions=[Budgets(Budget(name="b", calls=9))]) as runner:
        await within(runner.start(writing()))
        async with Memory(tmp_path / "runs.db") as memory:
            await memory.put("users", "ada", 1)
            assert [entry.key for entry in await memory.list()] == ["ada"]
            await memory.clear("")
            assert await memory.list() == []
        assert len(await accounts(runner.store)) == 1


class Unpriced(Noting):
    """A model whose price is not known."""

    async def knows_price(self) -> bool:
        """Return False."""
        return False

    async def answer(self, request: Request) -> Response:
        """Answer at an unknown cost."""
        await super().answer(request)
        return Response("ok", input_tokens=8, output_tokens=2, cost_usd=None)

    async def price_of(self, input_tokens: int, output_tokens: int) -> float | None:
        """Return None."""
        return None


async def test_a_model_of_unknown_price_is_refused_unless_allowed(tmp_path: Path) -> None:
    """Otherwise a limit on costs would hold nothing; allowed, its calls go one at a time and cost nothing."""
    model = Unpriced(tmp_path / "calls")
    async with Runner(models=model, extensions=[Budgets(Budget(name="b", cost_usd=9))]) as runner:
        with pytest.raises(RunFailed) as caught:
            await within(runner.start(writing()))
        assert isinstance(caught.value.__cause__, PriceUnknown)
    async with Runner(models=model, extensions=[Budgets(Budget(name="b", cost_usd=9, unknown_cost=True))]) as runner:
        await asyncio.gather(*(within(runner.start(writing())) for _ in range(4)))
    assert model.made == 4


def test_mistakes_are_explained() -> None:
    """Names, words and numbers that cannot be, with the repair."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"name": "b"}, "without a limit"),
        ({"name": "b", "calls": 0}, r"calls=0"),
        ({"name": "b", "calls": True}, r"calls=True"),
        ({"name": "b", "cost_usd": float("nan")}, "cost_usd=nan"),
        ({"name": "b", "tokens": 1.5}, r"tokens=1.5"),
        ({"name": "b", "calls": 1, "by": "team"}, r"by='team'"),
        ({"name": "b", "calls": 1, "window": "week"}, r"window='week'"),
        ({"name": "b", "calls": 1, "over": "stop"}, r"over='stop'"),
    ]
    for given_, words in wrong:
        with pytest.raises(DefinitionError, match=words):
            Budget(**given_)
    with pytest.raises(DefinitionError, match="two budgets are named 'b'"):
        Budgets(Budget(name="b", calls=1), Budget(name="b", tokens=1))


@given(st.floats(0, 4e9), st.sampled_from(["hour", "day", "month"]))
def test_windows_follow_one_another(now: float, window: Window) -> None:
    """Every time is in one window, which ends where the next begins."""
    begin, end = window_of(window, now)
    assert begin <= now < end
    assert window_of(window, end)[0] == end
    assert window_of(window, begin) == (begin, end)


async def test_an_agent_in_a_call_cannot_wait(model: Noting) -> None:
    """The call would never finish; so it fails with the repair."""

    async def work(ctx: Any) -> str:
        return str(await ctx.call(Agent("writer", prompt="hi", model=model).run))

    budgets = Budgets(Budget(name="b", by="agent", calls=1))
    async with Runner(extensions=[budgets]) as runner:
        first: Result[Work] = await within(runner.start(one(work)))
        assert first.status == "finished"
        error = await spent(runner.start(one(work)))
    assert "outside of ctx.call" in error.repair


async def test_an_agent_in_a_call_waits_for_a_call_in_flight(model: Noting, monkeypatch: pytest.MonkeyPatch) -> None:
    """For hours, if the process of that one was killed: here from the thousandth try on."""
    budget, tries = Budget(name="b", calls=1), count(1)

    async def work(ctx: Any) -> str:
        return str(await ctx.call(Agent("writer", prompt="hi", model=model).run))

    async def until(*_: object) -> None:
        if next(tries) == 10:
            await ledger.settle(places, "of a killed process", {})

    monkeypatch.setattr("graphengine.budgets.shared.count", partial(count, 1020))
    monkeypatch.setattr("graphengine.budgets.shared.until", until)
    async with Runner(clock=FakeClock(MIDNIGHT), extensions=[Budgets(budget)]) as runner:
        ledger, places = Ledger(runner.store), [Place(budget, "", window_of(budget.window, MIDNIGHT)[0])]
        await ledger.reserve(places, "of a killed process", {"calls": 1})
        assert (await within(runner.start(one(work)))).status == "finished"
    assert model.made == 1
