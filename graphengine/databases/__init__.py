"""Stores of runs in databases: SQLite and PostgreSQL, and what they share."""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
