"""What is recorded, for people and programs: lists, documents, exports, replays, comparisons, and removal."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
