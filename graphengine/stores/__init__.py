"""Storage of runs: the `Store` protocol, and its implementations in memory, SQLite and PostgreSQL."""
