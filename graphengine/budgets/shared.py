"""Budgets in runs: a call of a model begins after a reservation was made in every account to which it is charged."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Final

from graphengine.agents.budget import Estimates, SharedBudgets, estimate_use, find_calls_in_batches
from graphengine.budgets.ledger import Ledger, Place, make_hold, window_of, words_of
from graphengine.budgets.left import gauges_of
from graphengine.errors import DefinitionError, RunnerClosed, StoreError
from graphengine.kernel.extension import Answers, Extension, is_cost_unknown
from graphengine.kernel.inside import of_limit, to_show
from graphengine.kernel.reader import WaitRecord
from graphengine.models.base import CHARACTERS_PER_TOKEN, KnowsPrices
from graphengine.models.errors import ModelNotReady, PriceUnknown
from graphengine.models.limiter import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from graphengine.agents.budget import Estimate, LimitedName, Settle
    from graphengine.agents.runtime import RunRuntime
    from graphengine.budgets.ledger import AmountName, Budget, BudgetRefusal, Hold
    from graphengine.databases.accounts import Amounts
    from graphengine.kernel.extension import OpenRun
    from graphengine.kernel.reader import Usage
    from graphengine.kernel.store import Store
    from graphengine.models.base import Model, Request
    from graphengine.wings import Gauge

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
_PATIENCE_SECONDS: Final = 60.0
"""How long a call waits in this process for calls in flight. After that, its run sleeps for the same time."""
_YES: Final = Answers(bool)
_IS_INSIDE: Final[ContextVar[bool]] = ContextVar("graphengine_in_budget", default=False)


class BudgetSpent(ModelNotReady):
    """A budget is spent, and it has `over="fail"`, or the run cannot wait here, or a person refused to exceed it."""

    code = "budget_spent"


class Budgets(Extension):
    """The budgets for all runs of a database: `Runner("runs.db", extensions=[Budgets(Budget(…))])`.

    Give the same `Budgets` to the Runner of every process that drives runs of the database. If a process lacks one of
    the budgets, the model calls of this process are not counted for that budget.

    Args:
        budgets: The budgets. Each call counts for all of them.

    Raises:
        DefinitionError: Two budgets have the same name.

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
                raise DefinitionError(
                    f"two budgets have the name {name!r}", where="Budgets", repair="rename one of them"
                )

    async def opened(self, run: OpenRun) -> SharedBudgets:
        """Return the budgets as they apply to one run. The Runner calls this method before it drives the run."""
        ledger, snapshot = Ledger(run.store), run.snapshot
        has_batches = any(any(find_calls_in_batches(frame)) for frame in snapshot.frames.values())
        if run.info is not None and not has_batches:
            await ledger.drop_former(snapshot.run_id, snapshot.nonce)
        return _BudgetsOfRun(self, ledger, run)

    async def gauges(self, store: Store) -> Sequence[Gauge]:
        """Return the limits and amounts of all accounts, for telemetry."""
        return await gauges_of(self.budgets, store)


