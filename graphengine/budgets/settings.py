"""Budgets in a project's settings: `[[tool.graphengine.budgets]]`, and the table that the inspector shows of them."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from graphengine.budgets.ledger import Budget
from graphengine.budgets.left import headline_of, left_of, table_of
from graphengine.budgets.shared import Budgets
from graphengine.kernel.extension import did_you_mean
from graphengine.wings import ProjectBroken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.kernel.store import Store
    from graphengine.wings import Settings, Table


def budgets_in(settings: Settings) -> Sequence[Budget]:
    """Read the budgets that a project's settings define.

    Raises:
        ProjectBroken: The settings are not a list of tables, or one table has a key that a budget does not have.
        DefinitionError: A budget is invalid.
    """
    found, known = settings.table, [each.name for each in fields(Budget)]
    if found is None:
        return ()
    if not (isinstance(found, list) and all(isinstance(each, dict) for each in found)):
        repair = (
            'write the line [[tool.graphengine.budgets]], and below it name = "day" and a limit, such as cost_usd = 20'
        )
        raise ProjectBroken(
            f"the setting budgets is {found!r}, but it must be a list of tables", where=settings.place, repair=repair
        )
    for name in (name for each in found for name in each if name not in known):
        message = f"a table [[tool.graphengine.budgets]] contains the unknown setting {name!r}"
        raise ProjectBroken(message, where=settings.place, repair=did_you_mean(name, known))
    return [Budget(**{"name": "", **each}) for each in found]


def extension(settings: Settings) -> Budgets | None:
    """Return the extension of the Runner that applies a project's budgets; None if the project has no budgets.

    Raises:
        ProjectBroken: The settings are not a list of tables, or one table has a key that a budget does not have.
        DefinitionError: A budget is invalid.
    """
    budgets = budgets_in(settings)
    return Budgets(*budgets) if budgets else None


async def tables(store: Store, settings: Settings, tenant: str | None) -> Sequence[Table]:
    """Return the table of a project's budgets, which the page of `graphengine inspect` shows.

    A caller who belongs to a tenant sees only budgets by tenant, and in these only the account of that tenant.

    Raises:
        ProjectBroken: The settings cannot be used.
    """
    given = [each for each in budgets_in(settings) if tenant is None or each.by == "tenant"]
    left = await left_of(given, store)
    if tenant is not None:
        for each in left.budgets:
            each.accounts = [account for account in each.accounts if account.key == tenant]
    return [replace(table_of(left), spent=headline_of(left, time.time()))] if given else ()


__all__ = ["budgets_in", "extension", "tables"]
