"""The fixtures of tests/briefs, for the agents of the bundled workflows."""

from tests.briefs.conftest import loop_fixture, sample_loop_fixture, text_fixture

__all__ = ["loop_fixture", "sample_loop_fixture", "text_fixture"]
