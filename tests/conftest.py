"""Marks the tests that search: at random, through thousands of cases, or by killing processes.

Measuring which lines run makes these several times slower and tells nothing that the others do not, so `make test` runs
them by themselves: `pytest --cov -m "not search"`, and beside it `pytest -m search`.
"""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent

SEARCHES = (
    "engine/test_random_forks.py",
    "engine/test_random_graphs.py",
    "engine/test_random_nests.py",
    "engine/test_random_replays.py",
    "crash",
    "fuzz",
    "patterns/test_kills.py",
    "stateful",
    "stores/test_random_prunes.py",
    "stores/test_sqlite_damage.py",
    "stores/test_sqlite_power.py",
    "test_demo.py",
)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave a file out that the other of the two runs reads: importing it costs more than not running it saves."""
    wanted = {"search": True, "not search": False}.get(config.option.markexpr)
    if wanted is None or collection_path.suffix != ".py" or collection_path.name == "conftest.py":
        return None
    return True if searches(collection_path) != wanted else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark those of these files and folders."""
    found = {path: searches(path) for path in {item.path for item in items}}
    for item in items:
        if found[item.path]:
            item.add_marker(pytest.mark.search)


def searches(path: Path) -> bool:
    """Whether a file is one of these, or in one of these folders."""
    return not {ROOT / each for each in SEARCHES}.isdisjoint((path, *path.parents))
