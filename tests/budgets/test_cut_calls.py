"""When no run is in flight nothing is reserved, and what was spent is at least what was billed for answers.

Runs are drawn that start, are answered, stopped, killed, frozen and removed in the middle of a call. Kills and freezes
are simulated. A killed process writes nothing more to its accounts, and another process ends its run. A frozen process
writes what its call used after that.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphengine import Agent, Budget, Budgets, RunFailed, Runner, Settings
from graphengine.budgets.ledger import Hold, Ledger, Place, make_hold, window_of
from graphengine.budgets.left import gauges_of, left_of, table_of
from graphengine.models import AnswerRefused, Request, Response
from tests.agents.run_kits import one, within
from tests.budgets.spending import Noting, budgets, writing
from tests.budgets.test_budgets import process

T = TypeVar("T")
USERS = count()
COST_USD, TOKENS = 1.0, 1000
BUDGET = Budget(name="b", by="user", window="month", cost_usd=5, over="fail")
WRITING = one(Agent("writer", prompt="{task}", settings=Settings(max_tokens=900)))


class Waiting:
    """A model that answers once it is told to, and whose price is known after the answer alone."""

    name = "waiting"

    def __init__(self) -> None:
        self.begun: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()

    async def answer(self, request: Request) -> Response:
        """Wait, and answer."""
        request.emit_text("so far")
        answered = asyncio.get_running_loop().create_future()
        self.begun.put_nowait(answered)
        await answered
        return Response("ok", input_tokens=TOKENS - 1, output_tokens=1, cost_usd=COST_USD)

    async def price_of(self, input_tokens: int, output_tokens: int) -> float | None:
        """Return what the tokens cost."""
        return (input_tokens + output_tokens) * COST_USD / TOKENS


class Session:
    """What happens to the runs of one user.

    Attributes:
        answered: How many calls were answered, in processes that live or froze.
        cut: How many calls were cut off.
    """

    def __init__(self, runner: Runner, model: Waiting, silenced: dict[str, list[Callable[[], Any]]]) -> None:
        self.runner, self.model, self.silenced = runner, model, silenced
        self.user = f"user {next(USERS)}"
        self.flying: list[tuple[Any, asyncio.Future[None]]] = []
        self.answered = self.cut = 0

    async def start(self, run_id: str | None = None) -> None:
        """Start a run and wait for its call, unless the budget is spent or calls in flight hold the rest."""
        if len(self.flying) < 2 and self.spent < 2:
            run = self.runner.start(WRITING, run_id=run_id, user=self.user)
            self.flying.append((run, await asyncio.wait_for(self.model.begun.get(), 20)))

    @property
    def spent(self) -> float:
        """How much was spent at most."""
        return self.answered * COST_USD + self.cut * 0.01

    async def apply(self, act: str) -> None:
        """Let something happen to the first run in flight, or start one."""
        if act == "start" or not self.flying:
            return await self.start()
        run, answered = self.flying.pop(0)
        if act == "answer":
            answered.set_result(None)
            self.answered += 1
            assert (await within(run)).status == "finished"
            return None
        self.cut += 1
        if act == "stop":
            await self.runner.stop(run.id, now=True)
            await within(run)
            return None
        late = self.silenced[run.id] = []
        await self.runner.stop(run.id, now=True, final=True)
        await within(run)
        if act in ("freeze", "freeze long"):
            del self.silenced[run.id]
            self.answered += 1
            if act == "freeze":  # the process wakes before anybody drops the reservation: its call was not cut off
                self.cut -= 1
            else:
                ledger = Ledger(self.runner.store)
                (account,) = [each for each in await ledger.accounts() if each.key == self.user]
                where, other = [Place(BUDGET, self.user, account.begin)], make_hold("other", {"cost_usd": 5})
                await ledger.reserve(where, other)
                await ledger.settle(where, other, {})
            await late[0]()
        elif act == "remove":
            await self.runner.store.remove([await self.runner.info(run.id)])
            del self.silenced[run.id]
            await self.start(run.id)
        return None


@pytest.fixture(params=["process", "sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """Return where runs are kept."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres"))
    return None if request.param == "process" else str(tmp_path / "runs.db")


ACTS = st.lists(
    st.sampled_from(["start", "start", "answer", "stop", "kill", "freeze", "freeze long", "remove"]), max_size=10
)


