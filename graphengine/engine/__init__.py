"""Decide what happens next in a run, as a pure function of the steps recorded so far and of what has just happened.

A run moves in a cycle of three functions:

1. `machine.decide(run, event)` turns an event ("node `a` has returned 5") into a step ("visit 1 of `a` is complete, it
   set `n` to 5, and the run moves to `b`"). The step is not applied yet.
2. `fold.evolve(snapshot, step)` applies a step to the snapshot of the run. The log of a run is the list of its steps,
   so that folding the log again gives the same snapshot.
3. `ready.ready(snapshot)` lists the tasks that should run now, such as the body of node `b`.

`graphengine.runner` records the steps in a store, starts the tasks, and reports their results as new events.

The main types are `Step` (steps.py: one row of the log), `Snapshot` and `Frame` (snapshot.py: the state and the
position of a run), `Event` (events.py), `Phase` (phases.py: what a frame is doing) and `Plan` (plan.py: a compiled
graph). Words that the modules use:

- frame: a token that walks through a graph. A run has one frame; each visit of a subgraph, each arm of a fork and each
  item of a map adds one.
- visit: one time that a frame is at a node, with all its attempts.
- recorded work: results that a node has recorded before its visit ends, such as the answer of a model. A later attempt
  finds them instead of repeating the calls.
- mark: what a condition remembers between visits, such as the values that a plateau has seen. A sample is one value
  that was added to a mark.
- claim: what a process has on a run while it drives the run (claim.py).
- settings of this process: which graph, which sizes and which clock apply. They are in `session.RunState`, beside the
  snapshot.

All rules that move a run are in this package. The code here does not use clocks, random numbers, files or asyncio:
times and values arrive in events.
"""
