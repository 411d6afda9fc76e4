"""Models, which answer agents' prompts: the `Model` protocol and its implementations, each loaded on first use."""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
