"""Tools for tests of nodes and graphs, and of stores and models that implement the protocols."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
