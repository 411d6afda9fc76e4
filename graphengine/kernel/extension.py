"""The names for packages that act in runs, check graphs, or make graphs. See `graphengine.kernel`.

An extension overrides the methods for the moments of a run in which it takes part. It records what it did in the run's
own log, and reads there what it needs to know of the past.
"""

from graphengine.kernel.pages import page_at

__getattr__, __dir__ = page_at(__name__, __file__)
