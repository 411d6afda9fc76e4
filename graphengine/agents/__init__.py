"""Agents: nodes that call a model, with tools, guards and a window on a long conversation."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
