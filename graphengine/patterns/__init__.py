"""Patterns: functions that return a Graph built from the given runnables.

Each is a page of graph building. Their runs stream, resume, branch, and are limited, priced and drawn like any other.
No file has the name of its pattern, so that `graphengine.patterns.pipeline` is always the function and never a module.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
