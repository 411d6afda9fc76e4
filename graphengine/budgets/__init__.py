"""Budgets across runs: limits on the spending of tenants, users, agents or graphs on models in a period.

A `Budget` limits costs, tokens or calls for each hour, day or month. `Budgets` is the extension of a `Runner` that
applies the budgets in its runs. A `Ledger` keeps the accounts in the database of the runs, so the budgets apply to all
processes that use this database. `BudgetsLeft` is the document of `graphengine budgets`.

These words have a meaning of their own here:

- A *window* is the hour, the day or the month, in UTC, for which a limit applies.
- An *account* counts the spending on a budget in one window. A budget by tenant has one account for each tenant.
- The *key* of an account is the tenant, user, agent or graph to which the account belongs.
- A *place* is an account in one window, to which a call is charged.
- A *reservation* (`Hold`) is the amount of an account that a call in flight may use. When the call ends, its
  reservation is *settled*: the reservation is removed, and the amount that the call really used is spent.

The settings and the behaviour in runs are in `settings.py` and `shared.py`, the accounts in `ledger.py`, and the
documents and tables in `left.py`.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
