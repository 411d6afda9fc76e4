"""Runs in a SQLite file: `SQLiteStore`."""

from graphengine.stores.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
