"""Read recorded runs from a store: snapshots, waits, usage, published values, and changes of followed runs.

This package contains the readers that the runner itself needs. `graphengine.records` builds lists, stories and
comparisons on top of them. Nothing here advances a run.

- `load` loads the snapshot of a run after a step, and describes its waits as `Wait`.
- `changes` follows runs that other processes drive, with one loop for each store.
- `reasons` finds out why steps took their edges. `ended_questions` finds out how a question ended.
- `published`, `refused`, `map_progress` and `usage` describe published values, refused messages, the progress of maps
  and the usage of models.
- `begun` compares the state with which a run began with the state of another start.
- `event_of_step` reconstructs the event from which a step was decided, for replays.

Words that this package uses in its own sense:

- An answer is *posted* when it is in the inbox of a run and no process has taken it up yet.
- A *row* is the entry of a run in the store's table of runs, with its status and its last step.
- A run *lives* in a process that drives the run.
"""
