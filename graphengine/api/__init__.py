"""The objects that programs use first: `Graph`, `Runner`, `SyncRunner`, and the functions that open a store.

`graph.py` adds compiling, running and drawing to the core's graph. `runner.py` contains the `Runner`, which adds
agents, models, executors and telemetry to the core's Runner. `sync.py` offers the same methods without an event loop,
by means of a *portal* (`portal.py`): an event loop in a thread of its own. `places.py` opens the store for a path or an
address, `logs.py` adds the current node to log records, and `once.py` runs a graph without an explicit Runner.
"""
