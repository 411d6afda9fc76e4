"""The tests that every store must pass: one test for each requirement of the `Store` protocol.

Subclass `StoreConformance` in a test module of yours, define how an empty store is made, and let pytest collect the
subclass. Provisional: a later version can demand more of a store.
"""

from graphengine.kernel.testing.stores import StoreConformance

__all__ = ["StoreConformance"]
