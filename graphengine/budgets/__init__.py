"""Budgets across runs: what a tenant, a user, an agent or a graph may spend in an hour, a day or a month.

`shared.py` has what users write and what happens in a run, `ledger.py` what is kept in the database.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
