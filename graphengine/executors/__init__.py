"""Executors for heavy nodes: child processes whose work can be ended, and tasks of a Ray cluster.

A node's time counts from when the child has loaded the call. An async function runs in an event loop of its own, and an
exception is recorded as in place. A node that is no longer wanted is ended where a timeout could end it. Any other
`concurrent.futures.Executor` runs importable functions too: its `BrokenExecutor` is `worker_died`, and an executor that
a function made is then made again. What an engine of yours needs is `NodeExecutor`.

graph.add_node("embed", embed, writes="vectors", on="gpu")
Runner("runs.db", executors={"gpu": RayExecutor(num_gpus=1)})
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
