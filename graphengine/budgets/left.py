"""The remainder of the budgets: the document and the table of `graphengine budgets`, and the gauges for telemetry."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence  # noqa: TC003 - what a document has is read at run time
from datetime import UTC
from math import inf
from typing import TYPE_CHECKING, Final

from graphengine.budgets.ledger import Account, AmountName, Budget, Ledger, window_of, words_of
from graphengine.records.base_documents import Document, Part
from graphengine.records.words import when
from graphengine.wings import Gauge, Kind, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.kernel.store import Store


class AccountLeft(Part):
    """The state of one account in the current window.

    Attributes:
        key: The tenant, user, agent or graph of the account; "" if the account is for all runs, or for runs without
            one.
        begin: When the window began, in epoch seconds.
        end: When the window ends, in epoch seconds.
        spent: The amounts spent, by the names of the limits.
        in_flight: The amounts that calls in flight may use, by the names of the limits; null if unknown.
        calls_in_flight: The number of calls in flight.
        estimated: How much of `spent` is an estimate, by the names of limits on costs and tokens. An amount is
            estimated if a call was interrupted or failed, and its usage was not reported.
        unknown_calls: How many of the spent calls may have used more than was counted.
    """

    key: str
    begin: float
    end: float
    spent: Mapping[AmountName, float]
    in_flight: Mapping[AmountName, float | None]
    calls_in_flight: int
    estimated: Mapping[AmountName, float] = {}
    unknown_calls: int = 0


class BudgetLeft(Part):
    """A budget, and what was spent of it in each of its accounts.

    Attributes:
        budget: The budget.
        accounts: The accounts in the current window, by key. Accounts of earlier windows are left out.
    """

    budget: Budget
    accounts: Sequence[AccountLeft]


class BudgetsLeft(Document):
    """The budgets of a project.

    Attributes:
        budgets: The budgets, in the order of the settings.
    """

    budgets: Sequence[BudgetLeft]


_BUDGET, _KEY, _AMOUNT = "graphengine.budget", "graphengine.budget.key", "graphengine.budget.amount"
_EARLY: Final = 0.05
"""The part of a window that must be over before the spending at its end is predicted."""

DOCUMENTS: Final = (Kind(BudgetsLeft),)
"""The documents of `graphengine budgets`."""


async def left_of(budgets: Sequence[Budget], store: Store) -> BudgetsLeft:
    """Return the document that `graphengine budgets` prints: each budget with its accounts in the current window.

    If there are no budgets, the store is not read.
    """
    accounts = await Ledger(store).accounts() if budgets else ()
    return BudgetsLeft(
        budgets=[BudgetLeft(budget=each, accounts=_accounts_in_window(each, accounts)) for each in budgets]
    )


async def gauges_of(budgets: Sequence[Budget], store: Store) -> Sequence[Gauge]:
    """Return what telemetry reports about budgets: limits, and amounts spent, reserved, estimated and unknown.

    Telemetry does not name users and tenants, so only the sum over all their accounts is reported. An account whose
    window is over counts as unspent in the current window.
    """
    accounts = await Ledger(store).accounts() if budgets else ()
    found: list[Gauge] = []
    for budget in budgets:
        present = {each.key: each for each in _accounts_in_window(budget, accounts)}
        groups: list[tuple[Mapping[str, str], Sequence[AccountLeft]]] = [({}, [*present.values()])]
        if budget.by in ("agent", "graph"):
            keys = {each.key for each in accounts if each.budget == budget.name}
            groups = [({_KEY: key}, [present[key]] if key in present else []) for key in sorted(keys)]
        for of, group in groups:
            found += _gauges_of_group(budget, {_BUDGET: budget.name, **of}, group)
    return found


def _gauges_of_group(budget: Budget, of: Mapping[str, str], group: Sequence[AccountLeft]) -> Iterator[Gauge]:
    for name, limit in budget.limits.items():
        amount = {**of, _AMOUNT: name}
        yield Gauge("graphengine.budget.limit", "1", "The limit of each account.", limit, amount)
        spent = sum(each.spent[name] for each in group)
        yield Gauge("graphengine.budget.spent", "1", "What was spent, estimates included.", spent, amount)
        estimated = sum(each.estimated.get(name, 0.0) for each in group)
        yield Gauge("graphengine.budget.estimated", "1", "How much of that is an estimate.", estimated, amount)
        held = sum(each.in_flight[name] or 0.0 for each in group)
        yield Gauge("graphengine.budget.reserved", "1", "What calls in flight may take, if known.", held, amount)
    calls = sum(each.calls_in_flight for each in group)
    yield Gauge("graphengine.budget.calls_in_flight", "{call}", "Calls with a reservation.", calls, of)
    unknown = sum(each.unknown_calls for each in group)
    yield Gauge("graphengine.budget.unknown_calls", "{call}", "Calls that may have cost more.", unknown, of)


def table_of(left: BudgetsLeft) -> Table:
    """Format budgets as a table for people, with a row for each limit of each account.

    A budget without any spending has one row for each of its limits.
    """
    rows = [row for each in left.budgets for row in _rows_of_accounts(each.budget, each.accounts)]
    return Table("Budgets", ("budget", "of", "spent", "in flight", "estimated", "until (UTC)", "then"), rows)


def headline_of(left: BudgetsLeft, now: float) -> str:
    """Return a sentence about the spending on the first budget that limits the cost of all runs.

    The sentence contains the amount spent, and the amount that will be spent at the end of the window at the same rate.
    The result is "" if no budget limits the cost of all runs.
    """
    for each in left.budgets:
        limit = each.budget.limits.get("cost_usd")
        for account in each.accounts if each.budget.by == "all" and limit is not None else ():
            whole = account.end - account.begin
            spent, share = account.spent["cost_usd"], (now - account.begin) / whole
            text = f"{words_of('cost_usd', spent, limit or 0.0)} of the budget {each.budget.name}"
            if share < _EARLY:
                return text
            return f"{text}, about {words_of('cost_usd', spent / share)} by the end of the {each.budget.window}"
    return ""


def _rows_of_accounts(budget: Budget, accounts: Sequence[AccountLeft]) -> Sequence[Sequence[str]]:
    def row(of: str, name: AmountName, account: AccountLeft) -> Sequence[str]:
        until = when(account.end, UTC, "%Y-%m-%d %H:%M")
        held = account.in_flight[name]
        flying = "unknown" if held is None else words_of(name, held) if held else ""
        spent = words_of(name, account.spent[name], budget.limits[name])
        return budget.name, of, spent, flying, _words_of_estimate(account, name), until, budget.over

    if not accounts:
        begin, end = window_of(budget.window, time.time())
        nothing = dict.fromkeys(budget.limits, 0.0)
        empty = AccountLeft(key="", begin=begin, end=end, spent=nothing, in_flight=nothing, calls_in_flight=0)
        return [row(budget.by, name, empty) for name in budget.limits]
    none = "all" if budget.by == "all" else f"(no {budget.by})"
    return [row(each.key or none, name, each) for each in accounts for name in budget.limits]


def _words_of_estimate(account: AccountLeft, name: AmountName) -> str:
    """Format how much of a spent amount is only estimated, such as "$0.0100, 2 unknown calls".

    The result is "" if nothing is estimated and no call is unknown.
    """
    amount, unknown = account.estimated.get(name, 0.0), account.unknown_calls
    texts = [words_of(name, amount)] if amount else []
    if unknown:
        texts.append(f"{unknown} unknown call{'' if unknown == 1 else 's'}")
    return ", ".join(texts)


def _accounts_in_window(budget: Budget, accounts: Sequence[Account]) -> Sequence[AccountLeft]:
    begin, end = window_of(budget.window, time.time())
    found = []
    for account in accounts:
        if account.budget == budget.name and account.begin >= begin:
            held: dict[AmountName, float] = {name: account.in_flight(name) for name in budget.limits}
            bounded: dict[AmountName, float | None] = {
                n: None if amount == inf else amount for n, amount in held.items()
            }
            found.append(
                AccountLeft(
                    key=account.key,
                    begin=begin,
                    end=end,
                    spent={name: account.spent[name] for name in budget.limits},
                    in_flight=bounded,
                    calls_in_flight=account.calls_in_flight,
                    estimated={name: each for name, each in account.estimated.items() if name in budget.limits},
                    unknown_calls=account.unknown_calls,
                )
            )
    return found


__all__ = ["AccountLeft", "BudgetLeft", "BudgetsLeft", "gauges_of", "headline_of", "left_of", "table_of"]
