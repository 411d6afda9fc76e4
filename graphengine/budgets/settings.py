"""Budgets as settings of a project: `[[tool.graphengine.budgets]]`."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from graphengine.budgets.ledger import Budget
from graphengine.budgets.shared import Budgets
from graphengine.kernel.extension import did_you_mean
from graphengine.wings import ProjectBroken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.wings import Settings


def budgets_in(settings: Settings) -> Sequence[Budget]:
    """Return the budgets of a project.

    Raises:
        ProjectBroken: The settings are not a list of tables, or one has a key that a budget lacks.
        DefinitionError: A budget is invalid.
    """
    found, known = settings.table, [each.name for each in fields(Budget)]
    if found is None:
        return ()
    if not (isinstance(found, list) and all(isinstance(each, dict) for each in found)):
        repair = 'write [[tool.graphengine.budgets]] and below it name = "day" and a limit, such as cost_usd = 20'
        raise ProjectBroken(f"budgets is {found!r}, not a list of tables", where=settings.place, repair=repair)
    for name in (name for each in found for name in each if name not in known):
        message = f"a budget has {name} = …, which is not read"
        raise ProjectBroken(message, where=settings.place, repair=did_you_mean(name, known))
    return [Budget(**{"name": "", **each}) for each in found]


def extension(settings: Settings) -> Budgets | None:
    """Return what keeps to the budgets of a project; None if it has none. Raises: as `budgets_in`."""
    budgets = budgets_in(settings)
    return Budgets(*budgets) if budgets else None


__all__ = ["budgets_in", "extension"]
