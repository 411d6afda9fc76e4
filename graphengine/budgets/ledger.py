"""The accounts of budgets: one for each budget and key, in tables of the database of the runs.

An account has the window, what was spent in it, and what the calls in flight may take, each of which is a row too. All
changes of a call are one transaction, whatever the number of budgets, so that two processes cannot both take what is
left of a budget:

| call of a model | account |
|---|---|
| is about to begin | the call is added to those in flight if it fits, and refused otherwise |
| answered or failed | its reservation is removed, what it used is spent; only then the run records the answer |
| was cut off | its reservation is removed, its question is spent as an estimate, the rest is one unknown call |

So a process that dies before the answer is recorded pays twice, and both calls count. A window begins with nothing
spent and nothing in flight: a call counts in the window in which it began.

A process that cuts a call off says so itself, unless the process was killed or is frozen. So a reservation names its
run. A call that does not fit beside those in flight asks the store about their runs, and drops the reservations of runs
that are over, that were removed, or whose driver is dead. Such a reservation never comes to life again: whoever takes
the run up makes the call again, under a reservation with another token. So what the store said is still true in the
transaction that drops the reservation. A reader of accounts computes the same result, and writes nothing.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, get_args, runtime_checkable
from weakref import WeakKeyDictionary

from graphengine.databases.accounts import AMOUNTS, Account, AmountName, Hold, KeepsAccounts
from graphengine.databases.sqlite.in_process import InProcess
from graphengine.errors import DefinitionError, UnknownRun
from graphengine.kernel.extension import dollars
from graphengine.kernel.inside import check_stored_name, rounded
from graphengine.kernel.reader import OVER

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from graphengine.databases.accounts import Accounts, Amounts
    from graphengine.kernel.store import RunInfo

T = TypeVar("T")

By: TypeAlias = Literal["all", "tenant", "user", "agent", "graph"]
Window: TypeAlias = Literal["hour", "day", "month"]
Over: TypeAlias = Literal["wait", "fail", "ask"]

_PAGE: Final = 500
_HOUR_SECONDS: Final = 3600.0  # each hour of UTC begins at a multiple of it
_WINDOWS: Final = 16
_IN_PROCESS: Final[WeakKeyDictionary[object, InProcess]] = WeakKeyDictionary()
"""The accounts of stores that are no databases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What all runs of a database together may spend on models in a window.

    Args:
        name: Its name, unique among the budgets.
        by: What has an account of its own: each tenant; each user, who started the run; each
            agent; each graph; or `all` runs together. Runs without a tenant, or a user, share one account.
        window: An hour, a day or a month of the calendar, in UTC.
        cost_usd: US dollars.
        tokens: Tokens of questions and answers.
        calls: Calls of models.
        over: What a run does when it is spent: `wait` until the next window, `fail` with `BudgetSpent`, or `ask` a
            person whether this call may be made all the same.
        unknown_cost: Whether a model whose price is not known may be called under `cost_usd`; it counts nothing.

    Raises:
        DefinitionError: An argument is invalid.

    Example:
        >>> Budget(name="a tenant's day", by="tenant", window="day", cost_usd=5, over="ask").limits
        {'cost_usd': 5}
    """

    name: str
    by: By = "all"
    window: Window = "day"
    cost_usd: float | None = None
    tokens: int | None = None
    calls: int | None = None
    over: Over = "wait"
    unknown_cost: bool = False

    def __post_init__(self) -> None:
        check_stored_name(self.name, "the name of a budget", "Budget(name=…)")
        if not self.name:
            raise DefinitionError("the name of a budget is empty", where="Budget(name=…)", repair="give it a name")
        for what, known in (("by", By), ("window", Window), ("over", Over)):
            if (given := getattr(self, what)) not in get_args(known):
                repair = f"write one of {', '.join(get_args(known))}"
                raise DefinitionError(
                    f"Budget({what}={given!r}) is not valid", where=f"budget {self.name!r}", repair=repair
                )
        for name in AMOUNTS:
            limit = getattr(self, name)
            is_number = type(limit) is int or (name == "cost_usd" and type(limit) is float and math.isfinite(limit))
            if limit is not None and not (is_number and limit > 0):
                raise DefinitionError(
                    f"Budget({name}={limit!r}) is not valid",
                    where=f"budget {self.name!r}",
                    repair="give a number above 0",
                )
        if not self.limits:
            repair = "give cost_usd=, tokens= or calls="
            raise DefinitionError("a budget without a limit", where=f"budget {self.name!r}", repair=repair)

    @property
    def limits(self) -> dict[AmountName, float]:
        """The limits that are set."""
        given: dict[AmountName, float | None] = {name: getattr(self, name) for name in AMOUNTS}
        return {name: limit for name, limit in given.items() if limit is not None}


class Place(NamedTuple):
    """An account in a window.

    Attributes:
        budget: Its budget.
        key: Whose account it is; "" for all, and for runs that have no such key.
        begin: When the window begins, epoch seconds.
    """

    budget: Budget
    key: str
    begin: float


class Refusal(NamedTuple):
    """Why a call does not fit.

    Attributes:
        place: The account that lacks room.
        name: The amount.
        used: How much of it is spent.
        is_spent: Whether it is spent; otherwise calls in flight hold the rest.
    """

    place: Place
    name: AmountName
    used: float
    is_spent: bool


def window_of(window: Window, now: float) -> tuple[float, float]:
    """Return when the window around a time begins and ends, epoch seconds.

    Example:
        >>> window_of("day", 86_400.0 * 3 + 5)
        (259200.0, 345600.0)
    """
    return _window_of(window, now // _HOUR_SECONDS * _HOUR_SECONDS)


@lru_cache(_WINDOWS)
def _window_of(window: Window, hour: float) -> tuple[float, float]:
    begin = datetime.fromtimestamp(hour, UTC)
    if window == "hour":
        return begin.timestamp(), (begin + timedelta(hours=1)).timestamp()
    begin = begin.replace(hour=0)
    if window == "day":
        return begin.timestamp(), (begin + timedelta(days=1)).timestamp()
    begin = begin.replace(day=1)
    return begin.timestamp(), (begin + timedelta(days=31)).replace(day=1).timestamp()


def words_of(name: AmountName, *amounts: float) -> str:
    """Return an amount with its unit, or what of a limit it is.

    Example:
        >>> words_of("cost_usd", 0.5, 2), words_of("tokens", 12_000)
        ('$0.5000 of $2.0000', '12,000 tokens')
    """
    if name == "cost_usd":
        return " of ".join(f"${dollars(amount)}" for amount in amounts)
    return " of ".join(f"{amount:,.0f}" for amount in amounts) + f" {name}"


@runtime_checkable
class _KnowsRuns(Protocol):
    """A store of runs."""

    async def info(self, run_id: str) -> RunInfo:
        """Return the facts of a run; see `Store.info`."""
        ...


def make_hold(
    call: str, amounts: Amounts, *, run: str = "", nonce: str = "", asked: Mapping[AmountName, float] | None = None
) -> Hold:
    """Return a new reservation of a call.

    Args:
        call: The call's idempotency key, the same when it is made again.
        amounts: What the call may take; an amount that is missing is not known, and goes alone.
        run: The id of the run that makes the call. Without it nobody can know whether the call is still in flight, and
            the reservation stays until it is settled or the window ends.
        nonce: The nonce of that run.
        asked: What the question alone costs, which counts as spent if the call is cut off.
    """
    return Hold(call, run, nonce, secrets.token_hex(8), amounts, asked or {})


class Ledger:
    """The accounts in a store of runs.

    Args:
        store: The store; the accounts of one that is no database are in the memory of this process.
    """

    def __init__(self, store: object) -> None:
        if not isinstance(store, KeepsAccounts) and store not in _IN_PROCESS:
            from graphengine.databases.sqlite.in_process import budget_tables  # noqa: PLC0415 - few need it

            _IN_PROCESS[store] = InProcess(budget_tables())
        self._store: KeepsAccounts = store if isinstance(store, KeepsAccounts) else _IN_PROCESS[store]
        self._runs = store if isinstance(store, _KnowsRuns) else None

    async def reserve(
        self, places: Sequence[Place], hold: Hold, allowed: Collection[str] = (), *, continues: bool = False
    ) -> Refusal | None:
        """Add a call to those in flight of these accounts if it fits in all of them; return why it does not.

        It fits if what is spent, what is in flight and its own amounts are within the limit together. With nothing else
        in flight it fits as long as the limit is not spent. Before calls in flight refuse it, the reservations of calls
        that nobody makes any more are dropped.

        A reservation that the same call left behind is replaced. That earlier call was cut off, and counts as such.

        Args:
            places: The accounts.
            hold: What the call may take, as `make_hold` returns it.
            allowed: The names of budgets that it may exceed.
            continues: Whether the call goes on at its provider, in a batch, so that it was not cut off.
        """
        refusal = await self._reserve(places, hold, allowed, (), continues=continues)
        if refusal is None or refusal.is_spent:
            return refusal
        dead = [(place, each) for place in places for each in await self._dead_holds(*_order(place))]
        return await self._reserve(places, hold, allowed, dead, continues=continues) if dead else refusal

    async def _reserve(
        self,
        places: Sequence[Place],
        hold: Hold,
        allowed: Collection[str],
        dead: Sequence[tuple[Place, Hold]],
        *,
        continues: bool,
    ) -> Refusal | None:
        accounts = self._store.accounts

        def reserved(connection: object) -> Refusal | None:
            for place, each in dead:
                held = _Held(connection, accounts, place, each.call)
                if held.hold is not None and held.hold.token == each.token:
                    held.account.cut_off(held.hold)
                    held.keep(None)
            found = [(place, _Held(connection, accounts, place, hold.call)) for place in sorted(places, key=_order)]
            for place, held in found:
                if held.hold is not None:
                    # With the same token, an earlier try of this write was committed though its answer was lost.
                    if continues or held.hold.token == hold.token:
                        held.account.hold(held.hold.amounts, -1)
                    else:
                        held.account.cut_off(held.hold)
                refusal = None if place.budget.name in allowed else _find_refusal(place, held.account, hold.amounts)
                if refusal is not None:
                    return refusal
            for _, held in found:
                held.account.hold(hold.amounts)
                held.keep(hold)
            return None

        return await self._write(reserved, hold.run)

    async def settle(
        self,
        places: Sequence[Place],
        hold: Hold,
        used: Mapping[AmountName, float],
        *,
        estimated: Mapping[AmountName, float] | None = None,
        unknown_calls: int = 0,
    ) -> None:
        """Take a call from those in flight, and add what it used to what is spent.

        That is added even if the reservation is gone, because its run was over while this process was frozen: the
        answer was paid for. Only a window that is over since, or an account that was erased, gets nothing.

        Args:
            places: The accounts.
            hold: The reservation.
            used: What the call used, as its provider reported it.
            estimated: What the call used besides, as far as it can be estimated.
            unknown_calls: How many calls may have used more than that.
        """
        accounts = self._store.accounts
        had: set[Place] = set()

        def settled(connection: object) -> None:
            for place in sorted(places, key=_order):
                held = _Held(connection, accounts, place, hold.call)
                is_held = held.hold is not None and held.hold.token == hold.token
                is_repeated = place in had and not is_held  # an earlier try was committed, though its answer was lost
                if held.hold is not None and is_held:
                    had.add(place)
                    held.account.hold(held.hold.amounts, -1)
                if is_held or (held.is_kept and held.account.begin <= place.begin and not is_repeated):
                    held.account.spend(used, estimated or {}, unknown_calls)
                    held.keep(None if is_held else held.hold)

        await self._write(settled, hold.run)

    async def correct(self, place: Place, spent: Mapping[AmountName, float]) -> bool:
        """Set what was spent of an account, as an invoice of the provider says; return whether there is the account.

        These amounts are no estimates any more, and no call counts as unknown. Calls in flight stay.
        """
        accounts = self._store.accounts

        def overwrite(connection: object) -> bool:
            account, _ = accounts.find(connection, *_order(place), "")
            if account is None or account.begin < place.begin:
                return False
            account.spent |= spent
            account.estimated |= {name: 0.0 for name in spent if name in account.estimated}
            account.unknown_calls = 0
            accounts.keep(connection, account, is_new=False)
            return True

        return await self._write(overwrite, "")

    async def accounts(self) -> Sequence[Account]:
        """Return all accounts, by budget and key, as if reservations of calls that nobody makes were dropped."""
        await self._store.open()
        accounts = self._store.accounts
        found: list[Account] = []
        after = ("", "")
        while True:
            page = await self._store.read(partial(_load_accounts, accounts=accounts, after=after))
            for account in page:
                for each in await self._dead_holds(account.budget, account.key) if account.calls_in_flight else ():
                    account.cut_off(each)
            found += page
            if len(page) < _PAGE:
                return found
            after = page[-1].budget, page[-1].key

    async def _dead_holds(self, budget: str, key: str) -> Sequence[Hold]:
        """Return the reservations in an account whose calls nobody makes any more."""
        if self._runs is None:
            return ()
        holds = await self._store.read(partial(_load_holds, accounts=self._store.accounts, budget=budget, key=key))
        by_run: dict[str, RunInfo | None] = {}
        for run in {each.run for each in holds if each.run}:
            try:
                by_run[run] = await self._runs.info(run)
            except UnknownRun:
                by_run[run] = None
        return [each for each in holds if each.run and not _may_be_made(each, by_run[each.run])]

    async def _write(self, work: Callable[[object], T], run_id: str) -> T:
        await self._store.open()
        return await self._store.write(work, run_id=run_id or None)


def _load_accounts(
    connection: object, _: object, accounts: Accounts[object], after: tuple[str, str]
) -> Sequence[Account]:
    return accounts.page(connection, after, _PAGE)


def _load_holds(connection: object, _: object, accounts: Accounts[object], budget: str, key: str) -> Sequence[Hold]:
    return accounts.holds(connection, budget, key)


def _may_be_made(hold: Hold, run: RunInfo | None) -> bool:
    """Return whether the call that a reservation was made for can still be in flight.

    The run that has the reservation's run id today is given; it can be another run than the one that reserved.

    A waiting run without a driver counts: its call goes on at its provider, in a batch.
    """
    if run is None or run.nonce != hold.nonce or run.status in OVER:
        return False
    return run.driver is not None or (run.status == "waiting" and not run.held)


class _Held:
    """An account, and what a call holds in it, as one transaction changes them.

    A new window begins a new account. Clocks differ: if another process is in the next window already, so is this one.

    Attributes:
        account: The account.
        hold: What the call holds; None for nothing.
        is_kept: Whether the account is in the database, of whichever window.
    """

    def __init__(self, connection: object, accounts: Accounts[object], place: Place, call: str) -> None:
        self._connection, self._accounts, self._call = connection, accounts, call
        account, self.hold = accounts.find(connection, *_order(place), call)
        self.is_kept = account is not None
        self._is_new = account is None or account.begin < place.begin
        if account is None or self._is_new:
            account, self.hold = Account(*_order(place), place.begin), None
        self.account = account

    def keep(self, hold: Hold | None) -> None:
        """Write the account, and what the call holds from now on."""
        self._accounts.keep(self._connection, self.account, is_new=self._is_new)
        if hold is None:
            self._accounts.drop_hold(self._connection, self.account, self._call)
        else:
            self._accounts.hold(self._connection, self.account, hold)


def _find_refusal(place: Place, account: Account, amounts: Amounts) -> Refusal | None:
    for name, limit in place.budget.limits.items():
        used = account.spent[name]
        if rounded(used) >= limit:
            return Refusal(place, name, used, is_spent=True)
        amount = amounts.get(name)
        planned = used + account.in_flight(name) + (math.inf if amount is None else amount)
        if account.calls_in_flight and rounded(planned) > limit:
            return Refusal(place, name, used, is_spent=False)
    return None


def _order(place: Place) -> tuple[str, str]:
    """Return which account it is: the same order for all, so that two calls never wait for each other."""
    return place.budget.name, place.key


__all__ = [
    "AMOUNTS",
    "Account",
    "AmountName",
    "Budget",
    "Hold",
    "Ledger",
    "Place",
    "Refusal",
    "make_hold",
    "window_of",
    "words_of",
]
