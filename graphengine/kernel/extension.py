"""The extension's tier: what acts in runs, checks graphs, or makes them. See `graphengine.kernel`.

An extension is told of each moment of a run that it overrides, and records what it did in the run's own log; what it
needs of the past it reads there.
"""

from graphengine.kernel.pages import page_at

__getattr__, __dir__ = page_at(__name__, __file__)
