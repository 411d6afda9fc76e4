"""Agents: nodes that call a model, with tools, guards and a window on a long conversation."""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
