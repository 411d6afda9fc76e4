"""The statements that erase a person's data in PostgreSQL, except runs and memories, which methods erase."""

from __future__ import annotations

from typing import Final

from graphengine.databases.postgres.queries import rows_of
from graphengine.databases.statements import Statements, named

STATEMENTS: Final = Statements(rows_of, named(__name__, "erasure.sql"))
