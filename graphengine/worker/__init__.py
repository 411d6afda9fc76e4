"""Workers: they take the runs of queues, and start those of schedules. Here are the names that programs use."""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
