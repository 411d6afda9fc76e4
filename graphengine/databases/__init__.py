"""Stores of runs in databases: SQLite and PostgreSQL, and what they share.

`sql.py` contains the base class `SQLStore`. The modules beside it contain what both databases use: leases, checksums,
long texts, the check of a run, and the tables of budgets and memories. The packages `sqlite` and `postgres` contain one
store each, with its reads, writes and SQL. The module of each store suggests an order in which to read its package.

The words owner, lease, driver, fence and nonce are explained in `graphengine.stores`.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
