from collections.abc import Iterator

import pytest

from graphengine.serve.callers import Caller, acting


@pytest.fixture(autouse=True)
def whoever() -> Iterator[None]:
    """Let tests call what a guard is before, as whoever has the token."""
    with acting(Caller("")):
        yield
