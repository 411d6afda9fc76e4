"""A runner over each store, and one on a fake clock."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from graphengine import Runner
from graphengine.testing import FakeClock

STORES = ["memory", "sqlite", "postgres"]


def place_of(request: pytest.FixtureRequest, file: Path) -> Path | str | None:
    """Return where the runs of a test are stored: the parameter of a fixture is the kind of store."""
    if request.param == "postgres":
        address: str = request.getfixturevalue("postgres")
        return address
    return None if request.param == "memory" else file


@pytest.fixture(params=STORES[1:])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Return where runs are stored that other Runners read too: a file, then a schema of PostgreSQL."""
    return place_of(request, tmp_path / "runs.db") or ""


@pytest.fixture(params=STORES)
async def runner(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Runner]:
    """Yield a Runner over each store."""
    async with Runner(place_of(request, tmp_path / "runs.db")) as made:
        yield made


@pytest.fixture
def clock() -> FakeClock:
    """Return the clock of the timed runner."""
    return FakeClock(start=1000.0)


@pytest.fixture(params=STORES)
async def timed(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Runner]:
    """Yield a Runner on a fake clock, over each store."""
    async with Runner(place_of(request, tmp_path / "timed.db"), clock=clock) as made:
        yield made
