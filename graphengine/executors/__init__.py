"""Executors for heavy nodes: child processes whose work can be ended, and tasks of a Ray cluster.

graph.add_node("embed", embed, writes="vectors", on="gpu")
Runner("runs.db", executors={"gpu": RayExecutor(num_gpus=1)})
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
