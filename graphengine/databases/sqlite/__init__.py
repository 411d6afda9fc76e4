"""Runs in a SQLite file: `SQLiteStore`."""

from graphengine.databases.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
