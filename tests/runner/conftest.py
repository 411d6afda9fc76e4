"""A runner over each store, and a clock that tests turn."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from graphengine import Runner


@pytest.fixture(params=["memory", "sqlite"])
async def runner(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Runner]:
    """A Runner over memory, then over SQLite."""
    async with Runner(None if request.param == "memory" else tmp_path / "runs.db") as made:
        yield made
