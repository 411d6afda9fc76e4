"""The accounts of budgets, in tables of the database of the runs. A budget has an account for each key.

An account contains its window, the amounts spent in this window, and the amounts that the calls in flight may use. Each
call in flight has a reservation, which is a separate row. All changes for a call are one transaction, however many
budgets there are, so that two processes cannot both take the rest of a budget:

| call of a model | account |
|---|---|
| is about to begin | the call is added to the calls in flight if it fits, and refused otherwise |
| was answered or failed | its reservation is removed and its usage is spent; after that, the run records the answer |
| was interrupted | its reservation is removed, its question is spent as an estimate, and it is an unknown call |

If a process ends before the answer is recorded, the call is made again, and both calls count. At the beginning of a
window, nothing is spent and nothing is in flight: a call counts in the window in which it began.

A process that interrupts a call reports this itself, unless the process was killed or is frozen. Therefore a
reservation contains the id of its run. When calls in flight leave too little for a new call, the state of their runs is
read. Reservations are dropped if their run has ended, was removed, or has a driver that no longer works. A process that
takes over a run drops the reservations that were made for this run before: the processes that made them have lost the
run, so they repeat no call under them.

A dropped reservation cannot become valid again, because the process that continues the run repeats the call under a
reservation with another token. So the state that was read is still true in the transaction that drops the reservation.
Code that only reads accounts computes the same result, but writes nothing.
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
"""The accounts of stores that are not databases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit on what the runs of a database together may spend on models in a window.

    Args:
        name: The name, unique among the budgets.
        by: Who has a separate account: each tenant, each user who starts runs, each agent, or each graph. With `all`,
            there is one account for all runs. Runs without a tenant, or without a user, share one account.
        window: An hour, a day or a month of the calendar, in UTC.
        cost_usd: The limit on costs, in US dollars.
        tokens: The limit on the tokens of questions and answers.
        calls: The limit on the number of calls of models.
        over: What a run does when the budget is spent: `wait` until the next window, `fail` with `BudgetSpent`, or
            `ask` a person whether this call may still be made.
        unknown_cost: Whether models with an unknown price may be called although there is a limit `cost_usd`. Their
            calls count as free of cost.

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
            raise DefinitionError(
                "the name of a budget is empty", where="Budget(name=…)", repair="write Budget(name='day')"
            )
        for what, known in (("by", By), ("window", Window), ("over", Over)):
            if (given := getattr(self, what)) not in get_args(known):
                text = f"Budget({what}={given!r}): {what} must be one of {', '.join(map(repr, get_args(known)))}"
                repair = f"write {what}={get_args(known)[0]!r}"
                raise DefinitionError(text, where=f"budget {self.name!r}", repair=repair)
        for name in AMOUNTS:
            limit = getattr(self, name)
            is_number = type(limit) is int or (name == "cost_usd" and type(limit) is float and math.isfinite(limit))
            if limit is not None and not (is_number and limit > 0):
                number = "a number" if name == "cost_usd" else "a whole number"
                text = f"Budget({name}={limit!r}): the limit must be {number} greater than 0"
                repair = f"write Budget({name}={20 if name == 'cost_usd' else 100_000})"
                raise DefinitionError(text, where=f"budget {self.name!r}", repair=repair)
        if not self.limits:
            text = f"the budget {self.name!r} has no limit"
            repair = f"add a limit: Budget(name={self.name!r}, cost_usd=20), or tokens= or calls="
            raise DefinitionError(text, where=f"budget {self.name!r}", repair=repair)

    @property
    def limits(self) -> dict[AmountName, float]:
        """The limits that are set."""
        given: dict[AmountName, float | None] = {name: getattr(self, name) for name in AMOUNTS}
        return {name: limit for name, limit in given.items() if limit is not None}


class Place(NamedTuple):
    """One account of a budget in one window of time. A model call is charged to such an account.

    Attributes:
        budget: The budget of the account.
        key: The tenant, user, agent or graph of the account; "" if the account is for all runs, or for runs without
            one.
        begin: When the window begins, in epoch seconds.
    """

    budget: Budget
    key: str
    begin: float


class BudgetRefusal(NamedTuple):
    """The reason why a model call does not fit into a budget.

    Attributes:
        place: The account in which too little is left for the call.
        name: The name of the limit that the call would exceed, such as `cost_usd`.
        used: The amount of this limit that is already spent.
        is_spent: Whether this amount alone reaches the limit. If False, calls in flight have reserved the rest, and the
            call may fit when they have ended.
    """

    place: Place
    name: AmountName
    used: float
    is_spent: bool


