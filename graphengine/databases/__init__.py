"""Stores of runs in databases: SQLite and PostgreSQL, and what they share."""
