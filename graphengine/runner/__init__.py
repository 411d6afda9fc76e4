"""The asyncio shell around the engine: it starts nodes, records steps, and returns results.

The engine (`graphengine.engine`) decides what happens, without input or output. This package does the rest: it runs the
code of nodes, appends the decided steps to a store, waits for messages and times, and tells callers and watchers what
happened.

The main types, from the outside to the inside:

- `Runner` (runner.py): starts, resumes, branches and stops runs over one store.
- `Run` (run.py): the handle on a run, and `Result` (result.py): the result of a run.
- `Life` (life.py): a run while it is active in this process. It has the claim on the run (`engine.claim`).
- `Driving` (driving.py): the loop that drives a run, which starts nodes and records steps.
- `Attempt` (attempt.py): an attempt of a node, with the `Context` (context.py) that the code of the node gets.
- `StepJournal` (recorded_work.py): the calls, answers and other work that a node has recorded.
- `Shared` (shared.py): the objects that all runs of a Runner share: the store, the clock, threads, resources.

Words that the modules use:

- drive: run the nodes of a run and record what they did. Only one process at a time drives a run.
- claim: the right of one process to drive a run, which a lease in the database protects.
- open: claim a run and record the first step of this process for it: its start, a resume or a branch (opening.py).
- active: opened, driven or asleep in this process.
- asleep, parked: the states of a run that waits; see `engine.claim`.
- release: give up the claim without ending the run, so that another process can drive it.
- plan: a compiled graph. The graph spec is its declaration as JSON, and the fingerprint is a digest of the spec.
- visit: one time that a run comes to a node. A visit consists of attempts: the first one, and retries.
- frame: a place in a run where something happens: the run itself, a subgraph, an arm of a fork or an item of a map.
- recorded work: results that a node has recorded before its visit ends, such as the results of `ctx.call`. When the
  node runs again after a wait or a crash, it gets them from the journal of the visit instead of doing the work again.
- effect: an action outside the run, such as a payment, that a node declares with `effect=`.
- earlier code: the code of a node before a deployment changed it, while the run waited.
- suspended: an attempt that waits in memory, because its wait will soon be over. Other attempts end when they wait.
- watcher: a reader of the events of a run. The audience of a run consists of its watchers.
- extension: code that follows runs and adds to them, for example budgets or telemetry (extensions.py).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
