"""Where runs are kept: the `Store` protocol and its two adapters, memory and SQLite."""
