"""A runner over each store, and one on a fake clock."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from graphengine import Runner
from graphengine.testing import FakeClock


@pytest.fixture(params=["memory", "sqlite"])
async def runner(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Runner]:
    """Yield a Runner over memory, then over SQLite."""
    async with Runner(None if request.param == "memory" else tmp_path / "runs.db") as made:
        yield made


@pytest.fixture
def clock() -> FakeClock:
    """Return the clock of the timed runner."""
    return FakeClock(start=1000.0)


@pytest.fixture(params=["memory", "sqlite"])
async def timed(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Runner]:
    """Yield a Runner on a fake clock, over memory, then over SQLite."""
    store = None if request.param == "memory" else tmp_path / "timed.db"
    async with Runner(store, clock=clock) as made:
        yield made
