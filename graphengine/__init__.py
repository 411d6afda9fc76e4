"""graphengine: a state-machine graph engine for agent workflows.

Define a typed state and a graph of nodes, run it, resume it after any crash, branch it from any step, draw it, and
test its nodes in isolation. Names are loaded on first use, so that importing the package stays cheap.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)

__version__ = "0.1.0"
