"""The reader's tier: what has happened in runs, for what only reads. See `graphengine.kernel`.

A reader loads a snapshot or folds steps, and meets records of older versions and other deployments: it shows them as
they were. It decides nothing, and writes nothing.
"""

from graphengine.kernel.pages import page_at

__getattr__, __dir__ = page_at(__name__, __file__)
