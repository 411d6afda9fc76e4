"""The names for packages that only read what has happened in runs. See `graphengine.kernel`.

A reader loads a snapshot or folds steps. It also meets records of older versions and other deployments, and shows them
as they were. It decides and writes nothing.
"""

from graphengine.kernel.pages import page_at

__getattr__, __dir__ = page_at(__name__, __file__)