def test_no_reservation_outlives_its_call(place: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens to runs in a call: once none is in flight, another one gets its call or fails at once."""
    silenced: dict[str, list[Callable[[], Any]]] = {}
    settle = Ledger.settle

    async def settled(
        self: Ledger, places: Sequence[Place], hold: Hold, used: Mapping[Any, float], **more: Any
    ) -> None:
        if hold.run in silenced:
            paid: Mapping[Any, float] = {"cost_usd": COST_USD, "tokens": TOKENS, "calls": 1}
            silenced[hold.run].append(lambda: settle(self, places, hold, paid))
        else:
            await settle(self, places, hold, used, **more)

    monkeypatch.setattr(Ledger, "settle", settled)

    async def check(runner: Runner, model: Waiting, acts: Sequence[str]) -> None:
        session, ledger = Session(runner, model, silenced), Ledger(runner.store)
        for act in acts:
            await session.apply(act)
        while session.flying:
            await session.apply("stop")
        found = [each for each in await ledger.accounts() if each.key == session.user]
        for account in found:
            assert (account.calls_in_flight, account.in_flight("cost_usd")) == (0, 0)
            assert account.spent["cost_usd"] >= session.answered * COST_USD - 1e-9
            assert account.spent["calls"] == session.answered + session.cut
            assert account.unknown_calls == session.cut
            assert math.isclose(
                account.spent["cost_usd"], session.answered * COST_USD + account.estimated["cost_usd"], abs_tol=1e-9
            )
        where = [Place(BUDGET, session.user, found[0].begin if found else 0.0)]
        last = make_hold(f"last of {session.user}", {"cost_usd": 4.9, "calls": 1})
        refusal = await ledger.reserve(where, last)
        assert refusal is None or refusal.is_spent
        await ledger.settle(where, last, {})

    async def all_of_them() -> None:
        model = Waiting()
        async with Runner(place, models=model, extensions=[Budgets(BUDGET)]) as runner:

            @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
            @given(ACTS)
            def holds(acts: Sequence[str]) -> None:
                asyncio.run_coroutine_threadsafe(check(runner, model, acts), loop).result(60)

            loop = asyncio.get_running_loop()
            await asyncio.to_thread(holds)

    asyncio.run(all_of_them())


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_a_killed_process_holds_nothing(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Nobody stopped its run, and the rest of the budget is too small for its call and another one together."""
    store = str(request.getfixturevalue("postgres")) if database == "postgres" else str(tmp_path / "runs.db")
    calls = tmp_path / "calls"
    assert await process(store, calls, "killed", DIES="1", MOST="0.3", OVER="fail") == 9
    assert await process(store, calls, "next", MOST="0.3", OVER="fail") == 0
    assert len(calls.read_text().splitlines()) == 2


async def test_a_reservation_of_an_earlier_run_with_the_same_id_is_dropped(place: str | None) -> None:
    """The id alone does not say whose call it is: a removed run's id can be used again."""
    model, budget = Waiting(), Budget(name="b", calls=9)
    async with Runner(place, models=model, extensions=[Budgets(budget)]) as runner:
        run = runner.start(WRITING)
        answered = await model.begun.get()
        ledger = Ledger(runner.store)
        (account,) = await ledger.accounts()
        earlier = make_hold("a call", {"calls": 1}, run=run.id, nonce="of an earlier run", asked={"tokens": 7.0})
        assert await ledger.reserve([Place(budget, "", account.begin)], earlier) is None
        (account,) = await ledger.accounts()
        assert (account.calls_in_flight, account.unknown_calls, account.estimated["tokens"]) == (1, 1, 7)
        answered.set_result(None)
        assert (await within(run)).status == "finished"


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_a_run_that_is_taken_over_holds_nothing(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Its process was killed in a call. Here the run has a driver again, long before it makes its next call.

    The next call can be another one, for example if its question contains the time.
    """
    store = str(request.getfixturevalue("postgres")) if database == "postgres" else str(tmp_path / "runs.db")
    assert await process(store, tmp_path / "calls", "killed", DIES="1", MOST="0.3") == 9
    model, may_ask, is_asked = Noting(tmp_path / "calls"), asyncio.Event(), asyncio.Event()

    async def late(task: str) -> str:
        is_asked.set()
        await may_ask.wait()
        return f"{task} at another time"

    async with Runner(store, models=model, extensions=[budgets(0.3, over="fail")]) as runner:
        run = runner.resume("killed", one(Agent("writer", prompt=late)))
        await asyncio.wait_for(is_asked.wait(), 20)
        assert (await runner.info("killed")).driver is not None
        (account,) = await Ledger(runner.store).accounts()
        assert (account.calls_in_flight, account.unknown_calls, account.spent["calls"]) == (0, 1, 1)
        assert (await within(runner.start(writing()))).status == "finished"
        may_ask.set()
        with pytest.raises(RunFailed, match="is spent: "):  # and not that calls in flight hold the rest
            await within(run)
        (account,) = await Ledger(runner.store).accounts()
        assert (account.calls_in_flight, account.spent["calls"], account.spent["cost_usd"]) == (0, 2, 0.5)


async def test_a_call_that_has_just_reserved_is_in_flight(place: str | None) -> None:
    """Another call of the run reads a reservation after it was committed, and before the first call has begun."""

    class Overtaken(Ledger):
        """Makes a second reservation between the commit of the first one and its return."""

        refused: bool | None = None

        async def _write(self, work: Callable[[object], T], run_id: str) -> T:
            found = await super()._write(work, run_id)
            if self.refused is None:
                self.refused = False
                self.refused = await self.reserve([account], second) is not None
            return found

    model = Waiting()
    async with Runner(place, models=model) as runner:
        run = runner.start(WRITING)
        answered = await asyncio.wait_for(model.begun.get(), 20)
        nonce = (await runner.info(run.id)).nonce
        account = Place(BUDGET, f"user {next(USERS)}", window_of(BUDGET.window, time.time())[0])
        first, second = (make_hold(call, {"cost_usd": 3.0}, run=run.id, nonce=nonce) for call in ("first", "second"))
        ledger = Overtaken(runner.store)
        assert await ledger.reserve([account], first) is None
        assert ledger.refused
        answered.set_result(None)
        await run.result()


@pytest.mark.parametrize("is_reported", [False, True])
async def test_a_call_that_failed_is_spent_as_far_as_it_is_known(place: str | None, *, is_reported: bool) -> None:
    """Of a torn answer, the question and the text count. If only the cost is unknown, the reserved amount counts."""
    model = Waiting()
    async with Runner(place, models=model, extensions=[Budgets(BUDGET)]) as runner:
        user = f"user {next(USERS)}"
        for is_torn in (False, True, True):
            run = runner.start(WRITING, user=user)
            answered = await asyncio.wait_for(model.begun.get(), 20)
            if not is_torn:
                answered.set_result(None)
                await run.result()
                continue
            fault = AnswerRefused("no") if is_reported else ConnectionResetError("cut")
            if isinstance(fault, AnswerRefused):
                fault.usage = {"calls": 1, "input_tokens": 7, "output_tokens": 2, "cost_usd": None}
            answered.set_exception(fault)
            with pytest.raises(RunFailed):
                await run.result()
        account = next(each for each in await Ledger(runner.store).accounts() if each.key == user)
        assert (account.unknown_calls, account.calls_in_flight) == (0 if is_reported else 2, 0)
        least, most = (3.0, 3.1) if is_reported else (1.0, 1.5)
        assert least * COST_USD <= account.spent["cost_usd"] < most * COST_USD


async def test_an_estimate_is_shown_and_corrected(place: str | None) -> None:
    """An invoice replaces what was counted, and no call is unknown any more."""
    model, budget = Waiting(), Budget(name="b", cost_usd=5)
    async with Runner(place, models=model, extensions=[Budgets(budget)]) as runner:
        run = runner.start(WRITING)
        await model.begun.get()
        await runner.stop(run.id, now=True)
        await within(run)
        ledger = Ledger(runner.store)
        (row,) = table_of(await left_of([budget], runner.store)).rows
        assert row[2:5] == ("$0.0030 of $5.0000", "", "$0.0030, 1 unknown call")
        (account,) = await ledger.accounts()
        where = Place(budget, "", account.begin)
        assert await ledger.correct(where, {"cost_usd": 0.75})
        (row,) = table_of(await left_of([budget], runner.store)).rows
        assert row[2:5] == ("$0.7500 of $5.0000", "", "")
        assert not await ledger.correct(Place(budget, "nobody", account.begin), {"cost_usd": 1})


async def test_telemetry_shows_nothing_spent_in_a_new_window(place: str | None) -> None:
    """An account whose window is over is still shown, so that monitoring does not keep its last number."""
    budget = Budget(name="b", by="agent", calls=9)
    async with Runner(place) as runner:
        ledger, hold = Ledger(runner.store), make_hold("a call", {"calls": 1})
        where = [Place(budget, "writer", 0.0)]
        assert await ledger.reserve(where, hold) is None
        await ledger.settle(where, hold, {"calls": 3})
        found = {each.name: each.value for each in await gauges_of([budget], runner.store)}
    assert found["graphengine.budget.spent"] == 0
    assert found["graphengine.budget.limit"] == 9