def window_of(window: Window, now: float) -> tuple[float, float]:
    """Return when the hour, day or month begins and ends that contains a point in time, in epoch seconds.

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
    """Format an amount of a budget with its unit, for people.

    If a limit is given, the text contains the limit too.

    Example:
        >>> words_of("cost_usd", 0.5, 2), words_of("tokens", 12_000)
        ('$0.5000 of $2.0000', '12,000 tokens')
    """
    if name == "cost_usd":
        return " of ".join(f"${dollars(amount)}" for amount in amounts)
    return " of ".join(f"{amount:,.0f}" for amount in amounts) + f" {name}"


@runtime_checkable
class _KnowsRuns(Protocol):
    async def info(self, run_id: str) -> RunInfo: ...


def make_hold(
    call: str, amounts: Amounts, *, run: str = "", nonce: str = "", asked: Mapping[AmountName, float] | None = None
) -> Hold:
    """Make a reservation for a model call, which is not stored yet.

    Args:
        call: The call's idempotency key, which stays the same when the call is made again.
        amounts: The amounts that the call may use. A missing amount is unknown; such a call is made while no other call
            is in flight.
        run: The id of the run that makes the call. Without an id, nobody can find out whether the call is still in
            flight, so the reservation stays until it is settled or the window ends.
        nonce: The nonce of this run.
        asked: The amounts that the question alone uses. They count as spent if the call is interrupted.
    """
    return Hold(call, run, nonce, secrets.token_hex(8), amounts, asked or {})


class Ledger:
    """The accounts of budgets in the database of the runs, shared by all processes that use this database.

    While a process drives a run, one object of this class makes all reservations of the run.

    Args:
        store: The store. If it is not a database, its accounts are kept in the memory of this process.
    """

    def __init__(self, store: object) -> None:
        if not isinstance(store, KeepsAccounts) and store not in _IN_PROCESS:
            from graphengine.databases.sqlite.in_process import budget_tables  # noqa: PLC0415 - few need it

            _IN_PROCESS[store] = InProcess(budget_tables())
        self._store: KeepsAccounts = store if isinstance(store, KeepsAccounts) else _IN_PROCESS[store]
        self._runs = store if isinstance(store, _KnowsRuns) else None

    async def reserve(
        self,
        places: Sequence[Place],
        hold: Hold,
        allowed: Collection[str] = (),
        *,
        continues: bool = False,
    ) -> BudgetRefusal | None:
        """Reserve the amounts of a model call in all accounts, or return the reason why the call does not fit.

        A call fits if the spent amounts, the amounts in flight and its own amounts are together within the limit. If no
        other call is in flight, it fits as long as the limit is not spent. Before a call is refused because of calls in
        flight, the reservations of calls that can no longer be in flight are dropped.

        A reservation that an earlier attempt of the same call left behind is replaced. The earlier attempt counts as
        interrupted.

        Args:
            places: The accounts.
            hold: The amounts that the call may use, as returned by `make_hold`.
            allowed: The names of the budgets that the call may exceed.
            continues: Whether the call continues at its provider, in a batch. In this case the earlier attempt was not
                interrupted.
        """
        refusal = await self._reserve(places, hold, allowed, (), continues=continues)
        if refusal is not None and not refusal.is_spent:
            dead = [(place, each) for place in places for each in await self._dead_holds(*_order(place))]
            refusal = await self._reserve(places, hold, allowed, dead, continues=continues) if dead else refusal
        return refusal

    async def drop_former(self, run: str, nonce: str) -> None:
        """Drop all reservations of a run, whose calls count as interrupted.

        Call this method in a process that has taken over the run, before the process makes a call for the run. The
        reservations are of processes that drove the run before. For example, a process was killed in the middle of a
        call, and the run is resumed here. It has a driver again, so the old call would seem to be in flight: other
        runs would wait for it, and the run itself would, too, if it asks something else this time.

        Args:
            run: The id of the run. None of its calls may continue in a batch, because such a call keeps its reservation
                while the run sleeps.
            nonce: The nonce of the run.
        """
        await self._store.open()
        accounts = self._store.accounts
        former = await self._store.read(partial(_load_holds_of_run, accounts=accounts, run=run, nonce=nonce))
        if not former:
            return

        def drop(connection: object) -> None:
            for budget, key, each in former:
                account, hold = accounts.find(connection, budget, key, each.call)
                if account is not None and hold is not None and hold.token == each.token:
                    account.cut_off(hold)
                    accounts.keep(connection, account, is_new=False)
                    accounts.drop_hold(connection, account, hold.call)

        await self._write(drop, run)

    async def _reserve(
        self,
        places: Sequence[Place],
        hold: Hold,
        allowed: Collection[str],
        dead: Sequence[tuple[Place, Hold]],
        *,
        continues: bool,
    ) -> BudgetRefusal | None:
        accounts = self._store.accounts

        def reserved(connection: object) -> BudgetRefusal | None:
            for place, each in dead:
                entry = _Held(connection, accounts, place, each.call)
                if entry.hold is not None and entry.hold.token == each.token:
                    entry.account.cut_off(entry.hold)
                    entry.keep(None)
            found = [(place, _Held(connection, accounts, place, hold.call)) for place in sorted(places, key=_order)]
            for place, entry in found:
                if entry.hold is not None:
                    # If the token is the same, an earlier attempt of this write was committed, although its
                    # confirmation was lost.
                    if continues or entry.hold.token == hold.token:
                        entry.account.hold(entry.hold.amounts, -1)
                    else:
                        entry.account.cut_off(entry.hold)
                refusal = None if place.budget.name in allowed else _find_refusal(place, entry.account, hold.amounts)
                if refusal is not None:
                    return refusal
            for _, entry in found:
                entry.account.hold(hold.amounts)
                entry.keep(hold)
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
        """Replace the reservation of a finished model call by the amounts that the call really used.

        The usage is spent even if the reservation no longer exists because the run ended while this process was frozen:
        the answer must be paid for. Nothing is spent if the next window has begun in the account, or if the account was
        erased.

        Args:
            places: The accounts.
            hold: The reservation.
            used: The amounts that the call used, as reported by its provider.
            estimated: The estimated amounts that the call used in addition.
            unknown_calls: How many calls may have used more than this.
        """
        accounts = self._store.accounts
        settled_places: set[Place] = set()

        def settled(connection: object) -> None:
            for place in sorted(places, key=_order):
                entry = _Held(connection, accounts, place, hold.call)
                is_held = entry.hold is not None and entry.hold.token == hold.token
                # An earlier attempt was committed, although its confirmation was lost.
                is_repeated = place in settled_places and not is_held
                if entry.hold is not None and is_held:
                    settled_places.add(place)
                    entry.account.hold(entry.hold.amounts, -1)
                if is_held or (entry.is_kept and entry.account.begin <= place.begin and not is_repeated):
                    entry.account.spend(used, estimated or {}, unknown_calls)
                    entry.keep(None if is_held else entry.hold)

        await self._write(settled, hold.run)

    async def correct(self, place: Place, spent: Mapping[AmountName, float]) -> bool:
        """Set the amounts that are spent of an account, for example to the amounts of an invoice.

        The corrected amounts no longer count as estimates, and no call counts as unknown. Reservations of calls in
        flight stay unchanged. Returns whether the account exists.
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
        """Return all accounts in the database, ordered by budget and key.

        Reservations of calls that can no longer be in flight, for example because their process died, are left out.
        """
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
        """Return the reservations of model calls that have certainly ended, for example because their process died."""
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


