"""The store's tier: what stores are given, return and refuse. See `graphengine.kernel`.

A store keeps steps in their order and makes them durable; what they mean is the engine's part, except for the summary
of a run, which is made from its snapshot. `graphengine.kernel.testing` has the suite that any store must pass.
"""

from graphengine.kernel.pages import page_at

__getattr__, __dir__ = page_at(__name__, __file__)