class _BudgetsOfRun(SharedBudgets):
    def __init__(self, budgets: Budgets, ledger: Ledger, run: OpenRun) -> None:
        self._all, self._ledger, self._run = budgets, ledger, run
        self._tenant: str | None = None  # None until it is read

    @asynccontextmanager
    async def held(self, runtime: RunRuntime, model: Model, request: Request) -> AsyncIterator[Settle]:
        """Reserve the estimated usage of a model call in the accounts of all budgets while the block makes the call.

        After the call, the block must await the yielded function with the usage that the model reported.
        """
        if _IS_INSIDE.get():  # an agent in the code of a model: the outer call already counts
            yield _charge_no_budget
            return
        await self._check_price(model)
        run = self._run.snapshot
        estimate = await self._all.estimates.of(model, request)
        amounts: dict[AmountName, float] = {**_only_known(self._all.estimates.amounts(estimate)), "calls": 1}
        asked = _only_known(await estimate_use(model, request, 0))
        key = runtime.idempotency_key(runtime.below)
        hold = make_hold(key, amounts, run=run.run_id, nonce=run.nonce, asked=asked)
        places = await self._reserve_place(runtime, request.agent, hold)
        call = _CallInFlight(self._all.estimates, estimate, self._ledger, places, hold)
        before = _IS_INSIDE.set(True)
        try:
            yield call.settle
        except GeneratorExit:  # the event loop is closing, and nothing can be awaited
            raise
        except Exception:
            if not call.is_settled:
                await call.settle_failed(runtime, await _least_use(runtime, model, request))
            raise
        # The call was interrupted. If the store is closed, the reservation is dropped after the run has ended.
        except BaseException:
            if not (call.is_settled or _is_in_batch(runtime)):
                with suppress(StoreError, RunnerClosed):
                    await call.settle_failed(runtime, await _least_use(runtime, model, request))
            raise
        finally:
            _IS_INSIDE.reset(before)

    async def _check_price(self, model: Model) -> None:
        for budget in self._all.budgets:
            if budget.cost_usd is None or budget.unknown_cost or not isinstance(model, KnowsPrices):
                continue
            if not await model.knows_price():
                raise PriceUnknown(
                    f"the price of model {model.name!r} is not known, but the budget {budget.name!r} limits costs",
                    where=f"budget {budget.name!r}",
                    repair="give the model price=Price(…), or allow unknown costs: Budget(…, unknown_cost=True)",
                )

    async def _reserve_place(self, runtime: RunRuntime, agent: str, hold: Hold) -> Sequence[Place]:
        """Wait until a model call fits into every budget, and return the accounts in which it was reserved.

        An earlier attempt of the node may already have waited for a budget or asked a person. These waits are repeated
        first, in the same order, so that no person is asked twice.

        Raises:
            BudgetSpent: A budget is spent, and the run is to fail.
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
            refusal = await self._ledger.reserve(
                places,
                hold,
                allowed,
                continues=_is_in_batch(runtime),
            )
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

    async def _wait_ask_or_fail(self, runtime: RunRuntime, refusal: BudgetRefusal, now: float) -> None:
        """Do what the `over=` of a spent budget demands: wait for the next window, ask a person, or fail."""
        budget = refusal.place.budget
        if budget.over == "fail" or not runtime.may_sleep():
            raise BudgetSpent(
                _words_of_refusal(refusal),
                where=f"budget {budget.name!r}",
                repair="resume the run in the next window, or raise the limit of the budget"
                if budget.over == "fail"
                else 'call the agent outside of ctx.call and of effect="once", where the run can wait',
            )
        if budget.over == "ask":
            await self._ask(runtime, budget, f"{_words_of_refusal(refusal)}. Make this call all the same?")
        else:
            left = window_of(budget.window, now)[1] - runtime.around.wall()
            await runtime.sleep_for(max(0.0, left), _sleep_of(budget), keeps_slot=True)

    async def _ask(self, runtime: RunRuntime, budget: Budget, question: str) -> None:
        """Ask a person whether a model call may exceed a spent budget. The method returns only if the person agrees.

        Raises:
            BudgetSpent: The person has refused the call.
        """
        wait = WaitRecord(kind="ask", question=to_show(question), schema=_YES.schema, keeps_slot=True)
        if not await runtime.work.wait(wait, _ask_of(budget), _YES):
            text = f"the budget {budget.name!r} is spent, and a person refused a call that exceeds it"
            raise BudgetSpent(text, where=f"budget {budget.name!r}", repair="resume the run in the next window")

    async def _keys(self, agent: str) -> Mapping[str, str]:
        """Return the keys of the accounts to which a model call is charged: one for each value of a budget's `by=`.

        For example, the key is the name of the tenant for a budget with `by="tenant"`, and "" for a budget with
        `by="all"`.
        """
        snapshot = self._run.snapshot
        if self._tenant is None and any(budget.by == "tenant" for budget in self._all.budgets):
            self._tenant = (await self._run.store.info(snapshot.run_id)).tenant or ""
        user = "" if snapshot.origin is None else snapshot.origin.user
        return {"all": "", "tenant": self._tenant or "", "user": user, "agent": agent, "graph": snapshot.graph}


@dataclass(slots=True)
class _CallInFlight:
    """A model call for which an amount is reserved in the account of every budget.

    When the call has ended, the reservations are replaced by the amounts that it really used.

    Attributes:
        is_settled: Whether the used amounts were charged to the accounts.
    """

    estimates: Estimates
    estimate: Estimate
    ledger: Ledger
    places: Sequence[Place]
    hold: Hold
    is_settled: bool = False

    async def settle(self, usage: Usage) -> None:
        """Charge the usage of an answered model call to the budgets.

        If the cost of the call is unknown, the cost that was reserved is charged instead.
        """
        if usage:
            self.estimates.learn(self.estimate, usage)
        await self._spend(usage, {} if not is_cost_unknown(usage) else _cost_in(self.hold.amounts))

    async def settle_failed(self, runtime: RunRuntime, least: Mapping[AmountName, float]) -> None:
        """Charge the usage of a model call that failed or was interrupted to the budgets.

        If the usage was not reported, it is estimated from the question and the text that was streamed. If the usage
        was reported but its cost is unknown, the cost that was reserved is charged.
        """
        failed = runtime.failed
        of_known_use = _cost_in(self.hold.amounts) if is_cost_unknown(failed) else {}
        await self._spend(failed, least if failed.get("unknown_calls") else of_known_use)

    async def _spend(self, usage: Usage, at_least: Mapping[AmountName, float]) -> None:
        """Charge the usage of a model call to the budgets.

        `at_least` contains amounts that the call has certainly used. Where the reported usage is lower, the difference
        is charged as an estimate.
        """
        self.is_settled = True
        used: dict[AmountName, float] = {name: of_limit(name, usage) for name in ("cost_usd", "tokens")}
        used["calls"] = usage.get("calls") or 0
        estimated: dict[AmountName, float] = {
            name: amount - used[name] for name, amount in at_least.items() if amount > used[name]
        }
        unknown_calls = usage.get("unknown_calls") or 0
        await self.ledger.settle(self.places, self.hold, used, estimated=estimated, unknown_calls=unknown_calls)


async def _least_use(runtime: RunRuntime, model: Model, request: Request) -> Mapping[AmountName, float]:
    """Estimate the usage of an interrupted model call from its question and the part of its answer that arrived."""
    return _only_known(await estimate_use(model, request, runtime.streamed_characters // CHARACTERS_PER_TOKEN))


def _only_known(amounts: Mapping[LimitedName, float]) -> dict[AmountName, float]:
    return {name: amount for name, amount in amounts.items() if amount < inf}


def _cost_in(amounts: Amounts) -> dict[AmountName, float]:
    cost = amounts.get("cost_usd")
    return {} if cost is None else {"cost_usd": cost}


def _is_in_batch(runtime: RunRuntime) -> bool:
    """Return whether the model call was sent in a provider's batch, where it continues while its node sleeps."""
    return runtime.below in find_calls_in_batches(runtime.frame)


async def _charge_no_budget(usage: Usage) -> None:
    """Do not charge a model call that is made inside another model call, because the outer call is charged."""


def _sleep_of(budget: Budget) -> str:
    return f"budget {budget.name!r}"


def _ask_of(budget: Budget) -> Sequence[str]:
    return [f"budget {budget.name!r}"]


def _words_of_refusal(refusal: BudgetRefusal) -> str:
    """Explain that a budget is spent: "the budget 'day' of tenant 'acme' is spent: $5.0200 of $5.0000 this day"."""
    budget, key = refusal.place.budget, refusal.place.key
    of = "" if budget.by == "all" else f" of {budget.by} {key!r}" if key else f" of runs without a {budget.by}"
    amounts = words_of(refusal.name, refusal.used, budget.limits[refusal.name])
    return f"the budget {budget.name!r}{of} is spent: {amounts} this {budget.window}"


__all__ = ["BudgetSpent", "Budgets"]