def _load_holds_of_run(
    connection: object, _: object, accounts: Accounts[object], run: str, nonce: str
) -> Sequence[tuple[str, str, Hold]]:
    return accounts.holds_of_run(connection, run, nonce)


def _may_be_made(hold: Hold, run: RunInfo | None) -> bool:
    """Return whether the model call for which a reservation was made may still be in flight.

    `run` is the run that has the reservation's run id now. If the original run was removed, this can be another run
    with the same id. Even a waiting run without a driver may have a call in flight, because a call in a batch continues
    at the provider.
    """
    if run is None or run.nonce != hold.nonce or run.status in OVER:
        return False
    return run.driver is not None or (run.status == "waiting" and not run.held)


class _Held:
    """One account of a budget, and the reservation of one model call in it, while a transaction changes both.

    When a new window begins, the account starts again from zero. The clocks of processes differ: if another process has
    already begun the next window, this process uses that window, too.

    Attributes:
        account: The account.
        hold: The reservation of the call; None if the account contains no reservation for it.
        is_kept: Whether the database already contains the account, in this window or an earlier one.
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
        """Write the changed account to the database, together with the new reservation of the call.

        If `hold` is None, the reservation of the call is removed.
        """
        self._accounts.keep(self._connection, self.account, is_new=self._is_new)
        if hold is None:
            self._accounts.drop_hold(self._connection, self.account, self._call)
        else:
            self._accounts.hold(self._connection, self.account, hold)


def _find_refusal(place: Place, account: Account, amounts: Amounts) -> BudgetRefusal | None:
    for name, limit in place.budget.limits.items():
        used = account.spent[name]
        if rounded(used) >= limit:
            return BudgetRefusal(place, name, used, is_spent=True)
        amount = amounts.get(name)
        planned = used + account.in_flight(name) + (math.inf if amount is None else amount)
        if account.calls_in_flight and rounded(planned) > limit:
            return BudgetRefusal(place, name, used, is_spent=False)
    return None


def _order(place: Place) -> tuple[str, str]:
    """Return the key by which the accounts of a model call are sorted before they are locked.

    All processes lock accounts in the same order, so that no two transactions wait for each other.
    """
    return place.budget.name, place.key


__all__ = [
    "AMOUNTS",
    "Account",
    "AmountName",
    "Budget",
    "BudgetRefusal",
    "Hold",
    "Ledger",
    "Place",
    "make_hold",
    "window_of",
    "words_of",
]
