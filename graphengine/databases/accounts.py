"""The accounts of budgets, in tables of their own: a row for each account, and one for each call in flight.

The files `accounts.sql` of each dialect have the same statements under the same names, with named parameters. What a
call may take is added to its account too, so that neither a reservation nor a settlement reads the other calls. These
are read only when a call does not fit, since some may belong to runs that are over.
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

_ACCOUNT_COLUMNS: Final = 16
AmountName: TypeAlias = Literal["cost_usd", "tokens", "calls"]
AMOUNTS: Final[tuple[AmountName, ...]] = get_args(AmountName)
_ESTIMATED: Final[tuple[AmountName, ...]] = ("cost_usd", "tokens")
Amounts: TypeAlias = "Mapping[AmountName, float | None]"
"""What a call may take; an amount that is missing or None is not known."""


class Hold(Struct, frozen=True):
    """A reservation: what a call in flight may take of an account.

    Attributes:
        call: The call's idempotency key, which is the same when the call is made again.
        run: The id of the run that makes the call; "" if it is not known, as in databases of development versions.
        nonce: The nonce of that run, since another run can have its id later.
        token: Drawn for the reservation, so that the same call, made again, has another one.
        amounts: What the call may take.
        asked: What the question alone costs, by the names of limits. It is counted as spent if the call is cut off.
    """

    call: str
    run: str = ""
    nonce: str = ""
    token: str = ""
    amounts: Amounts = field(default_factory=dict)
    asked: Mapping[AmountName, float] = field(default_factory=dict)


class Account(Struct):
    """What is kept of one account.

    Attributes:
        budget: The name of its budget.
        key: Whose account it is.
        begin: When its window began, epoch seconds.
        calls_in_flight: How many calls are in flight.
        spent: What was spent in the window.
        held: What the calls in flight may take, as far as that is known.
        unknown: Of how many of them it is not known.
        estimated: How much of what was spent is an estimate, as nobody reported what a call used.
        unknown_calls: How many of the spent calls may have used more than was counted.
    """

    budget: str
    key: str
    begin: float
    calls_in_flight: int = 0
    spent: dict[AmountName, float] = field(default_factory=lambda: dict.fromkeys(AMOUNTS, 0.0))
    held: dict[AmountName, float] = field(default_factory=lambda: dict.fromkeys(AMOUNTS, 0.0))
    unknown: dict[AmountName, int] = field(default_factory=lambda: dict.fromkeys(AMOUNTS, 0))
    estimated: dict[AmountName, float] = field(default_factory=lambda: dict.fromkeys(_ESTIMATED, 0.0))
    unknown_calls: int = 0

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

    def spend(
        self, used: Mapping[AmountName, float], estimated: Mapping[AmountName, float], unknown_calls: int = 0
    ) -> None:
        """Add the use of a call to the amounts spent. `estimated` is a part of it, and marked as an estimate."""
        for name, amount in used.items():
            self.spent[name] += amount
        for name, amount in estimated.items():
            self.spent[name] += amount
            self.estimated[name] += amount
        self.unknown_calls += unknown_calls

    def cut_off(self, hold: Hold) -> None:
        """Take a call that was cut off from those in flight.

        Its question was sent and may have to be paid, so that counts as spent. Nobody knows what else the call used.
        """
        self.hold(hold.amounts, -1)
        self.spend({"calls": hold.amounts.get("calls") or 0.0}, hold.asked, unknown_calls=1)


class Accounts(Generic[ConnectionT]):
    """The tables in one dialect of SQL. All methods are called on a thread of the store, in a transaction.

    Args:
        statements: The statements of `accounts.sql`.
    """

    def __init__(self, statements: Statements[ConnectionT]) -> None:
        self._do = statements.do

    def find(self, connection: ConnectionT, budget: str, key: str, call: str) -> tuple[Account | None, Hold | None]:
        """Return an account and what a call holds in it; no other transaction changes them before this one ends."""
        rows = self._do(connection, "find", {"budget": budget, "key": key, "call": call})
        if not rows:
            return None, None
        account, hold = rows[0][:_ACCOUNT_COLUMNS], rows[0][_ACCOUNT_COLUMNS:]
        return _account(account), None if hold[0] is None else _hold(hold)

    def keep(self, connection: ConnectionT, account: Account, *, is_new: bool) -> None:
        """Write an account; if its window is new, calls of the one before are in flight no longer."""
        values: dict[str, object] = {"begun_at": account.begin, "calls_in_flight": account.calls_in_flight}
        for name in AMOUNTS:
            values[f"spent_{name}"], values[f"held_{name}"] = account.spent[name], account.held[name]
            values[f"unknown_{name}"] = account.unknown[name]
        values |= {f"estimated_{name}": account.estimated[name] for name in _ESTIMATED}
        values["calls_of_unknown_use"] = account.unknown_calls
        of: dict[str, object] = {"budget": account.budget, "key": account.key}
        self._do(connection, "keep", {**of, **values})
        if is_new:
            self._do(connection, "drop_holds", of)

    def hold(self, connection: ConnectionT, account: Account, hold: Hold) -> None:
        """Write what a call holds in an account."""
        values = {"call": hold.call, "run": hold.run, "nonce": hold.nonce, "token": hold.token}
        amounts: dict[str, object] = {name: hold.amounts.get(name) for name in AMOUNTS}
        asked = {f"asked_{name}": hold.asked.get(name, 0.0) for name in _ESTIMATED}
        self._do(connection, "hold", {"budget": account.budget, "key": account.key, **values, **amounts, **asked})

    def drop_hold(self, connection: ConnectionT, account: Account, call: str) -> None:
        """Delete what a call holds in an account."""
        self._do(connection, "drop_hold", {"budget": account.budget, "key": account.key, "call": call})

    def holds(self, connection: ConnectionT, budget: str, key: str) -> Sequence[Hold]:
        """Return what all calls in flight hold in an account, by call."""
        return [_hold(row) for row in self._do(connection, "holds", {"budget": budget, "key": key})]

    def page(self, connection: ConnectionT, after: tuple[str, str], limit: int) -> Sequence[Account]:
        """Return the accounts after one, given by its budget and key, in that order."""
        values = {"budget": after[0], "key": after[1], "limit": limit}
        return [_account(row) for row in self._do(connection, "page", values)]


def _account(row: Sequence[Any]) -> Account:
    budget, key, begin, calls, *amounts = row
    spent, held, unknown = (dict(zip(AMOUNTS, amounts[at : at + 3], strict=True)) for at in (0, 3, 6))
    *estimates, unknown_calls = amounts[9:]
    estimated: dict[AmountName, float] = dict(zip(_ESTIMATED, estimates, strict=True))
    return Account(budget, key, begin, calls, spent, held, unknown, estimated, unknown_calls)


def _hold(row: Sequence[Any]) -> Hold:
    call, run, nonce, token, *amounts = row
    asked: dict[AmountName, float] = dict(zip(_ESTIMATED, amounts[3:], strict=True))
    return Hold(call, run, nonce, token, dict(zip(AMOUNTS, amounts[:3], strict=True)), asked)


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


__all__ = ["AMOUNTS", "Account", "Accounts", "AmountName", "Amounts", "Hold", "KeepsAccounts"]
