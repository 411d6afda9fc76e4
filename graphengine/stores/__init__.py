"""Storage of runs: the `Store` protocol and its two implementations, memory and SQLite."""
