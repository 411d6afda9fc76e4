"""Tools for tests of nodes and graphs."""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
