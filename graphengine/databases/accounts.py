"""The accounts of budgets, in tables of their own: a row for each account, and one for each call in flight.

The files `accounts.sql` of each dialect have the same statements under the same names, with named parameters. What a
call may take is added to its account too, so that neither a reservation nor a settlement reads the other calls.
"""

from __future__ import annotations

import math
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Literal,
    Protocol,
    TypeAlias,
    TypeVar,
    get_args,
    runtime_checkable,
)

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from graphengine.databases.statements import Statements

ConnectionT = TypeVar("ConnectionT")
T = TypeVar("T")

AmountName: TypeAlias = Literal["cost_usd", "tokens", "calls"]
AMOUNTS: Final[tuple[AmountName, ...]] = get_args(AmountName)
Amounts: TypeAlias = "Mapping[AmountName, float | None]"
"""What a call may take; an amount that is missing or None is not known."""


class Account(Struct):
    """What is kept of one account.

    Attributes:
        budget: The name of its budget.
        key: Whose account it is.
        begin: When its window began, epoch seconds.
        calls_in_flight: How many calls are in flight, or were cut off.
        spent: What was spent in the window.
        held: What the calls in flight may take, as far as that is known.
        unknown: Of how many of them it is not known.
    """

    budget: str
    key: str
    begin: float
    calls_in_flight: int = 0
    spent: dict[AmountName, float] = field(default_factory=lambda: dict.fromkeys(AMOUNTS, 0.0))
    held: dict[AmountName, float] = field(default_factory=lambda: dict.fromkeys(AMOUNTS, 0.0))
    unknown: dict[AmountName, int] = field(default_factory=lambda: dict.fromkeys(AMOUNTS, 0))

    def in_flight(self, name: AmountName) -> float:
        """Return what the calls in flight may take; infinity if that is not known."""
        return math.inf if self.unknown[name] else self.held[name]

    def hold(self, amounts: Amounts, calls: int = 1) -> None:
        """Add a call to those in flight, or take it from them: -1."""
        self.calls_in_flight += calls
        for name in AMOUNTS:
            amount = amounts.get(name)
            if amount is None:
                self.unknown[name] += calls
            else:  # sums of dollars are not exact: what is left when nothing is in flight is dropped
                self.held[name] = self.held[name] + calls * amount if self.calls_in_flight else 0.0


class Accounts(Generic[ConnectionT]):
    """The tables in one dialect of SQL. All methods are called on a thread of the store, in a transaction.

    Args:
        statements: The statements of `accounts.sql`.
    """

    def __init__(self, statements: Statements[ConnectionT]) -> None:
        self._do = statements.do

    def find(self, connection: ConnectionT, budget: str, key: str, call: str) -> tuple[Account | None, Amounts | None]:
        """Return an account and what a call holds in it; no other transaction changes them before this one ends."""
        rows = self._do(connection, "find", {"budget": budget, "key": key, "call": call})
        if not rows:
            return None, None
        (*account, is_held, cost_usd, tokens, calls) = rows[0]
        held: Amounts = {"cost_usd": cost_usd, "tokens": tokens, "calls": calls}
        return _account(account), held if is_held else None

    def keep(self, connection: ConnectionT, account: Account, *, is_new: bool) -> None:
        """Write an account; if its window is new, calls of the one before are in flight no longer."""
        values: dict[str, object] = {"begun_at": account.begin, "calls_in_flight": account.calls_in_flight}
        for name in AMOUNTS:
            values[f"spent_{name}"], values[f"held_{name}"] = account.spent[name], account.held[name]
            values[f"unknown_{name}"] = account.unknown[name]
        of: dict[str, object] = {"budget": account.budget, "key": account.key}
        self._do(connection, "keep", {**of, **values})
        if is_new:
            self._do(connection, "drop_holds", of)

    def hold(self, connection: ConnectionT, account: Account, call: str, amounts: Amounts | None) -> None:
        """Write what a call holds in an account; None for nothing."""
        values = {"budget": account.budget, "key": account.key, "call": call}
        if amounts is None:
            self._do(connection, "drop_hold", values)
        else:
            self._do(connection, "hold", {**values, **{name: amounts.get(name) for name in AMOUNTS}})

    def page(self, connection: ConnectionT, after: tuple[str, str], limit: int) -> Sequence[Account]:
        """Return the accounts after one, given by its budget and key, in that order."""
        values = {"budget": after[0], "key": after[1], "limit": limit}
        return [_account(row) for row in self._do(connection, "page", values)]


def _account(row: Sequence[Any]) -> Account:
    budget, key, begin, calls, *amounts = row
    spent, held, unknown = (dict(zip(AMOUNTS, amounts[at : at + 3], strict=True)) for at in (0, 3, 6))
    return Account(budget, key, begin, calls, spent, held, unknown)


@runtime_checkable
class KeepsAccounts(Protocol):
    """A database with these tables."""

    @property
    def accounts(self) -> Accounts[Any]:
        """The tables in its dialect."""
        ...

    async def open(self) -> None:
        """Open it, if it is not open."""
        ...

    def read(self, function: Callable[[Any, Any], T]) -> Awaitable[T]:
        """Call a function of a connection, on another thread."""
        ...

    def write(self, work: Callable[[Any], T], *, run_id: str | None = None) -> Awaitable[T]:
        """Call a function of a connection in a transaction of its own; see `SQLStore.write`."""
        ...


__all__ = ["AMOUNTS", "Account", "Accounts", "AmountName", "Amounts", "KeepsAccounts"]
