"""The async shell around the engine: it runs tasks, records steps, and returns results."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
