"""`graphengine budgets`: what the budgets across runs have left in their present windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.cli import options

if TYPE_CHECKING:
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
    or its run was stopped, is no longer in flight: its question counts as spent.
    """
    from graphengine.budgets.left import BudgetsLeft, left_of, table_of
    from graphengine.budgets.settings import budgets_in

    given = budgets_in(context.settings("budgets"))
    found = context.read(lambda store: left_of(given, store)) if given else BudgetsLeft(budgets=[])
    if context.json:
        context.document(found)
    elif not given:
        context.err.line("the project has no budgets; [[tool.graphengine.budgets]] in pyproject.toml sets them")
    else:
        table = table_of(found)
        context.out.table(table.columns, table.rows, expendable=("then",))
    return 0
