"""Executors for heavy nodes: child processes whose work can be ended, and tasks of a Ray cluster.

graph.add_node("embed", embed, writes="vectors", on="gpu")
Runner("runs.db", executors={"gpu": RayExecutor(num_gpus=1)})

A *heavy* node is a node with `on=`: its function runs in another process. The main types:

- `ProcessExecutor` (in `processes.py`) runs nodes in child processes of this machine.
- `RayExecutor` (in `ray_tasks.py`) runs nodes as tasks of a Ray cluster. `ray_driver.py` is the child process that is
  connected to the cluster.
- `NodeExecutor` (in `base.py`) is the base class for an executor of your own.
- Any other `concurrent.futures.Executor` can be used for functions that can be imported. If it raises `BrokenExecutor`,
  the node's attempt fails as `worker_died`. If a function made the executor, the function is called again to replace
  the broken executor.
- `ExecutorsByName` (in `of_runner.py`) holds the executors of one Runner. `calls.py` turns calls into bytes.

Rules for all executors of this package: the timeout of a node counts from the time when the other process has loaded
the call. An async function runs in its own event loop. An exception is recorded as if the node had run in the Runner's
process. If a node is no longer wanted, its work is ended in the same way as at a timeout.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
