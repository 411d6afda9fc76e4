"""The clock that tests pass to a Runner, under its documented name. The engine's own tests use the same class."""

from graphengine.kernel.inside import FakeClock

__all__ = ["FakeClock"]
