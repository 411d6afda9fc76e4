"""Budgets across runs: what a tenant, a user, an agent or a graph may spend in an hour, a day or a month.

`shared.py` has what users write and what happens in a run, `ledger.py` what is kept in the database.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
