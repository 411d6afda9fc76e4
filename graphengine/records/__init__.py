"""What is recorded, for people and programs: lists, documents, exports, replays, comparisons, and removal."""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
