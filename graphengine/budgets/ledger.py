"""The accounts of budgets: one entry for each budget and key, in the table of memories of the database.

An entry has the window, what was spent in it, and the calls in flight with what each may take. All that a call changes
is one transaction, whatever the number of budgets, so that processes cannot both take the rest:

| call of a model | entry |
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
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, TypeVar, get_args
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct, field

from graphengine.databases.memories import scope_of
from graphengine.databases.sql import SQLStore
from graphengine.errors import DefinitionError
from graphengine.memory.kept import InProcess, statements_for, table_of
from graphengine.state.amounts import dollars
from graphengine.state.json_values import checked_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from graphengine.databases.memories import Memories
    from graphengine.memory.kept import AnyStore

T = TypeVar("T")

By: TypeAlias = Literal["all", "tenant", "user", "agent", "graph"]
Window: TypeAlias = Literal["hour", "day", "month"]
Over: TypeAlias = Literal["wait", "fail", "ask"]
AmountName: TypeAlias = Literal["cost_usd", "tokens", "calls"]

AMOUNTS: Final[tuple[AmountName, ...]] = get_args(AmountName)
_NAMESPACE: Final = "\U0010ffffbudgets"
"""After every namespace that a `Memory` lists or clears."""
_ROUNDING: Final = 1e-9
"""How much more than a limit still fits, as sums of dollars are not exact."""
_PAGE: Final = 500
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
        checked_name(self.name, "the name of a budget", "Budget(name=…)")
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


class Account(Struct):
    """What is kept of one account.

    Attributes:
        budget: The name of its budget.
        key: Whose account it is.
        begin: When its window began, epoch seconds.
        spent: What was spent in it.
        in_flight: What each call that is in flight, or was cut off, may take, by the call; an amount that is missing is
            not known.
    """

    budget: str
    key: str
    begin: float
    spent: dict[AmountName, float] = field(default_factory=dict)
    in_flight: dict[str, dict[AmountName, float]] = field(default_factory=dict)


def window_of(window: Window, now: float) -> tuple[float, float]:
    """Return when the window around a time begins and ends, epoch seconds.

    Example:
        >>> window_of("day", 86_400.0 * 3 + 5)
        (259200.0, 345600.0)
    """
    begin = datetime.fromtimestamp(now, UTC).replace(minute=0, second=0, microsecond=0)
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
        if not isinstance(store, SQLStore) and store not in _IN_PROCESS:
            _IN_PROCESS[store] = InProcess()
        self._store: AnyStore = store if isinstance(store, SQLStore) else _IN_PROCESS[store]

    async def reserve(
        self, places: Sequence[Place], call: str, amounts: Mapping[AmountName, float], allowed: Collection[str] = ()
    ) -> Refusal | None:
        """Add a call to those in flight of these accounts if it fits in all of them; return why it does not.

        It fits if what is spent, all that is in flight and its own amounts do; alone it fits below the limit.

        Args:
            places: The accounts.
            call: The call, the same when it is made again.
            amounts: What it may take; an amount that is missing is not known, and goes alone.
            allowed: The names of budgets that it may exceed.
        """
        return await self._write(partial(_reserve, places=places, call=call, amounts=amounts, allowed=allowed))

    async def settle(self, places: Sequence[Place], call: str, used: Mapping[AmountName, float]) -> None:
        """Take a call from those in flight, and add what it used to what is spent; without the call, do nothing."""
        await self._write(partial(_settle, places=places, call=call, used=used))

    async def accounts(self) -> Sequence[Account]:
        """Return all accounts, by budget and key."""
        await self._store.open()
        memories = statements_for(self._store)
        found: list[Account] = []
        after = ("", "")
        if not await self._store.read(lambda connection, _: memories.exist(connection)):
            return found
        while True:
            rows = await self._store.read(partial(_page, memories=memories, after=after))
            found += [msgspec.json.decode(body, type=Account) for _, _, body, _, _ in rows]
            if len(rows) < _PAGE:
                return found
            after = rows[-1][0], rows[-1][1]

    async def _write(self, work: Callable[[Any, Memories[Any]], T]) -> T:
        store, memories = await table_of(self._store)
        result: T = await store.write(lambda connection: work(connection, memories))
        return result


def _page(connection: Any, _: object, memories: Memories[Any], after: tuple[str, str]) -> Sequence[Sequence[Any]]:  # noqa: ANN401 - of a dialect
    return memories.page(connection, scope_of(_NAMESPACE), after, _PAGE)


def _reserve(  # noqa: PLR0913 - the parts of one transaction
    connection: Any,  # noqa: ANN401 - of a dialect
    memories: Memories[Any],
    *,
    places: Sequence[Place],
    call: str,
    amounts: Mapping[AmountName, float],
    allowed: Collection[str],
) -> Refusal | None:
    found = [(place, _account(connection, memories, place)) for place in sorted(places, key=_order)]
    for place, account in found:
        account.in_flight.pop(call, None)
        refusal = None if place.budget.name in allowed else _refusal(place, account, amounts)
        if refusal is not None:
            return refusal
    for place, account in found:
        account.in_flight[call] = dict(amounts)
        _put(connection, memories, place, account)
    return None


def _settle(
    connection: Any,  # noqa: ANN401 - of a dialect
    memories: Memories[Any],
    *,
    places: Sequence[Place],
    call: str,
    used: Mapping[AmountName, float],
) -> None:
    for place in sorted(places, key=_order):
        account = _account(connection, memories, place)
        if account.in_flight.pop(call, None) is not None:
            for name, amount in used.items():
                account.spent[name] = account.spent.get(name, 0) + amount
            _put(connection, memories, place, account)


def _refusal(place: Place, account: Account, amounts: Mapping[AmountName, float]) -> Refusal | None:
    others = [*account.in_flight.values()]
    for name, limit in place.budget.limits.items():
        used = account.spent.get(name, 0)
        planned = sum(each.get(name, math.inf) for each in (amounts, *others))
        if used >= limit - _ROUNDING:
            return Refusal(place, name, used, is_spent=True)
        if others and used + planned > limit + _ROUNDING:
            return Refusal(place, name, used, is_spent=False)
    return None


def _account(connection: Any, memories: Memories[Any], place: Place) -> Account:  # noqa: ANN401 - of a dialect
    """Return an account, which no other process changes before the transaction ends; a new one in a new window.

    Clocks differ: if another process is in the next window already, so is this one.
    """
    namespace, key = _order(place)
    memories.lock(connection, namespace, key)
    rows = memories.get(connection, namespace, key)
    if rows:
        account = msgspec.json.decode(rows[0][2], type=Account)
        if account.begin >= place.begin:
            return account
    return Account(place.budget.name, place.key, place.begin)


def _put(connection: Any, memories: Memories[Any], place: Place, account: Account) -> None:  # noqa: ANN401 - of a dialect
    namespace, key = _order(place)
    values = {"namespace": namespace, "key": key, "body": msgspec.json.encode(account).decode(), "words": ""}
    memories.put(connection, {**values, "updated_at": account.begin}, None)


def _order(place: Place) -> tuple[str, str]:
    """Return where an account is kept: the same order for all, so that two calls never wait for each other."""
    return f"{_NAMESPACE}/{place.budget.name}", place.key


__all__ = ["AMOUNTS", "Account", "AmountName", "Budget", "Ledger", "Place", "Refusal", "window_of", "words_of"]
