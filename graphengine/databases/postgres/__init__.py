"""Runs in a PostgreSQL database: `PostgresStore`. It needs the extra `postgres`."""

from graphengine.databases.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
