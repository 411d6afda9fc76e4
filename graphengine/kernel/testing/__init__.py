"""The conformance suite of stores: each requirement of the `Store` protocol as a test for any store.

Subclass `StoreConformance` in a test module of yours, define how an empty store is made, and let pytest collect the
subclass. Provisional: a later version can ask more of a store.
"""

from graphengine.kernel.testing.stores import StoreConformance

__all__ = ["StoreConformance"]
