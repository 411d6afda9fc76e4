"""Runners over each store."""

from tests.kit.over_stores import clock, database, fresh, pytest_generate_tests, runner, timed

__all__ = ["clock", "database", "fresh", "pytest_generate_tests", "runner", "timed"]
