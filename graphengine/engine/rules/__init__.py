"""The rules by which runs move, with one subject in each module.

Each rule receives a run and an event, and returns the step that the event becomes. `engine.machine` decides which rule
applies: `visit` (attempts of nodes and their ends), `fork` (joins), `map` (maps), `subgraph` (graphs as nodes), `wait`
(waits, answers and messages) and `run` (start, resume, stop and branch of a whole run).
"""
