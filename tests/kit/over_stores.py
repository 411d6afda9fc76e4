"""A runner over each store, and one on a fake clock: a folder of tests imports these fixtures in its `conftest.py`.

The tests of the files in `ENGINE` ask what happens in a process, whichever store keeps it: values, failures, context,
what a changed graph does. They run in memory and in a file. What a server does differently (commits, claims, reads,
branches, prunes, messages, queues, notifications) is in the other files, and in `tests/databases/test_conformance.py`.
`STORES=all` runs every test over every store.
"""

import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from graphengine import Runner
from graphengine.kernel.fake_clock import FakeClock
from graphengine.runner import life, shared
from graphengine.stores.base import Store

if TYPE_CHECKING:
    from tests.kit.postgres import PostgresServer

STORES = ["memory", "sqlite", "postgres"] if find_spec("graphengine.databases") else ["memory"]
"""The stores that are there: `make core` has no databases."""
ENGINE = frozenset(
    (
        "agents/runs/test_exits.py",
        "agents/runs/test_subgraphs.py",
        "api/test_sync.py",
        "migration/test_changed_graphs.py",
        "runner/recorded_work/test_again.py",
        "runner/recorded_work/test_calls.py",
        "runner/recorded_work/test_errors.py",
        "runner/test_causes.py",
        "runner/test_clock.py",
        "runner/test_context_variables.py",
        "runner/test_exits.py",
        "runner/test_forks.py",
        "runner/test_maps.py",
        "runner/test_sizes.py",
        "runner/test_subgraphs.py",
        "runner/waits/test_in_races.py",
        "worker/test_exits.py",
    )
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test over each store that can make a difference to it."""
    file = metafunc.definition.path.relative_to(Path(__file__).parents[1]).as_posix()
    kinds = STORES[:2] if file in ENGINE and os.environ.get("STORES") != "all" else STORES
    for name, stores in (("runner", kinds), ("timed", kinds), ("fresh", kinds), ("database", kinds[1:] or kinds)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, stores, indirect=True)


def place_of(request: pytest.FixtureRequest, file: Path) -> Path | str | None:
    """Return where the runs of a test are stored: the parameter of a fixture is the kind of store."""
    if request.param == "postgres":
        address: str = request.getfixturevalue("postgres")
        return address
    return None if request.param == "memory" else file


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return where runs are that other Runners read too: a file, a schema of PostgreSQL; without these, memory."""
    return place_of(request, tmp_path / "runs.db") or tmp_path / "runs.db"


@pytest.fixture
async def runner(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Runner]:
    """Yield a Runner over each store."""
    async with Runner(place_of(request, tmp_path / "runs.db")) as made:
        yield made


@pytest.fixture
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], AbstractContextManager[Path | str | None]]:
    """Return what gives a store without runs for each case of a page."""
    numbers = itertools.count()

    @contextmanager
    def place() -> Iterator[Path | str | None]:
        if request.param != "postgres":
            yield place_of(request, tmp_path / f"{next(numbers)}.db")
            return
        server: PostgresServer = request.getfixturevalue("postgres_server")
        address = server.empty_address()
        yield address
        server.give_back(address)

    return place


@pytest.fixture
def clock() -> FakeClock:
    """Return the clock of the timed runner."""
    return FakeClock(start=1000.0)


@pytest.fixture
async def timed(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Runner]:
    """Yield a Runner on a fake clock, over each store. The file waits for no disk: some tests have real timeouts."""
    store: Store | Path | str | None = place_of(request, tmp_path / "timed.db")
    if isinstance(store, Path):
        from graphengine.databases.sqlite import SQLiteStore  # noqa: PLC0415 - not of the core

        store = SQLiteStore(store, synchronous="NORMAL")
    async with Runner(store, clock=clock) as made:
        yield made


@pytest.fixture
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll all the time for what another process does."""
    monkeypatch.setattr(shared, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(shared, "INBOX_SECONDS", 0.001)
    monkeypatch.setattr(life, "INBOX_SECONDS", 0.001)
