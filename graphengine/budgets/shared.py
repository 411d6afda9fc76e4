"""What budgets do in runs: a call of a model begins once it has its place in every account that it counts for."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from contextvars import ContextVar
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Final

from graphengine.agents.budget import Estimates, SharedBudgets
from graphengine.budgets.ledger import Ledger, Place, window_of, words_of
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import Answers, Extension, is_cost_unknown
from graphengine.kernel.inside import of_limit, to_show
from graphengine.kernel.reader import WaitRecord
from graphengine.models.base import KnowsPrices
from graphengine.models.errors import ModelNotReady, PriceUnknown
from graphengine.models.limiter import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from graphengine.agents.budget import Settle
    from graphengine.agents.runtime import RunRuntime
    from graphengine.budgets.ledger import AmountName, Budget, Refusal
    from graphengine.kernel.extension import OpenRun
    from graphengine.kernel.reader import Usage
    from graphengine.models.base import Model, Request

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
_PATIENCE_SECONDS: Final = 60.0
"""How long a call waits in this process for calls in flight; after that its run sleeps as long."""
_YES: Final = Answers(bool)
_IS_INSIDE: Final[ContextVar[bool]] = ContextVar("graphengine_in_budget", default=False)


class BudgetSpent(ModelNotReady):
    """A budget is spent, and its runs fail, or a person refused to exceed it."""

    code = "budget_spent"


class Budgets(Extension):
    """The budgets of all runs of a database: `Runner("runs.db", extensions=[Budgets(Budget(…))])`.

    Every process that drives runs of the database must be given the same budgets: those that are not count nothing.

    Args:
        budgets: The budgets. A call counts for all of them.

    Raises:
        DefinitionError: Two have the same name.

    Example:
        >>> from graphengine import Budget
        >>> daily = Budget(name="day", by="tenant", cost_usd=5)
        >>> budgets = Budgets(daily, Budget(name="month", window="month", calls=10_000, over="ask"))
    """

    def __init__(self, *budgets: Budget) -> None:
        self.budgets = budgets
        self.estimates = Estimates()
        names = [budget.name for budget in budgets]
        for name in names:
            if names.count(name) > 1:
                raise DefinitionError(f"two budgets are named {name!r}", where="Budgets", repair="rename one of them")

    async def opened(self, run: OpenRun) -> SharedBudgets:
        """Follow a run."""
        return _BudgetsOfRun(self, Ledger(run.store), run)


class _BudgetsOfRun(SharedBudgets):
    """The budgets as one run meets them."""

    def __init__(self, budgets: Budgets, ledger: Ledger, run: OpenRun) -> None:
        self._all, self._ledger, self._run = budgets, ledger, run
        self._tenant: str | None = None  # until it is read

    @asynccontextmanager
    async def held(self, runtime: RunRuntime, model: Model, request: Request) -> AsyncIterator[Settle]:
        """Hold what a call may take of every account during a block, which reports what it used."""
        if _IS_INSIDE.get():  # an agent in a model's code: the call around it counts
            yield _charge_no_budget
            return
        await self._check_price(model)
        call = runtime.idempotency_key(runtime.below)
        estimate = await self._all.estimates.of(model, request)
        known = self._all.estimates.amounts(estimate)
        amounts: dict[AmountName, float] = {name: known[name] for name in known if known[name] < inf}
        amounts["calls"] = 1
        places = await self._reserve_place(runtime, request.agent, call, amounts)
        is_settled = False

        async def settle(usage: Usage) -> None:
            nonlocal is_settled
            is_settled = True
            if usage:
                self._all.estimates.learn(estimate, usage)
            await self._ledger.settle(places, call, _amounts_of_use(usage, amounts), run_id=self._run.snapshot.run_id)

        before = _IS_INSIDE.set(True)
        try:
            yield settle
        except Exception:
            if not is_settled:  # what it used was reported, if anything
                await self._ledger.settle(
                    places, call, _amounts_of_use(runtime.failed, amounts), run_id=self._run.snapshot.run_id
                )
            raise
        finally:
            _IS_INSIDE.reset(before)

    async def _check_price(self, model: Model) -> None:
        for budget in self._all.budgets:
            if budget.cost_usd is None or budget.unknown_cost or not isinstance(model, KnowsPrices):
                continue
            if not await model.knows_price():
                raise PriceUnknown(
                    f"the price of {model.name} is not known, and a budget limits costs",
                    where=f"budget {budget.name!r}",
                    repair="allow it: Budget(…, unknown_cost=True); or give the model price=Price(…)",
                )

    async def _reserve_place(
        self, runtime: RunRuntime, agent: str, call: str, amounts: Mapping[AmountName, float]
    ) -> Sequence[Place]:
        """Return the accounts in which a call has its place, once it has one in all of them.

        What earlier attempts waited for comes first, in the same order: a run that was asked is asked no more.

        Raises:
            BudgetSpent: One is spent, and the run is to fail.
        """
        keys = await self._keys(agent)
        allowed: set[str] = set()
        waited = 0.0
        for tries in count():
            for budget in self._all.budgets:
                while runtime.has_slept(_sleep_of(budget)):
                    await runtime.sleep_for(0, _sleep_of(budget))
                if budget.name not in allowed and runtime.work.is_over("ask", _ask_of(budget)):
                    await self._ask(runtime, budget, "")
                    allowed.add(budget.name)
            now = runtime.around.wall()
            places = [Place(each, keys[each.by], window_of(each.window, now)[0]) for each in self._all.budgets]
            refusal = await self._ledger.reserve(places, call, amounts, allowed, run_id=self._run.snapshot.run_id)
            if refusal is None:
                return places
            if refusal.is_spent:
                await self._wait_ask_or_fail(runtime, refusal, now)
            elif waited >= _PATIENCE_SECONDS and runtime.may_sleep():
                await runtime.sleep_for(_PATIENCE_SECONDS, _sleep_of(refusal.place.budget), keeps_slot=True)
            else:
                pause = min(_FIRST_PAUSE_SECONDS * 2 ** min(tries, 10), _LONGEST_PAUSE_SECONDS)
                waited += pause
                waits = runtime.waits
                await until(waits.clock.now() + pause, asyncio.get_running_loop().create_future(), waits)
        raise AssertionError

    async def _wait_ask_or_fail(self, runtime: RunRuntime, refusal: Refusal, now: float) -> None:
        """Wait, ask or fail, as the budget says."""
        budget = refusal.place.budget
        if budget.over == "fail" or not runtime.may_sleep():
            raise BudgetSpent(
                _words_of_refusal(refusal),
                where=f"budget {budget.name!r}",
                repair="resume the run in the next window, or raise the budget"
                if budget.over == "fail"
                else 'call the agent outside of ctx.call and of effect="once", where the run can wait',
            )
        if budget.over == "ask":
            await self._ask(runtime, budget, f"{_words_of_refusal(refusal)}. Make this call all the same?")
        else:
            left = window_of(budget.window, now)[1] - runtime.around.wall()
            await runtime.sleep_for(max(0.0, left), _sleep_of(budget), keeps_slot=True)

    async def _ask(self, runtime: RunRuntime, budget: Budget, question: str) -> None:
        """Ask a person; return if the call may be made.

        Raises:
            BudgetSpent: It may not.
        """
        wait = WaitRecord(kind="ask", question=to_show(question), schema=_YES.schema, keeps_slot=True)
        if not await runtime.work.wait(wait, _ask_of(budget), _YES):
            text = f"the budget {budget.name!r} is spent, and a person refused to exceed it"
            raise BudgetSpent(text, where=f"budget {budget.name!r}", repair="resume the run in the next window")

    async def _keys(self, agent: str) -> Mapping[str, str]:
        """Return whose accounts a call counts for."""
        snapshot = self._run.snapshot
        if self._tenant is None and any(budget.by == "tenant" for budget in self._all.budgets):
            self._tenant = (await self._run.store.info(snapshot.run_id)).tenant or ""
        user = "" if snapshot.origin is None else snapshot.origin.user
        return {"all": "", "tenant": self._tenant or "", "user": user, "agent": agent, "graph": snapshot.graph}


def _amounts_of_use(usage: Usage, reserved: Mapping[AmountName, float]) -> dict[AmountName, float]:
    """Return what a call used, in the amounts of budgets; a cost that nobody knows counts as it was estimated."""
    cost = of_limit("cost_usd", usage)
    if is_cost_unknown(usage):
        cost = max(cost, reserved.get("cost_usd", 0.0))
    return {"cost_usd": cost, "tokens": of_limit("tokens", usage), "calls": usage.get("calls") or 0}


async def _charge_no_budget(usage: Usage) -> None:
    """Do nothing, as no budget applies."""


def _sleep_of(budget: Budget) -> str:
    return f"budget {budget.name!r}"


def _ask_of(budget: Budget) -> Sequence[str]:
    return [f"budget {budget.name!r}"]


def _words_of_refusal(refusal: Refusal) -> str:
    """Return what is spent, as in "the budget 'day' of tenant 'acme' is spent: $5.0200 of $5.0000 this day"."""
    budget, key = refusal.place.budget, refusal.place.key
    of = "" if budget.by == "all" else f" of {budget.by} {key!r}" if key else f" of runs without a {budget.by}"
    amounts = words_of(refusal.name, refusal.used, budget.limits[refusal.name])
    return f"the budget {budget.name!r}{of} is spent: {amounts} this {budget.window}"


__all__ = ["BudgetSpent", "Budgets"]
