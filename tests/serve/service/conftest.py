from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from graphengine.serve.callers import Caller, acting
from tests.serve.service.client import FLOWS, Service

Services: TypeAlias = Callable[..., Service]


@pytest.fixture(autouse=True)
def whoever() -> Iterator[None]:
    """Let tests call what a guard is before, as whoever has the token."""
    with acting(Caller("")):
        yield


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A database of each kind."""
    return request.getfixturevalue("postgres") if request.param == "postgres" else tmp_path / "runs.db"


@pytest.fixture
def services() -> Iterator[Services]:
    """Start servers with a door beside that of HTTP, unless it is ""; they are killed at the end."""
    found: list[Service] = []

    def start(door: str, database: Any, *words: str, graphs: str = FLOWS, **env: str) -> Service:
        found.append(Service(database, *([door] if door else []), *words, graphs=graphs, **env))
        return found[-1]

    yield start
    for each in found:
        each.process.kill()
        each.process.communicate()
