"""Storage of runs: the `Store` protocol, what every store shares, and the store in memory."""
