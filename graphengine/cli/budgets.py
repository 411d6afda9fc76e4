"""`graphengine budgets`: what the budgets across runs have left in their present windows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from graphengine.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.budgets.ledger import AmountName, Budget
    from graphengine.budgets.left import AccountLeft
    from graphengine.cli.context import CommandContext


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
    from graphengine.budgets.left import BudgetsLeft, left_of
    from graphengine.budgets.settings import budgets_in

    given = budgets_in(context.settings("budgets"))
    found = context.read(lambda store: left_of(given, store)) if given else BudgetsLeft(budgets=[])
    if context.json:
        context.document(found)
    elif not given:
        context.err.line("the project has no budgets; [[tool.graphengine.budgets]] in pyproject.toml sets them")
    else:
        rows = [row for each in found.budgets for row in _rows(each.budget, each.accounts)]
        context.out.table(("budget", "of", "spent", "in flight", "until (UTC)", "then"), rows, expendable=("then",))
    return 0


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
