"""The accounts of budgets, in two tables: a row for each account, and a row for each model call in flight.

The amount that a call may use is also added to its account. So neither reserving nor settling an amount has to read the
other calls. The other calls are read only when a new call does not fit into the budget, because some of them may belong
to runs that have ended.
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

    from graphengine.databases.statements import Dialect

ConnectionT = TypeVar("ConnectionT")
T = TypeVar("T")

_ACCOUNT_COLUMNS: Final = 16
AmountName: TypeAlias = Literal["cost_usd", "tokens", "calls"]
AMOUNTS: Final[tuple[AmountName, ...]] = get_args(AmountName)
_ESTIMATED: Final[tuple[AmountName, ...]] = ("cost_usd", "tokens")
Amounts: TypeAlias = "Mapping[AmountName, float | None]"
"""The most that a call may use; an amount that is missing or None is unknown."""


class Hold(Struct, frozen=True):
    """A reservation: the part of a budget that is set aside for a model call while the call is in flight.

    Attributes:
        call: The call's idempotency key. A repeated call has the same key.
        run: The id of the run that makes the call; "" if it is unknown, as in databases of development versions.
        nonce: The nonce of that run, which tells the run apart from a later run with the same id.
        token: A random text that is drawn for the reservation, so that a repeated call has another token.
        amounts: The most that the call may use.
        asked: The use of the prompt alone, by the name of the amount. If the call is cut off, this counts as spent.
    """

    call: str
    run: str = ""
    nonce: str = ""
    token: str = ""
    amounts: Amounts = field(default_factory=dict)
    asked: Mapping[AmountName, float] = field(default_factory=dict)


class Account(Struct):
    """What model calls have spent of one budget in its current period (window), and what calls in flight have reserved.

    Attributes:
        budget: The name of the budget.
        key: The name of the user, tenant or other owner of the account.
        begin: When the window began, epoch seconds.
        calls_in_flight: How many model calls are in flight.
        spent: What was spent in the window.
        held: The sum of the reservations of the calls in flight, without unknown amounts.
        unknown: For how many of the calls in flight the amount is unknown.
        estimated: How much of `spent` is an estimate, because the provider did not report what a call used.
        unknown_calls: How many finished calls may have used more than was counted.
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
        """Return the most that the calls in flight may use; infinity if the amount of any call is unknown."""
        return math.inf if self.unknown[name] else self.held[name]

    def hold(self, amounts: Amounts, calls: int = 1) -> None:
        """Add the amounts that a model call may use to the reserved amounts of the account.

        Call this when the model call begins. When the call ends, call this again with the same amounts and `calls=-1`,
        which removes the reservation.
        """
        self.calls_in_flight += calls
        for name in AMOUNTS:
            amount = amounts.get(name)
            if amount is None:
                self.unknown[name] += calls
            else:  # sums of dollars are rounded: set the sum to 0 when no call is in flight
                self.held[name] = self.held[name] + calls * amount if self.calls_in_flight else 0.0

    def spend(
        self, used: Mapping[AmountName, float], estimated: Mapping[AmountName, float], unknown_calls: int = 0
    ) -> None:
        """Add what a model call has used to the amounts that are spent in the current window.

        `used` contains amounts that the provider reported. `estimated` contains amounts that the provider did not
        report. Both are added to `spent`; the estimated amounts are also added to `estimated`.
        """
        for name, amount in used.items():
            self.spent[name] += amount
        for name, amount in estimated.items():
            self.spent[name] += amount
            self.estimated[name] += amount
        self.unknown_calls += unknown_calls

    def cut_off(self, hold: Hold) -> None:
        """When a call was cut off, remove its reservation and count the cost of its prompt as spent.

        The prompt was sent and may have to be paid. What else the call used is unknown.
        """
        self.hold(hold.amounts, -1)
        self.spend({"calls": hold.amounts.get("calls") or 0.0}, hold.asked, unknown_calls=1)


