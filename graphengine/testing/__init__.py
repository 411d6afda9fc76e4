"""Tools for tests: of nodes and graphs, and of stores and models that keep to our protocols."""

from graphengine.testing.clock import FakeClock
from graphengine.testing.replays import replay

__all__ = ["FakeClock", "replay"]
