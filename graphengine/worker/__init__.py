"""Workers: they take the runs of queues, and start those of schedules. Here are the names that programs use."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
