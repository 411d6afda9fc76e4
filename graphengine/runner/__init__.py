"""The asyncio shell around the engine: it starts tasks, records steps, and returns results.

The engine (`graphengine.engine`) decides what happens, without input or output. This package does the rest: it runs the
code of nodes, appends the decided steps to a store, waits for messages and times, and tells callers and watchers what
happened.

The main types, from the outside to the inside:

- `Runner` (runner.py): starts, resumes, branches and stops runs over one store.
- `Run` (run.py): the handle on a run, and `Result` (result.py): the result of a run.
- `Life` (life.py): a run in this process, from its opening to its end. It has the claim on the run (`engine.claim`).
- `Driving` (driving.py): the loop that drives a run while it moves.
- `Attempt` (attempt.py): an attempt of a node, with the `Context` (context.py) that the code of the node gets.
- `Shared` (shared.py): the objects that all runs of a Runner share: the store, the clock, threads, resources.

Words that the modules use:

- drive: run the nodes of a run and record what they did. Only one process at a time drives a run.
- open: claim a run and record the first step of this process for it: its start, a resume or a branch (opening.py).
- asleep, parked: the states of a run that waits; see `engine.claim`.
- recorded work: results that a node has recorded before its visit ends. The journal of a visit (recorded_work.py) finds
  the results again.
- watcher: a reader of the events of a run. The audience of a run consists of its watchers.
- extension: code that follows runs and adds to them, for example budgets or telemetry (extensions.py).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
