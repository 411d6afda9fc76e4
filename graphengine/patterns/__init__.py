"""Patterns: functions that build common multi-agent graphs from the functions, agents and graphs that you pass.

Each pattern is about a page of graph building. Its runs stream, resume, branch, and are limited, priced and drawn like
the runs of any other graph.

No file has the name of its pattern, so that `graphengine.patterns.pipeline` is always the function and never a module.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
