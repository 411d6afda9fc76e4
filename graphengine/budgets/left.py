"""What budgets have left: the document of `graphengine budgets`, which the inspector shows too."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence  # noqa: TC003 - what a document has is read at run time
from math import inf
from typing import TYPE_CHECKING, Final

from graphengine.budgets.ledger import Account, AmountName, Budget, Ledger, window_of
from graphengine.records.step_document import Document, Part
from graphengine.wings import Kind

if TYPE_CHECKING:
    from graphengine.kernel import Store


class AccountLeft(Part):
    """What was spent of a budget in its present window.

    Attributes:
        key: Whose account it is; "" for all, and for runs without such a key.
        begin: When the window began, epoch seconds.
        end: When it ends.
        spent: What was spent, by the names of limits.
        in_flight: What calls that are in flight or were cut off may take, by the names of limits; null if not known.
        calls_in_flight: How many calls these are.
    """

    key: str
    begin: float
    end: float
    spent: Mapping[AmountName, float]
    in_flight: Mapping[AmountName, float | None]
    calls_in_flight: int


class BudgetLeft(Part):
    """A budget.

    Attributes:
        budget: The budget.
        accounts: What was spent of it, by key; those of earlier windows are left out.
    """

    budget: Budget
    accounts: Sequence[AccountLeft]


class BudgetsLeft(Document):
    """The budgets of a project.

    Attributes:
        budgets: The budgets, as the settings list them.
    """

    budgets: Sequence[BudgetLeft]


DOCUMENTS: Final = (Kind(BudgetsLeft),)
"""What `graphengine budgets` writes."""


async def left_of(budgets: Sequence[Budget], store: Store) -> BudgetsLeft:
    """Return what budgets have left in a store, which is read only if there are any."""
    accounts = await Ledger(store).accounts() if budgets else ()
    return BudgetsLeft(budgets=[BudgetLeft(budget=each, accounts=_left(each, accounts)) for each in budgets])


def _left(budget: Budget, accounts: Sequence[Account]) -> Sequence[AccountLeft]:
    """Return the accounts of a budget in the present window."""
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
                )
            )
    return found


__all__ = ["AccountLeft", "BudgetLeft", "BudgetsLeft", "left_of"]
