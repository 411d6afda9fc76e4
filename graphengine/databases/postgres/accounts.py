"""The accounts of budgets in PostgreSQL."""

from __future__ import annotations

from typing import Final

from graphengine.databases.accounts import Accounts
from graphengine.databases.postgres.queries import rows_of
from graphengine.databases.statements import Statements, named

ACCOUNTS: Final = Accounts(Statements(rows_of, named(__name__, "accounts.sql")))

__all__ = ["ACCOUNTS"]
