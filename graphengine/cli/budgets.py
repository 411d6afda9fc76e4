"""`graphengine budgets`: what was spent of the budgets across runs in their current windows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from graphengine.cli import options
from graphengine.cli.terminal import text_columns
from graphengine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.budgets.ledger import AmountName, Budget
    from graphengine.cli.context import CommandContext


@options.command(
    "budgets",
    options.DATABASE,
    examples="""
        graphengine budgets
        graphengine budgets --json
    """,
)
@click.option(
    "--correct",
    metavar="BUDGET",
    help="Set what was spent of this budget in its present window. Give the amounts with --cost-usd, --tokens "
    "and --calls.",
)
@click.option(
    "--key",
    default="",
    help="With --correct: the account to correct, such as a tenant. By default, the account of all runs, or of runs "
    "without a key.",
)
@click.option("--cost-usd", type=click.FloatRange(min=0), help="With --correct: the spent US dollars.")
@click.option(
    "--tokens", type=click.IntRange(min=0), help="With --correct: the spent tokens, of questions and answers together."
)
@click.option("--calls", type=click.IntRange(min=0), help="With --correct: the number of model calls.")
def budgets(  # noqa: PLR0913 - options
    context: CommandContext,
    /,
    *,
    correct: str | None,
    key: str,
    cost_usd: float | None,
    tokens: int | None,
    calls: int | None,
) -> int:
    """Show what was spent of each budget across runs, and what calls in flight may take.

    Budgets are settings of the project, in [[tool.graphengine.budgets]].

    If a process dies during a model call, or the run is stopped, nobody reports what the call cost. The budget then
    counts an estimate as spent, which covers the question and the part of the answer that was streamed. The call may
    have cost more. To correct the amounts of a budget, for example after an invoice, use --correct.
    """
    from graphengine.budgets.left import BudgetsLeft, left_of, table_of
    from graphengine.budgets.settings import budgets_in

    configured = budgets_in(context.settings("budgets"))
    amounts: dict[AmountName, float | None] = {"cost_usd": cost_usd, "tokens": tokens, "calls": calls}
    spent: dict[AmountName, float] = {name: amount for name, amount in amounts.items() if amount is not None}
    if bool(spent) != (correct is not None):
        raise click.UsageError("a correction needs a budget and an amount, as in --correct BUDGET --cost-usd 12.50")
    if correct is not None:
        _correct_account(context, configured, correct, key, spent)
    left = context.read(lambda store: left_of(configured, store)) if configured else BudgetsLeft(budgets=[])
    table = table_of(left)
    no_budget = "the project has no budgets; tables [[tool.graphengine.budgets]] in pyproject.toml define budgets"
    return context.show_rows(left, text_columns(table.columns, "then", "estimated"), table.rows, no_budget)


def _correct_account(
    context: CommandContext, configured: Sequence[Budget], name: str, key: str, spent: dict[AmountName, float]
) -> None:
    """Set the amounts that count as spent from one account of a budget, for example after an invoice has arrived.

    Raises:
        InputError: The project has no such budget, or the budget has no such account in its current window.
    """
    from graphengine.budgets.ledger import Ledger, Place, window_of

    budget = next((each for each in configured if each.name == name), None)
    if budget is None:
        names = ", ".join(repr(each.name) for each in configured)
        repair = f"choose one of the project's budgets: {names}" if names else "define the budget in pyproject.toml"
        raise InputError(f"the project has no budget {name!r}", where="--correct", repair=repair)
    context.use(writes=True)
    place = Place(budget, key, window_of(budget.window, time.time())[0])
    if not context.read(lambda store: Ledger(store).correct(place, spent)):
        text = f"the budget {name!r} has no account with the key {key!r} in the present window"
        raise InputError(text, where="--key", repair="list the accounts with `graphengine budgets`, and choose a key")
