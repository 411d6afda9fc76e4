"""The databases of the tests that kill processes."""

from pathlib import Path

import pytest


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A file, then a schema of PostgreSQL."""
    address: str = str(tmp_path / "runs.db") if request.param == "sqlite" else request.getfixturevalue("postgres")
    return address
