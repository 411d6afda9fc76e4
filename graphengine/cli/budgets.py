"""`graphengine budgets`: what the budgets across runs have left in their present windows."""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING

from graphengine.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.budgets.ledger import Account, AmountName, Budget
    from graphengine.cli.context import CommandContext
    from graphengine.cli.documents import AccountLeft
    from graphengine.stores.base import Store


@options.command(
    "budgets",
    options.DATABASE,
    examples="""
        graphengine budgets
        graphengine budgets --json
    """,
)
def budgets(context: CommandContext) -> int:
    """Show what was spent of each budget across runs, and what calls in flight may take.

    Budgets are settings of the project, [[tool.graphengine.budgets]]. A call that was cut off, since its process died
    or its run was stopped, counts as in flight until its run makes it again, or the window ends.
    """
    from graphengine.budgets.ledger import Ledger
    from graphengine.cli.documents import BudgetLeft, BudgetsLeft
    from graphengine.cli.project import budgets_of

    async def kept(store: Store) -> Sequence[Account]:
        return await Ledger(store).accounts()

    given = budgets_of()
    accounts = context.read(kept) if given else ()
    found = [BudgetLeft(budget=each, accounts=_left(each, accounts)) for each in given]
    if context.json:
        context.document(BudgetsLeft(budgets=found))
    elif not found:
        context.err.line("the project has no budgets; [[tool.graphengine.budgets]] in pyproject.toml sets them")
    else:
        rows = [row for each in found for row in _rows(each.budget, each.accounts)]
        context.out.table(("budget", "of", "spent", "in flight", "until (UTC)", "then"), rows, expendable=("then",))
    return 0


def _left(budget: Budget, accounts: Sequence[Account]) -> Sequence[AccountLeft]:
    """Return the accounts of a budget in the present window."""
    from graphengine.budgets.ledger import window_of
    from graphengine.cli.documents import AccountLeft

    begin, end = window_of(budget.window, time.time())
    found = []
    for account in accounts:
        if account.budget == budget.name and account.begin >= begin:
            held: dict[AmountName, float] = {
                name: sum(each.get(name, inf) for each in account.in_flight.values()) for name in budget.limits
            }
            known: dict[AmountName, float | None] = {n: None if amount == inf else amount for n, amount in held.items()}
            found.append(
                AccountLeft(
                    key=account.key,
                    begin=begin,
                    end=end,
                    spent={name: account.spent.get(name, 0) for name in budget.limits},
                    in_flight=known,
                    calls_in_flight=len(account.in_flight),
                )
            )
    return found


def _rows(budget: Budget, accounts: Sequence[AccountLeft]) -> Sequence[Sequence[str]]:
    """Return a line for each limit of each account, or for each limit of a budget of which nothing was spent."""
    from graphengine.budgets.ledger import window_of, words_of

    def row(of: str, name: AmountName, spent: float, held: float | None, end: float) -> Sequence[str]:
        until = time.strftime("%Y-%m-%d %H:%M", time.gmtime(end))
        flying = "unknown" if held is None else words_of(name, held) if held else ""
        return budget.name, of, words_of(name, spent, budget.limits[name]), flying, until, budget.over

    if not accounts:
        end = window_of(budget.window, time.time())[1]
        return [row(budget.by, name, 0, 0, end) for name in budget.limits]
    none = "all" if budget.by == "all" else f"(no {budget.by})"
    return [
        row(each.key or none, name, each.spent[name], each.in_flight[name], each.end)
        for each in accounts
        for name in budget.limits
    ]
