"""The accounts of budgets: one for each budget and key, in tables of the database of the runs.

An account has the window, what was spent in it, and what the calls in flight may take, each of which is a row too. All
that a call changes is one transaction, whatever the number of budgets, so that processes cannot both take the rest:

| call of a model | account |
|---|---|
| is about to begin | it is added to those in flight if it fits, and refused otherwise |
| answered or failed | it leaves them, and what it used is spent; only then the answer is recorded in the run |
| was cut off | it stays, as it may have to be paid; the run that makes it again takes its place |

So a process that dies before the answer is recorded pays twice, and both calls count. A window begins with nothing
spent and nothing in flight: a call counts in the window in which it began.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, TypeVar, get_args
from weakref import WeakKeyDictionary

from graphengine.databases.accounts import AMOUNTS, Account, AmountName, KeepsAccounts
from graphengine.databases.sqlite.in_process import InProcess
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import dollars
from graphengine.kernel.inside import check_stored_name, rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from graphengine.databases.accounts import Accounts, Amounts

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
                raise DefinitionError(f"Budget({what}={given!r})", where=f"budget {self.name!r}", repair=repair)
        for name in AMOUNTS:
            limit = getattr(self, name)
            is_number = type(limit) is int or (name == "cost_usd" and type(limit) is float and math.isfinite(limit))
            if limit is not None and not (is_number and limit > 0):
                raise DefinitionError(
                    f"Budget({name}={limit!r})", where=f"budget {self.name!r}", repair="give a number above 0"
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


class Ledger:
    """The accounts in a store of runs.

    Args:
        store: The store; the accounts of one that is no database are in the memory of this process.
    """

    def __init__(self, store: object) -> None:
        if not isinstance(store, KeepsAccounts) and store not in _IN_PROCESS:
            from graphengine.databases.sqlite.queries import FIRST, migration  # noqa: PLC0415 - few need it

            _IN_PROCESS[store] = InProcess(migration(FIRST))
        self._store: KeepsAccounts = store if isinstance(store, KeepsAccounts) else _IN_PROCESS[store]

    async def reserve(
        self,
        places: Sequence[Place],
        call: str,
        amounts: Mapping[AmountName, float],
        allowed: Collection[str] = (),
        *,
        run_id: str | None = None,
    ) -> Refusal | None:
        """Add a call to those in flight of these accounts if it fits in all of them; return why it does not.

        It fits if what is spent, what is in flight and its own amounts are within the limit together. With nothing else
        in flight it fits as long as the limit is not spent.

        Args:
            places: The accounts.
            call: The call, the same when it is made again.
            amounts: What it may take; an amount that is missing is not known, and goes alone.
            allowed: The names of budgets that it may exceed.
            run_id: The run that makes it.
        """
        accounts = self._store.accounts

        def reserved(connection: object) -> Refusal | None:
            found = [(place, _Held(connection, accounts, place, call)) for place in sorted(places, key=_order)]
            for place, held in found:
                held.release()
                refusal = None if place.budget.name in allowed else _find_refusal(place, held.account, amounts)
                if refusal is not None:
                    return refusal
            for _, held in found:
                held.account.hold(amounts)
                held.keep(amounts)
            return None

        return await self._write(reserved, run_id)

    async def settle(
        self, places: Sequence[Place], call: str, used: Mapping[AmountName, float], *, run_id: str | None = None
    ) -> None:
        """Take a call from those in flight, and add what it used to what is spent; without the call, do nothing."""
        accounts = self._store.accounts

        def settled(connection: object) -> None:
            for place in sorted(places, key=_order):
                held = _Held(connection, accounts, place, call)
                if held.amounts is not None:
                    held.release()
                    for name, amount in used.items():
                        held.account.spent[name] += amount
                    held.keep(None)

        await self._write(settled, run_id)

    async def accounts(self) -> Sequence[Account]:
        """Return all accounts, by budget and key."""
        await self._store.open()
        accounts = self._store.accounts
        found: list[Account] = []
        after = ("", "")
        while True:
            page = await self._store.read(partial(_load_accounts, accounts=accounts, after=after))
            found += page
            if len(page) < _PAGE:
                return found
            after = page[-1].budget, page[-1].key

    async def _write(self, work: Callable[[object], T], run_id: str | None) -> T:
        await self._store.open()
        return await self._store.write(work, run_id=run_id)


def _load_accounts(
    connection: object, _: object, accounts: Accounts[object], after: tuple[str, str]
) -> Sequence[Account]:
    return accounts.page(connection, after, _PAGE)


class _Held:
    """An account, and what a call holds in it, as one transaction changes them.

    A new window begins a new account. Clocks differ: if another process is in the next window already, so is this one.

    Attributes:
        account: The account.
        amounts: What the call holds; None for nothing.
    """

    def __init__(self, connection: object, accounts: Accounts[object], place: Place, call: str) -> None:
        self._connection, self._accounts, self._call = connection, accounts, call
        account, self.amounts = accounts.find(connection, *_order(place), call)
        self._is_new = account is None or account.begin < place.begin
        if account is None or self._is_new:
            account, self.amounts = Account(*_order(place), place.begin), None
        self.account = account

    def release(self) -> None:
        """Take the call from those in flight."""
        if self.amounts is not None:
            self.account.hold(self.amounts, -1)

    def keep(self, amounts: Amounts | None) -> None:
        """Write the account, and what the call holds from now on."""
        self._accounts.keep(self._connection, self.account, is_new=self._is_new)
        self._accounts.hold(self._connection, self.account, self._call, amounts)


def _find_refusal(place: Place, account: Account, amounts: Mapping[AmountName, float]) -> Refusal | None:
    for name, limit in place.budget.limits.items():
        used = account.spent[name]
        if rounded(used) >= limit:
            return Refusal(place, name, used, is_spent=True)
        planned = used + account.in_flight(name) + amounts.get(name, math.inf)
        if account.calls_in_flight and rounded(planned) > limit:
            return Refusal(place, name, used, is_spent=False)
    return None


def _order(place: Place) -> tuple[str, str]:
    """Return which account it is: the same order for all, so that two calls never wait for each other."""
    return place.budget.name, place.key


__all__ = ["AMOUNTS", "Account", "AmountName", "Budget", "Ledger", "Place", "Refusal", "window_of", "words_of"]
