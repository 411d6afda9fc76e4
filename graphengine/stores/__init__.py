"""Storage of runs: the `Store` protocol, what all stores share, and the store in memory.

A store keeps the log of each run, which is a list of steps, and one row of facts about the run (`RunInfo`). These words
are used in all stores:

- An owner is a process that has the store open for writing. Its lease is the time for which it counts as alive; it
  renews the lease while it lives.
- The driver of a run is the owner that executes the run's nodes. A process becomes the driver when it claims the run.
- A fence is a number that grows with each claim of a run. The store accepts steps only with the current fence, so that
  a former driver cannot write any more.
- A branch is a run that shares the first steps of another run, its parent. A child run is started by a node of another
  run.
- A nonce is a random text that tells a run apart from a later run with the same id.

`base.py` contains the protocol and its types. `memory.py` is the simplest store and shows what each method does.
"""
