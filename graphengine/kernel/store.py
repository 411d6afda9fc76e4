"""The names for packages with a store: what a store receives, returns and raises. See `graphengine.kernel`.

A store keeps steps in their order and makes them durable. Only the engine knows their meaning; the summary of a run,
for instance, is made from its snapshot. `graphengine.kernel.testing` contains the tests that every store must pass.
"""

from graphengine.kernel.pages import page_at

__getattr__, __dir__ = page_at(__name__, __file__)