class Accounts(Generic[ConnectionT]):
    """Reads and writes the database tables that contain the accounts of budgets.

    Call all methods in a transaction, on a thread of the store.

    Args:
        dialect: The SQL dialect of the database.
    """

    def __init__(self, dialect: Dialect[ConnectionT]) -> None:
        self._do, self._locks = dialect.statements("accounts.sql").do, dialect.is_concurrent

    def find(self, connection: ConnectionT, budget: str, key: str, call: str) -> tuple[Account | None, Hold | None]:
        """Return the account of a budget and the reservation that one model call has made in this account.

        Each of them is None if the database does not contain it. On a database with concurrent writers, the account is
        locked until the transaction ends, so that no other process changes it meanwhile.
        """
        if self._locks:
            self._do(connection, "lock", {"budget": budget, "key": key})
        rows = self._do(connection, "find", {"budget": budget, "key": key, "call": call})
        if not rows:
            return None, None
        account, hold = rows[0][:_ACCOUNT_COLUMNS], rows[0][_ACCOUNT_COLUMNS:]
        return _read_account(account), None if hold[0] is None else _read_hold(hold)

    def keep(self, connection: ConnectionT, account: Account, *, is_new: bool) -> None:
        """Write the state of an account to its row in the database.

        If a new window of the budget has just begun (`is_new`), also delete the reservations that calls made in the
        previous window, because they do not count in the new one.
        """
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
        values = {"call": hold.call, "run": hold.run, "nonce": hold.nonce, "token": hold.token}
        amounts: dict[str, object] = {name: hold.amounts.get(name) for name in AMOUNTS}
        asked = {f"asked_{name}": hold.asked.get(name, 0.0) for name in _ESTIMATED}
        self._do(connection, "hold", {"budget": account.budget, "key": account.key, **values, **amounts, **asked})

    def drop_hold(self, connection: ConnectionT, account: Account, call: str) -> None:
        """Delete the reservation of a call."""
        self._do(connection, "drop_hold", {"budget": account.budget, "key": account.key, "call": call})

    def holds(self, connection: ConnectionT, budget: str, key: str) -> Sequence[Hold]:
        """Return the reservations of all calls in flight, sorted by call."""
        return [_read_hold(row) for row in self._do(connection, "holds", {"budget": budget, "key": key})]

    def holds_of_run(self, connection: ConnectionT, run: str, nonce: str) -> Sequence[tuple[str, str, Hold]]:
        """Return the reservations that a run has made, with the budgets and keys of their accounts, sorted by these."""
        rows = self._do(connection, "holds_of_run", {"run": run, "nonce": nonce})
        return [(budget, key, _read_hold(row)) for budget, key, *row in rows]

    def page(self, connection: ConnectionT, after: tuple[str, str], limit: int) -> Sequence[Account]:
        """Return the next accounts after the given budget and key, sorted by budget and key."""
        values = {"budget": after[0], "key": after[1], "limit": limit}
        return [_read_account(row) for row in self._do(connection, "page", values)]


def _read_account(row: Sequence[Any]) -> Account:
    budget, key, begin, calls, *amounts = row
    spent, held, unknown = (dict(zip(AMOUNTS, amounts[at : at + 3], strict=True)) for at in (0, 3, 6))
    *estimates, unknown_calls = amounts[9:]
    estimated: dict[AmountName, float] = dict(zip(_ESTIMATED, estimates, strict=True))
    return Account(budget, key, begin, calls, spent, held, unknown, estimated, unknown_calls)


def _read_hold(row: Sequence[Any]) -> Hold:
    call, run, nonce, token, *amounts = row
    asked: dict[AmountName, float] = dict(zip(_ESTIMATED, amounts[3:], strict=True))
    return Hold(call, run, nonce, token, dict(zip(AMOUNTS, amounts[:3], strict=True)), asked)


@runtime_checkable
class KeepsAccounts(Protocol):
    @property
    def accounts(self) -> Accounts[Any]: ...

    async def open(self) -> None: ...

    def read(self, function: Callable[[Any, Any], T]) -> Awaitable[T]:
        """Call a function with a connection that reads, on another thread; see `SQLStore.read`."""
        ...

    def write(self, work: Callable[[Any], T], *, run_id: str | None = None) -> Awaitable[T]:
        """Call a function with a connection in a transaction of its own; see `SQLStore.write`."""
        ...


__all__ = ["AMOUNTS", "Account", "Accounts", "AmountName", "Amounts", "Hold", "KeepsAccounts"]
