import gc

import pytest


@pytest.fixture(scope="module", autouse=True)
def _little_to_search() -> None:
    """Let benchmarks, which collect garbage before each side, not look at what earlier tests have left: 0.2 s each."""
    gc.collect()
    gc.freeze()
