"""The clock that tests pass to a Runner, under its documented name; it is the core's, whose tests use it too."""

from graphengine.kernel.inside import FakeClock

__all__ = ["FakeClock"]
