"""Marks the tests that search: at random, through thousands of cases, or by killing processes.

Measuring which lines run makes these several times slower and tells nothing that the others do not, so `make test` runs
them by themselves: `pytest --cov -m "not search"`, and beside it `pytest -m search`.
"""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent

SEARCHES = (
    "core/test_random_forks.py",
    "core/test_random_graphs.py",
    "core/test_random_nests.py",
    "core/test_random_replays.py",
    "crash",
    "fuzz",
    "patterns/test_kills.py",
    "stateful",
    "stores/test_random_prunes.py",
    "stores/test_sqlite_damage.py",
    "stores/test_sqlite_power.py",
    "test_demo.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark those of these files and folders."""
    places = [ROOT / each for each in SEARCHES]
    for item in items:
        if any(place == item.path or place in item.path.parents for place in places):
            item.add_marker(pytest.mark.search)
